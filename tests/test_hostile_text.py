"""Names and texts full of control characters, through both programs: shown in every output, obeyed in none."""

import csv
import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from scenes import scene

from benchmarks.cli import main as bench
from casarbi.cli import main as casarbi
from casarbi.pictures.writing import write_image
from casarbi.plain import visible

HOSTILE = "\x1b]0;title\x07\r\nError: fine\x9b2J\u202e\u2028\x85"
SHOWN = visible(HOSTILE)
NAME = HOSTILE.replace("/", "")


def run(program, *words):
    """Run a command and return what it printed; no line of it may begin as ours or act on a terminal."""
    result = CliRunner().invoke(program, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    harmless(result.output)
    return result.output


def harmless(text):
    assert {sign for sign in text if not sign.isprintable()} <= {"\n"}, text
    assert not any(line.startswith("Error: fine") for line in text.split("\n"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two pictures of a hostile name in it, one of them damaged."""
    monkeypatch.chdir(tmp_path)
    pictures = tmp_path / "in"
    pictures.mkdir()
    write_image(pictures / "good.png", scene(24, 24, 1))
    (pictures / "good.png").rename(pictures / f"{NAME}.png")
    (pictures / f"{NAME}bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + HOSTILE.encode())
    return pictures


def test_names_of_pictures(folder):
    printed = run(casarbi, "upscale", folder, "-s", "2", "-m", "bicubic", "-o", "out")
    assert f"{SHOWN}.png" in printed and f"{SHOWN}bad.png" in printed
    assert SHOWN in run(casarbi, "upscale", f"missing{NAME}.png", "-m", "bicubic")
    assert SHOWN in run(casarbi, "upscale", folder, "-m", "bicubic", "-o", f"out/{NAME}", "-s", "1.5")
    assert SHOWN in run(casarbi, "upscale", folder, "-s", NAME)
    assert "no model '\\x1b" in run(casarbi, "upscale", folder, "-m", NAME)


def test_a_report_of_hostile_names(folder):
    words = ("--data", "folder:in", "--scales", "2", "--metrics", "psnr", "--workers", "1")
    printed = run(bench, "grid", "--models", f"bicubic,outputs:in{NAME}", *words)
    assert SHOWN in printed
    for ending in ("html", "md", "tex"):
        text = Path(f"reports/out/grid/grid.{ending}").read_bytes().decode("utf-8")
        harmless(text.replace('viewport" content', ""))
    with open("reports/out/grid/grid-images.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["image"] for row in rows} == {NAME, f"{NAME}bad"}  # names come back, exactly
    harmless("".join(row["reason"] for row in rows))


def test_a_header(tmp_path):
    path = tmp_path / "w.safetensors"
    header = {"method": HOSTILE, HOSTILE: HOSTILE, "training": json.dumps({HOSTILE: [{HOSTILE: 1.0}, HOSTILE]})}
    save_file({f"a{HOSTILE}": torch.zeros(1)}, path, {**header, "config": json.dumps({HOSTILE: HOSTILE})})
    assert run(casarbi, "info", path).count(SHOWN) >= 5
    deep = json.loads('{"a": [' * 150 + "0" + "]}" * 150)
    save_file(
        {"a": torch.zeros(1)}, path, {"training": json.dumps({"preset": {"assumed": 5}, "deep": deep, "n": [[1]]})}
    )
    assert len(run(casarbi, "info", path)) < 5000
    for method in ("casarbi", "liif", "idm", "kim"):
        assert "Error: " in run(casarbi, "info", f"{method}:{path}")
        save_file({"a": torch.zeros(1)}, path, {**header, "method": method, "config": json.dumps({HOSTILE: HOSTILE})})
        assert "Error: " in run(casarbi, "info", f"{method}:{path}")


DECLARATION = """
title = "{bad}"
summary = "{bad}"
[[methods]]
name = "{bad}"
group = "{bad}"
[[methods]]
name = "none"
reason = "{bad}"
[presets.mini]
scales = [2]
metrics = ["psnr"]
models = {{ "{bad}" = "bicubic" }}
needs = ["{bad}"]
[[presets.mini.panels]]
name = "{bad}"
data = "portraits?n=1"
protocol = "whole"
caption = "{bad}"
cite = true
"""


def test_a_declaration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    escaped = "".join(f"\\u{ord(sign):04x}" if not sign.isprintable() else sign for sign in HOSTILE)
    Path("t.toml").write_text(DECLARATION.format(bad=escaped), encoding="utf-8")
    assert SHOWN in run(bench, "run", "t.toml", "--workers", "1")
    for ending in ("html", "md", "tex"):
        harmless(Path(f"reports/out/t/t.{ending}").read_text(encoding="utf-8"))
    for command in ("status", "report"):
        assert SHOWN in run(bench, command, "t.toml")
    Path("t.toml").write_text(f'"{escaped}" = 1\n' + DECLARATION.format(bad="x"), encoding="utf-8")
    assert SHOWN in run(bench, "run", "t.toml")
    Path("t.toml").write_text(DECLARATION.format(bad="x").replace('"whole"', f'"{escaped}"'), encoding="utf-8")
    assert SHOWN in run(bench, "run", "t.toml")


def test_a_training_preset(tmp_path):
    escaped = "".join(f"\\u{ord(sign):04x}" if not sign.isprintable() else sign for sign in HOSTILE)
    preset = tmp_path / "p.toml"
    preset.write_text(f'task = "{escaped}"\n[data]\ntrain = "x"\n[run]\niterations = 1\nbatch = 1\nlearning_rate = 1')
    assert SHOWN in run(casarbi, "train", preset)
    assert SHOWN in run(casarbi, "train", preset, "--task", NAME)
    preset.write_text(f'"{escaped}" = 1')
    assert SHOWN in run(casarbi, "train", preset)


@pytest.mark.parametrize("option", ["--models", "--data", "--scales", "--metrics", "--protocol"])
def test_what_is_typed(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    words = {"--models": "bicubic", "--data": "portraits?n=1", "--scales": "2", "--metrics": "psnr"}
    assert r"\x1b]0" in run(bench, "grid", *(word for pair in {**words, option: NAME}.items() for word in pair))


PLUG_IN = """
from toys import Noisy

class Broken(Noisy):
    def upscale(self, lr, size, seeds):
        raise RuntimeError({text!r})

def make():
    return Broken(0.0)
"""


def test_a_reason_in_a_store(folder, monkeypatch):
    """What a plug-in says of a failed picture is kept in the store and read back from it."""
    (folder / f"{NAME}bad.png").unlink()
    Path("hostile_plug_in.py").write_text(PLUG_IN.format(text=HOSTILE), encoding="utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    words = ("--data", "folder:in", "--scales", "2", "--metrics", "psnr", "--workers", "1")
    for _ in range(2):
        assert r"\x1b]0;title" in run(bench, "grid", "--models", "hostile_plug_in:make", *words)
        harmless(Path("reports/out/grid/grid.html").read_text(encoding="utf-8"))
        with open("reports/out/grid/grid-images.csv", newline="", encoding="utf-8") as file:
            assert r"\x1b]0;title" in next(csv.DictReader(file))["reason"]
    assert any(
        "u001b" in part.read_text() or "\x1b" in part.read_text() for part in Path("results").rglob("parts/*.json")
    )
