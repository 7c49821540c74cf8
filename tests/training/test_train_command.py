"""`casarbi train` and `casarbi info FILE`, in process."""

import re

import pytest
import torch
from click.testing import CliRunner

from casarbi.checkpoints import read_checkpoint
from casarbi.cli import main
from casarbi.training.describe import read_header

PRESET = """
description = "Toy"
task = "toy"
assumed = ["run.batch", "settings.width"]
[data]
train = "toy-scenes?n=8"
held_out = 2
[run]
iterations = 6
batch = 2
learning_rate = 1e-3
log_every = 2
validate_every = 3
snapshot_every = 2
"""


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setenv("CASARBI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.toml").write_text(PRESET)

    def run(*words):
        return CliRunner().invoke(main, [*map(str, words)], catch_exceptions=False)

    return run


def test_train_stop_resume_info(call, tmp_path):
    command = ("train", "toy.toml", "--device", "cpu", "--workers", "0")
    stopped = call(*command, "--minutes", "0.0000001")
    assert (
        stopped.exit_code == 0
        and "stopped after 1 of 6 steps (runs/toy); the same command with --resume" in stopped.output
    )
    done = call(*command, "--resume")
    assert done.exit_code == 0 and "holds the weights after 6 steps" in done.output and "step 6: psnr" in done.output
    told = call("info", "runs/toy/toy.safetensors").output
    for words in ("toy-scenes?n=8", "(not the paper's)", "git_commit", "command", "step 6"):
        assert words in told
    assert (tmp_path / "runs/toy/tensorboard").is_dir()


def test_options_change_the_preset(call, tmp_path):
    words = ("--steps", 2, "-s", "run.batch=1", "-s", "settings.width=2", "-o", "other", "--device", "cpu")
    done = call(
        "train", "toy.toml", *words, "--data", "training_toys:scenes?n=5", "--validation", "training_toys:scenes?n=2"
    )
    assert done.exit_code == 0, done.output
    told = call("info", "other/toy.safetensors").output
    assert "training_toys:scenes?n=5" in told and (tmp_path / "other" / "toy.safetensors").is_file()


def test_weights_of_half_the_size_are_the_same_numbers_rounded(call, tmp_path):
    for folder, precision in (("full", "float32"), ("half", "float16")):
        words = ("--steps", 2, "--device", "cpu", "--workers", 0, "-o", folder, "-s", f"weights.precision={precision}")
        assert call("train", "toy.toml", *words).exit_code == 0
    full, half = (read_checkpoint(tmp_path / folder / "toy.safetensors").content for folder in ("full", "half"))
    assert all(torch.equal(half[name], full[name].half()) for name in full)


def test_weights_state_their_pictures_and_licence(call, tmp_path):
    """Those of the preset hold for the preset's pictures alone."""
    preset = tmp_path / "toy.toml"
    preset.write_text(preset.read_text() + '[weights]\ntrained_on = "toys"\nlicence = "MIT"\n')
    other = ("--data", "training_toys:scenes?n=5")
    for folder, words, licence in (
        ("own", (), "MIT"),
        ("other", other, None),
        ("typed", (*other, "-s", "weights.licence=CC BY 4.0"), "CC BY 4.0"),
    ):
        done = call("train", "toy.toml", "--steps", 2, "--device", "cpu", "--workers", 0, "-o", folder, *words)
        assert done.exit_code == 0, done.output
        header = read_header(tmp_path / folder / "toy.safetensors")
        assert header.get("licence") == licence and "trained with casarbi" in header["source"]
        assert header["training"]["preset"]["weights"]["trained_on"] == ("" if words else "toys")


def test_signal_gives_its_exit_code(call):
    done = call("train", "toy.toml", "-s", "settings.interrupt_at=2", "--device", "cpu", "--workers", "0")
    assert done.exit_code == 130 and "with --resume goes on" in done.output


def test_presets_are_listed_and_shown(call):
    listed = call("train").output
    assert "mini-face" in listed and "paper-scene" in listed
    without_base = call("train", "paper-face", "--dry-run")
    assert without_base.exit_code == 1 and "or name another: -s settings.residual.liif=" in without_base.output
    shown = call("train", "paper-face", "--dry-run", "-s", "settings.residual.liif=liif:mini-face").output
    assert re.search(r"iterations +1,000,000\n", shown)
    assert re.search(r"parameters +\d\d,\d{3},\d{3}\n", shown) and re.search(
        r"stage 64 -> 128 px +[\d.]+ \+ 15 x", shown
    )
    assert re.search(r"kappa +2.0  \(not the paper's\)\n", shown)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "mini-fce"), "did you mean mini-face"),
        (("train", "toy.toml", "--resume"), "nothing to resume"),
        (("train", "toy.toml", "--data", "training_toys:scenes?n=8&broken=3"), "cannot be trained on"),
        (("train", "toy.toml", "-s", "data.held_out=8"), "8 are to be held out"),
        (("train", "toy.toml", "--init", "none.safetensors"), "no weights file"),
        (("train", "toy.toml", "--device", "cuda:99"), "no device"),
    ],
)
def test_mistakes_are_one_sentence(call, words, sentence):
    done = call(*words)
    assert done.exit_code == 1 and sentence in done.output and "Traceback" not in done.output


def test_help_has_commands_to_paste(call):
    told = call("train", "--help").output
    assert "casarbi train mini-liif-face --resume" in told and "accelerate launch" in told


def test_only_the_writing_process_of_a_launch_looks_at_the_weights_and_speaks(tmp_path, capsys):
    """On another machine the file need not be there, and a failure would end the whole launch."""
    from casarbi.training.command import _end
    from casarbi.training.presets import load_preset
    from casarbi.training.session import Outcome

    _end(Outcome(tmp_path / "elsewhere.safetensors", 6, is_main=False), load_preset("mini-face"), {"out": tmp_path})
    assert capsys.readouterr().out == ""


def test_code_is_trained_where_it_is_typed_and_refused_in_a_file(call, tmp_path):
    toml = (tmp_path / "toy.toml").read_text()
    words = ("--steps", 1, "--device", "cpu", "--workers", "0")
    (tmp_path / "toy.toml").write_text(toml.replace('"toy"', '"training_toys:task"'))
    refused = call("train", "toy.toml", *words)
    assert refused.exit_code == 1 and "toy.toml names the training task 'training_toys:task'" in refused.output
    (tmp_path / "toy.toml").write_text(toml.replace('task = "toy"\n', ""))
    assert "names no task: add one, or type it with --task" in call("train", "toy.toml", *words).output
    done = call("train", "toy.toml", *words, "--task", "training_toys:task")
    assert "holds the weights after 1 step" in done.output, done.output
