"""What a run takes from the store: it says so, notices what changed, measures again if told, and stops without loss."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from programs import PROJECT, ends, environment

from benchmarks.cli import main
from benchmarks.job import Bench, Job
from benchmarks.runner import run
from benchmarks.store import Store
from benchmarks.survey import survey
from casarbi.data.protocol import PROTOCOLS

PLUGIN = """
from torch.nn.functional import interpolate
from casarbi.sr import ModelInfo, SRModel

class Net(SRModel):
    info = ModelInfo(0, (1.0, 8.0), False, "none", "MIT", "tests")
    identity = {"method": "net", "version": 1}

    def upscale(self, lr, size, seeds):
        return interpolate(lr, size, mode="nearest")
"""
WORDS = ("--data", "toys:squares?n=3", "--scales", "2", "--protocol", "face", "--metrics", "psnr")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Call casarbi-bench in an empty folder; returns Click's result."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, words)


def grid(bench, model, *words):
    return bench("grid", "--models", model, *WORDS, "--workers", "1", *words)


def value():
    with open("reports/out/grid/grid.csv", newline="", encoding="utf-8") as file:
        return float(next(csv.DictReader(file))["value"])


def test_an_edited_plug_in_is_measured_again_and_said(bench):
    Path("edited_net.py").write_text(PLUGIN)
    assert "file changed" not in grid(bench, "edited_net:Net").output
    before = value()
    assert "3 of 3 values are from the store" in grid(bench, "edited_net:Net").output
    Path("edited_net.py").write_text(PLUGIN.replace("nearest", "bilinear"))
    sys.modules.pop("edited_net")  # as in another process
    after = grid(bench, "edited_net:Net")
    assert "Warning: edited_net:Net: file changed since it was measured (20" in after.stderr
    assert "Measured 3 outputs" in after.output and value() != before
    third = grid(bench, "edited_net:Net")
    assert "3 of 3 values are from the store" in third.output and "file changed" not in third.stderr
    sys.modules.pop("edited_net")


def test_status_says_that_the_file_changed(bench, monkeypatch):
    a_job = Job("toys:squares?n=3", PROTOCOLS["face"], (2.0,), ("toys:noisy", "bicubic"), ("psnr",))
    run([Bench(a_job)], Store("results"), workers=1)
    monkeypatch.setattr("benchmarks.job.plugin_source", lambda text, *_: "edited" if text == "toys:noisy" else "")
    edited = Bench(a_job)
    edited.digests = Bench(a_job).digests
    states = survey(edited, Store("results"))
    assert [state.word for state in states][0] == "stale" and states[0].why.startswith("file changed since")


def test_shipped_methods_keep_their_keys():
    bench = Bench(Job("photos", PROTOCOLS["photo"], (2.0,), ("bicubic",), ("psnr",)))
    assert bench.key("bicubic", 2.0).model == bench.model("bicubic").identity
    assert bench.digests == {image: bench.dataset.digest(image) for image in bench.dataset.ids}


def test_an_edited_data_set_of_ones_own_is_stale(bench, monkeypatch):
    a_job = Job("toys:squares?n=3", PROTOCOLS["face"], (2.0,), ("bicubic",), ("psnr",))
    run([Bench(a_job)], Store("results"), workers=1)
    monkeypatch.setattr("benchmarks.job.plugin_source", lambda *_: "edited")
    assert {state.word for state in survey(Bench(a_job), Store("results"))} == {"stale"}


def test_a_run_says_what_came_from_the_store_and_from_when(bench):
    assert "from the store" not in grid(bench, "bicubic").output
    for path in Path("results").glob("cells/*/parts/*.json"):
        text = path.read_text()
        text = text[: text.index(', "sha256"')] + "}"  # as before parts had a hash, when dates were free
        path.write_text(text.replace(text[text.index('"when": "') + 9 :][:10], "2026-11-20"))
    more = [word.replace("n=3", "n=4") for word in WORDS]
    output = bench("grid", "--models", "bicubic", *more, "--workers", "1").output
    assert "3 of 4 values are from the store, measured 2026-11-20; --again measures them again." in output
    assert "Date measured: 2026-11-20 to 20" in output


def test_again_replaces_the_values_and_a_killed_one_loses_none(bench, monkeypatch):
    grid(bench, "toys:noisy")
    first = value()
    monkeypatch.setattr("toys.Noisy.upscale", lambda self, lr, size, seeds: lr.new_full((len(lr), 3, *size), 0.5))
    assert "3 of 3 values are from the store" in grid(bench, "toys:noisy").output and value() == first
    measure, calls = Store.cell, []

    def killed(self, key):
        calls.append(key)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measure(self, key)

    with monkeypatch.context() as patch:
        patch.setattr("benchmarks.evaluate.Store.cell", killed)
        assert grid(bench, "toys:noisy", "--again").exit_code == 130
    assert "3 of 3 values are from the store" in grid(bench, "toys:noisy").output
    again = grid(bench, "toys:noisy", "--again")
    assert "All 3 values are measured" in again.output and "Measured 3 outputs" in again.output
    second = value()
    assert second != first
    assert "3 of 3 values are from the store" in grid(bench, "toys:noisy").output and value() == second


def test_a_damaged_part_is_said_in_a_run_and_in_status_and_measured_again(bench):
    Path("t.toml").write_text(
        'title = "T"\n[[methods]]\nname = "B"\n[presets.mini]\nscales = [2]\nmetrics = ["psnr"]\n'
        'models = { B = "bicubic" }\n[[presets.mini.panels]]\nname = "p"\ndata = "portraits?n=2"\nprotocol = "face"\n'
    )
    bench("run", "t.toml", "--workers", "1")
    path = sorted(Path("results").glob("cells/*/parts/*.json"))[0]
    path.write_bytes(path.read_bytes().replace(b'"psnr', b'"psns'))
    status = bench("status", "t.toml")
    assert f"Warning: {path} is damaged (its SHA-256 does not match" in status.stderr
    assert "missing  bicubic x2: 1 of 2 images measured" in status.output
    again = bench("run", "t.toml", "--workers", "1")
    assert again.stderr.count("is damaged") == 1 and "Measured 1 outputs" in again.output and again.exit_code == 0


def test_stored_features_of_another_length_make_no_distance(bench):
    words = ("--data", "portraits?n=3", "--metrics", "fd-st-alex", "--small-n")
    assert grid(bench, "bicubic", *words).exit_code == 0
    for path in Path("results").glob("cells/*/parts/*.json"):
        part = json.loads(path.read_text(encoding="utf-8"))
        del part["sha256"], part["features"]  # as parts were before there were hashes
        path.write_text(json.dumps(part), encoding="utf-8")
        arrays = dict(np.load(path.with_suffix(".npz")))
        np.savez(path.with_suffix(".npz"), **arrays | {"features0": arrays["features0"][:, :7]})
    again = grid(bench, "bicubic", *words)
    assert "the stored features of fd-st-alex are not of 256 numbers" in again.output
    assert again.exception is None or isinstance(again.exception, SystemExit)


def test_the_paper_preset_measures_what_it_can_and_lists_the_rest(bench, pictures, monkeypatch):
    monkeypatch.setattr("benchmarks.session._can_be_measured", lambda metric: metric not in ("lpips-alex", "fid"))
    words = ("--preset", "paper", "--data", f"celebahq:{pictures}?n=1", "--model", "LIIF=liif:missing.pth")
    result = bench("run", "table1", *words, "--workers", "1")
    assert result.exit_code == 1 and "Error: liif:missing.pth was left out: " in result.stderr
    with open("reports/out/table1/table1.csv", newline="", encoding="utf-8") as file:
        found = {(row["method"], row["metric"]): row["source"] for row in csv.DictReader(file)}
    assert found["Bicubic", "psnr"] == found["Bicubic", "ssim"] == "measured"
    assert found["LIIF", "psnr"] == found["Ours", "lpips-alex"] == found["Ours", "fid"] == "cited"
    text = Path("reports/out/table1/table1.md").read_text(encoding="utf-8")
    assert "the weights of fid are not on this machine" in text and "no weights of it are here" in text


def test_opening_a_model_does_not_import_the_compiler():
    code = "import sys; from casarbi.sr import create_model; create_model('idm:mini-face')"
    code += "; sys.exit('torch._dynamo' in sys.modules or 'sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


@pytest.mark.parametrize(
    "words",
    [("status", "table1"), ("run", "table1", "--dry-run"), ("selfssim", "--workers", "1"), ("report", "table1")],
)
def test_the_first_line_comes_before_the_slow_imports(tmp_path, words):
    code = (
        "import sys\nclass Stop:\n    def find_spec(self, name, *rest):\n"
        "        if name in ('torch', 'numpy', 'pandas'): sys.exit(9)\n"
        "sys.meta_path.insert(0, Stop())\nfrom benchmarks.cli import main\nmain()"
    )
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 9 and done.stderr.startswith("Opening "), done.stderr


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize(("when", "workers"), [("opening", "1"), ("measuring", "2")])
def test_sigterm_ends_like_ctrl_c(tmp_path, when, workers):
    words = ["grid", "--models", "toys:slow", "--data", "toys:squares?n=30", "--scales", "2", "--workers", workers]
    command = [sys.executable, "-m", "benchmarks.cli", *words]
    started = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    line = started.stderr.readline()
    assert line.startswith("Opening")
    deadline = time.monotonic() + 120
    while when == "measuring" and time.monotonic() < deadline:
        if list(tmp_path.glob("results/cells/*/parts/*.json")):
            break
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 143 and "Stopped: what was measured is kept" in errors and "Traceback" not in errors
    assert ends(started.pid), "workers outlived their parent"
