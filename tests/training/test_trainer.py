"""The loop: learning, skipping what is not finite, full disks, time limits, precision."""

import errno
import math

import pytest
import torch

from casarbi.checkpoints import read_checkpoint
from casarbi.errors import CasarbiError
from casarbi.training import recorder, snapshots
from casarbi.training.describe import read_header
from casarbi.training.presets import DataSettings
from casarbi.training.snapshots import read_snapshot


def test_loss_falls(runs):
    runs("run", iterations=60, drops=(), toy={"dropout": 0.0})
    losses = [row["loss"] for row in runs.rows("run")]
    assert losses[-1] < 0.6 * losses[0]


def test_log_rows_are_means_of_the_steps_since(runs):
    runs("each", log_every=1)
    runs("fours", log_every=4)
    each = [row["loss"] for row in runs.rows("each")]
    assert runs.rows("fours")[1]["loss"] == pytest.approx(sum(each[4:8]) / 4)
    assert list(runs.rows("fours")[0]) == ["step", "loss", "largest", "gradient_norm", "learning_rate", "skipped"]


def test_nan_steps_are_skipped_and_counted(runs):
    finished = runs("run", toy={"nan_from": 6, "nan_until": 8})
    state = read_snapshot(runs.snapshot("run")).state
    assert finished.weights and (state.step, state.skipped, state.updates) == (20, 3, 17)
    assert sum("was skipped: loss nan" in note for note in runs.listener.notes) == 3
    assert all(tensor.isfinite().all() for tensor in runs.tensors("run").values())
    assert runs.rows("run")[-1]["skipped"] == 3 and all(math.isfinite(row["loss"]) for row in runs.rows("run"))


def test_training_stops_after_too_many_nan_steps(runs):
    with pytest.raises(CasarbiError, match="4 steps in a row had loss nan.*run.precision=float32"):
        runs("run", toy={"nan_from": 7})
    assert read_snapshot(runs.snapshot("run")).state.step == 9
    assert all(tensor.isfinite().all() for tensor in runs.tensors("run").values())


def test_best_is_never_replaced_by_nan(runs):
    runs("run", toy={"nan_metric_from": 8})
    best = read_snapshot(runs.snapshot("run")).state.best
    assert best["step"] == 5 and math.isfinite(best["value"])
    assert any("the best weights stay" in note for note in runs.listener.notes)
    assert read_header(runs.place / "run" / "best.safetensors")["training"]["iterations"] == 5


def test_best_follows_the_metric(runs):
    runs("run", iterations=40, drops=())
    rows = runs.rows("run", "validation.csv")
    best = read_snapshot(runs.snapshot("run")).state.best
    assert best["value"] == max(row["psnr"] for row in rows)
    assert read_header(runs.place / "run" / "best.safetensors")["training"]["iterations"] == best["step"]


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_does_not_stop_training_before_its_end(runs, monkeypatch):
    written = []
    real = snapshots.write_snapshot

    def write(folder, state, *rest):
        if state.step in (6, 9, 12):
            full()
        written.append(state.step)
        return real(folder, state, *rest)

    monkeypatch.setattr(recorder, "write_snapshot", write)
    assert runs("run").weights and written == [3, 15, 18, 20]
    assert sum("the disk is full" in note for note in runs.listener.notes) == 3


def test_full_disk_at_the_end_is_one_sentence(runs, monkeypatch):
    monkeypatch.setattr(recorder, "write_snapshot", full)
    with pytest.raises(CasarbiError, match="A snapshot of step 20 cannot be written.*disk is full.*--resume"):
        runs("run")


def test_draft_of_a_failed_snapshot_is_removed(runs, monkeypatch):
    monkeypatch.setattr(snapshots, "save_file", lambda tensors, path, metadata: (path.write_bytes(b"half"), full()))
    with pytest.raises(CasarbiError):
        runs("run")
    assert not [path for path in (runs.place / "run" / "snapshots").iterdir()]


def test_too_little_space_is_said_before_the_first_step(runs, monkeypatch):
    monkeypatch.setattr(snapshots, "free_bytes", lambda folder: 1000)
    with pytest.raises(CasarbiError, match="has 1,000 bytes free, but snapshots take up to"):
        runs("run")


def test_time_limit_stops_with_a_snapshot(runs):
    stopped = runs("run", minutes=1e-9)
    assert stopped.weights is None and stopped.signal is None
    assert read_snapshot(runs.snapshot("run")).state.step == stopped.step == 1
    assert runs.resume("run").step == 20


def test_channels_last_changes_speed_alone(runs):
    for name, channels_last in (("last", True), ("first", False)):
        runs(name, channels_last=channels_last, iterations=5, toy={"dropout": 0.0, "norm": False})
    last, first = (read_checkpoint(runs.place / name / "toy.safetensors").content for name in ("last", "first"))
    assert all(torch.allclose(last[key], first[key], atol=1e-5) for key in last)


def test_bfloat16_trains_float32_weights(runs):
    runs("run", precision="bfloat16", iterations=40, drops=())
    losses = [row["loss"] for row in runs.rows("run")]
    assert losses[-1] < 0.8 * losses[0]
    assert all(tensor.dtype != torch.bfloat16 for tensor in runs.tensors("run").values())


def test_seed_decides_the_run(runs):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        runs(name, seed=seed, iterations=3)
    a, b, c = (read_checkpoint(runs.place / name / "toy.safetensors").content["0.weight"] for name in "abc")
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_header_says_how_the_weights_came_about(runs):
    weights = runs("run").weights
    training = read_header(weights)["training"]
    assert training["preset"]["run"]["batch"] == 4 and training["iterations"] == 20
    assert training["pictures"]["train"]["count"] == 10 and len(training["pictures"]["train"]["fingerprint"]) == 64
    assert [row["step"] for row in training["validation_curve"]] == [5, 10, 15, 20]
    assert training["metrics"]["psnr"] == pytest.approx(runs.rows("run", "validation.csv")[-1]["psnr"])
    assert {"command", "git_commit", "versions", "hours", "best"} <= training.keys()


def test_contact_sheets_and_tensorboard_need_nothing(runs):
    runs("run")
    names = sorted(path.name for path in (runs.place / "run" / "pictures").iterdir())
    assert names == [f"step-{step:08d}.png" for step in (5, 10, 15, 20)]


@pytest.mark.parametrize(
    ("device", "words"), [("cuda:77", "no device 'cuda:77'"), ("nonsense", "no device 'nonsense'")]
)
def test_missing_device_is_a_sentence(runs, device, words):
    from casarbi.training.session import Start

    with pytest.raises(CasarbiError, match=words):
        runs("run", start=Start(device=device))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (DataSettings("training_toys:scenes"), "48x48 px are too small, expected at least 64 px"),
        (DataSettings("training_toys:scenes?side=96", side=48), "data.side = 48 .* patches of 64 px .* at least 64"),
    ],
)
def test_pictures_too_small_for_the_patches_are_a_sentence_before_the_first_step(runs, monkeypatch, data, words):
    monkeypatch.setattr("training_toys.Toy.least_side", 64)
    with pytest.raises(CasarbiError, match=words):
        runs("run", data=data)


@pytest.mark.slow
def test_two_processes_train_as_one(runs, tmp_path):
    """Shares of a batch on two processes give the gradient of the whole batch."""
    import subprocess
    import sys
    from pathlib import Path

    code = (
        "import sys; sys.path.insert(0, 'tests'); from pathlib import Path; from training_runs import Runs\n"
        "Runs(Path(sys.argv[1]))(sys.argv[2], toy={'dropout': 0.0, 'noise': 0.0, 'norm': False}, iterations=6)"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    for count, name in (("1", "one"), ("2", "two")):
        done = subprocess.run(
            [*launch, count, str(script), str(tmp_path), name], cwd=Path(__file__).parents[2], timeout=300
        )
        assert done.returncode == 0
    one, two = (read_checkpoint(tmp_path / name / "toy.safetensors").content for name in ("one", "two"))
    assert all(torch.allclose(one[key], two[key], atol=1e-6) for key in one)
    assert [row["loss"] for row in runs.rows("two")] == pytest.approx(
        [row["loss"] for row in runs.rows("one")], rel=1e-5
    )
