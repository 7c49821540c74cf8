"""The `casarbi` command on real files: results, sentences and exit codes."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from casarbi.cli import main
from casarbi.pictures.resize import resize
from casarbi.sr import ModelInfo, SRModel


class Toy(SRModel):
    """Bicubic with a flaw."""

    def __init__(self, flaw):
        self.flaw = flaw

    identity = {"method": "toy"}
    info = ModelInfo(7, (1, 4), True, "toy.pt abc123", "MIT", "tests", warning="a toy, not for numbers")

    def upscale(self, lr, size, seeds):
        out = resize(lr, size).clamp(0, 1)
        if self.flaw == "hue":
            out[:, 0] += 0.2
        if self.flaw == "nan":
            out[..., 0] = torch.nan
        if self.flaw == "memory":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        if self.flaw == "size":
            out = out[..., 1:]
        if self.flaw == "seed":
            out[:] = seeds[0] / 255
        return out


def toy(flaw: str) -> Toy:
    return Toy(flaw)


@pytest.fixture
def folder(tmp_path):
    """Two good pictures, and a cut-off one between them."""
    folder = tmp_path / "in"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(noise).resize((36, 24)).save(folder / name)
    data = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(data[: len(data) // 2])
    return folder


def run(*words):
    return CliRunner().invoke(main, ["upscale", "--device", "cpu", "--model", "bicubic", *map(str, words)])


def test_one_picture(folder):
    result = run(folder / "a.png", "--scale", "3.7")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "model bicubic · weights none · 0 parameters · MIT",
        f"{folder / 'a.png'} 36x24 → {folder / 'a_x3.7.png'} 133x89",
    ]
    assert Image.open(folder / "a_x3.7.png").size == (133, 89)


def test_format_and_quality_of_a_folder(folder):
    """A folder of JPEGs may stay JPEGs; as PNGs they were fifteen times as large."""
    (folder / "b.png").unlink()
    assert run(folder, "-o", folder / "out", "--format", "jpg", "--quality", "30").exit_code == 0
    assert run(folder / "a.png", "-o", folder / "fine.jpg", "--quality", "95").exit_code == 0
    assert sorted(os.listdir(folder / "out")) == ["a_x4.jpg", "c_x4.jpg"]
    assert Image.open(folder / "out" / "a_x4.jpg").format == "JPEG"
    assert (folder / "out" / "a_x4.jpg").stat().st_size < (folder / "fine.jpg").stat().st_size / 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--quality", "90"], "--quality 90 says how much JPEG and WebP may lose, but PNG keeps every pixel as it is"),
        (["-o", "a.tif", "--quality", "9"], "but TIFF keeps every pixel as it is: leave it out, or choose --format"),
        (["-o", "a.jpg", "--format", "png"], "-o a.jpg and --format png name two formats: leave one out."),
        (["--format", "gif"], "'gif' is not one of 'png', 'jpg', 'webp', 'tif', 'bmp'"),
    ],
)
def test_formats_that_contradict_are_refused_before_any_work(folder, words, sentence):
    result = run(folder / "a.png", *words)
    assert result.exit_code and sentence in " ".join(result.output.split()) and "model" not in result.output


def test_a_bad_picture_does_not_stop_the_others(folder):
    result = run(folder, folder / "gone.png", "-o", folder / "out")
    assert result.exit_code == 1
    assert sorted(os.listdir(folder / "out")) == ["a_x4.png", "c_x4.png"]
    assert "Error: 2 of 4 failed, the others are written:" in result.output
    assert "b.png is cut off or damaged" in result.output and "gone.png': check the name" in result.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["b.png"], "b.png is cut off or damaged"),
        (["gone.png"], "There is no file"),
        (["in "], "There is no file 'in ': check the name"),
        (["a.png", "-m", "bicubik"], "There is no model 'bicubik': did you mean bicubic?"),
        (["a.png", "-s", "0.5"], "at least 1"),
        (["a.png", "-s", "1250999896766"], "above the limit"),
        (["a.png", "--size", "64,160"], "write WIDTHxHEIGHT"),
        (["a.png", "-s", "2", "--width", "90"], "ask for different things"),
        (["a.png", "-o", "x.gif"], "ends in '.gif'"),
        (["a.png", "-o", "a.png"], "is an input and is not overwritten"),
        (["a.png", "--background", "whitish"], "'whitish' is no colour"),
        (["a.png", "--max-pixels", "100"], "above the limit of 100 pixels"),
        (["a.png", "--device", "tpu9"], "There is no device 'tpu9'"),
        (["."], "b.png is cut off"),
        (["empty"], "holds no picture"),
        (["a.png", "-m", "test_cli:toy:nan"], "288 of the output's 41,472 values are not finite"),
        (["a.png", "-m", "test_cli:toy:memory"], "not enough memory to make 144x96 px"),
        (["a.png", "-m", "test_cli:toy:size"], "The model returned shape (1, 3, 96, 143), expected (1, 3, 96, 144)"),
    ],
)
def test_each_mistake_is_one_sentence(folder, monkeypatch, words, sentence):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    before = (folder / "a.png").read_bytes()
    result = run(*words)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert sentence in result.output and "Error: " in result.output
    assert (folder / "a.png").read_bytes() == before


def test_wrong_usage_exits_with_2(folder):
    assert run().exit_code == 2
    assert run(folder / "a.png", "--width", "0").exit_code == 2


def test_warnings_for_hue_aspect_and_range(folder):
    result = run(folder / "a.png", "--size", "216x288", "-m", "test_cli:toy:hue")
    assert result.exit_code == 0
    assert "Warning: --size 216x288 (width x height) turns the aspect" in result.output
    assert "Warning: a.png: the colours moved: mean error R " in result.output
    assert "Warning: the model was trained for x1 to x4, and x12 lies outside that." in result.output
    assert "weights toy.pt abc123" in result.output
    assert "Warning" not in run(folder / "c.png", "-m", "bicubic", "--size", "360x240").output


def test_the_seed_reaches_the_model(folder):
    run(folder / "a.png", "-m", "test_cli:toy:seed", "--seed", "7", "-o", folder / "seven.png")
    assert np.unique(np.asarray(Image.open(folder / "seven.png"))).tolist() == [7]


def test_litter_is_silent_and_others_are_counted(folder):
    (folder / "b.png").unlink()
    for name in ("Thumbs.db", "notes.txt", "clip.mp4"):
        (folder / name).write_bytes(b"x")
    result = run(folder)
    assert result.exit_code == 0 and "skipped 1 file that is no picture" in result.output
    assert sorted(os.listdir(folder.parent / "in_x4")) == ["a_x4.png", "c_x4.png"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_output_on_a_poor_code_page(folder, encoding):
    """A name that the console cannot print must not end a run whose picture is made."""
    (folder / "a.png").rename(folder / "图 é🙂.png")
    env = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "casarbi.cli", "upscale", str(folder / "图 é🙂.png"), "-s", "2", "-m", "bicubic"]
    done = subprocess.run(command, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"\\u56fe" in done.stdout and b"->" in done.stdout
    assert (folder / "图 é🙂_x2.png").exists()


def test_info_names_methods_and_describes_one():
    assert "bicubic" in CliRunner().invoke(main, ["info"]).output.splitlines()
    shown = CliRunner().invoke(main, ["info", "test_cli:toy:hue"])
    assert shown.exit_code == 0
    assert "warning        a toy, not for numbers" in shown.output
    for line in ("parameters     7", "trained scales x1 to x4", 'identity       {"method": "toy"}', "toy.pt abc123"):
        assert line in shown.output
    wrong = CliRunner().invoke(main, ["info", "bicubik"])
    assert wrong.exit_code == 1 and wrong.output.startswith("Error: There is no model 'bicubik'")


def test_info_of_a_file_without_header_says_what_to_write(tmp_path):
    (tmp_path / "x_gen.pth").write_bytes(b"PK")
    done = CliRunner().invoke(main, ["info", str(tmp_path / "x_gen.pth")])
    assert done.exit_code == 1 and f"as in idm:{tmp_path / 'x_gen.pth'}" in done.output


def test_warning_of_a_model_is_printed_once(folder):
    done = run(folder / "a.png", folder / "c.png", "--scale", 2, "--model", "test_cli:toy:none", "-o", folder / "out")
    assert done.exit_code == 0 and done.output.count("Warning: a toy, not for numbers") == 1


@pytest.mark.parametrize("words", [["--help"], ["upscale", "--help"]])
def test_help_imports_nothing_heavy(words):
    code = (
        "import sys; from casarbi.cli import main; main(sys.argv[1:], standalone_mode=False)\n"
        "sys.exit(','.join({'torch', 'numpy', 'PIL', 'rich', 'natsort'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.strip() == "" and "casarbi upscale photo.jpg" in done.stdout


def test_a_result_that_is_there_is_not_replaced_without_a_word(folder):
    out = folder / "out"
    assert run(folder / "a.png", "-s", 2, "-o", out).exit_code == 0
    (out / "a_x2.png").write_bytes((folder / "c.png").read_bytes())
    refused = run(folder / "a.png", folder / "c.png", "-s", 2, "-o", out)
    assert refused.exit_code == 1 and os.listdir(out) == ["a_x2.png"]
    assert "a_x2.png is not replaced: --overwrite replaces it" in refused.output
    assert Image.open(out / "a_x2.png").size == (36, 24)
    assert run(folder / "a.png", "-s", 2, "-o", out, "--overwrite").exit_code == 0
    assert Image.open(out / "a_x2.png").size == (72, 48)
    assert "give one of the two" in run(folder / "a.png", "--overwrite", "--keep").output


def test_keep_makes_only_the_rest(folder):
    out = folder / "out"
    run(folder / "a.png", "-s", 2, "-o", out)
    before = (out / "a_x2.png").stat().st_mtime_ns
    done = run(folder / "a.png", folder / "c.png", "-s", 2, "-o", out, "--keep")
    assert done.exit_code == 0 and f"kept 1 earlier result, such as {out / 'a_x2.png'}" in done.output
    assert (out / "a_x2.png").stat().st_mtime_ns == before and (out / "c_x2.png").exists()
    again = run(folder / "a.png", folder / "c.png", "-s", 2, "-o", out, "--keep")
    assert again.exit_code == 0 and "kept 2 earlier results" in again.output and "model" not in again.output


class Counter(SRModel):
    """Counts its calls."""

    identity = {"method": "counter"}
    info = ModelInfo(0, None, False, "none", "MIT", "tests")
    calls = 0

    def upscale(self, lr, size, seeds):
        Counter.calls += 1
        return resize(lr, size).clamp(0, 1)


def test_a_place_that_refuses_is_found_before_the_model_runs(folder):
    """It was found after each picture had been computed."""
    Counter.calls = 0
    done = run(folder / "a.png", folder / "c.png", "-m", "test_cli:Counter", "-o", "/proc/nope/out")
    assert done.exit_code == 1 and "Error: Nothing can be written in /proc/nope/out" in done.output
    assert Counter.calls == 0


@pytest.mark.parametrize(("number", "after"), [(errno.ENOSPC, 1), (errno.EFBIG, 1), (errno.ENAMETOOLONG, 3)])
def test_a_full_disk_stops_at_once_and_keeps_what_is_done(folder, monkeypatch, number, after):
    """Every further picture was computed for nothing."""
    Image.open(folder / "a.png").save(folder / "b.png")
    save, calls = Image.Image.save, []

    def full(self, place, *words, **options):
        calls.append(place)
        if len(calls) > 1:
            raise OSError(number, os.strerror(number))
        save(self, place, *words, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    done = run(folder, "-o", folder / "out")
    assert done.exit_code == 1 and len(calls) == 1 + min(after, 2) and os.strerror(number) in done.output
    assert os.listdir(folder / "out") == ["a_x4.png"]
    if after == 1:
        assert "Stopped there: 1 of 3 are written. Once there is room, the same command with --keep" in done.output


def test_results_in_the_input_folder_are_left_out_of_the_next_run(folder):
    """They were enlarged again, each run adding the results of the one before."""
    (folder / "b.png").unlink()
    for _ in range(3):
        done = run(folder, "-r", "-s", 2, "-o", folder / "large", "--overwrite")
        assert done.exit_code == 0 and sorted(os.listdir(folder / "large")) == ["a_x2.png", "c_x2.png"]
    assert (
        f"left out 2 pictures that are results of earlier runs, such as {folder / 'large' / 'a_x2.png'}" in done.output
    )
