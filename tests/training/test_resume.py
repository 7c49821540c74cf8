"""A run that was stopped and resumed is the unbroken run: the same images, learning rates, weights and averages."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from casarbi.checkpoints import read_checkpoint
from casarbi.errors import CasarbiError
from casarbi.training.header import KEY
from casarbi.training.session import Start
from casarbi.training.snapshots import list_snapshots, read_snapshot

PROJECT = Path(__file__).parents[2]


def assert_same_runs(runs, first, second):
    before, after = runs.tensors(first), runs.tensors(second)
    assert before.keys() == after.keys() and len(before) == 36
    assert all(torch.equal(before[key], after[key]) for key in before)
    states = [read_snapshot(runs.snapshot(name)).state for name in (first, second)]
    for state in states:
        state.seconds = 0.0
    assert states[0] == states[1]
    for log in ("log.csv", "validation.csv"):
        assert runs.rows(first, log) == runs.rows(second, log) != []


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("at", [0, 7, 17])
def test_interrupted_run_goes_on_bit_for_bit(runs, at, workers):
    runs("unbroken", workers=0)
    stopped = runs("broken", toy={"interrupt_at": at}, workers=workers)
    assert (stopped.weights, stopped.signal) == (None, signal.SIGINT) and at < stopped.step <= at + 2
    finished = runs.resume("broken", workers=workers)
    assert finished.weights.name == "toy.safetensors"
    assert_same_runs(runs, "unbroken", "broken")


def test_run_broken_three_times_is_still_the_same(runs):
    runs("unbroken")
    runs("broken", toy={"interrupt_at": 3})
    for _ in range(2):
        assert runs.resume("broken", toy={"interrupt_at": 4}).weights is None
    runs.resume("broken")
    assert_same_runs(runs, "unbroken", "broken")


def test_killed_run_goes_on_from_its_last_snapshot(runs, tmp_path):
    runs("unbroken")
    code = (
        "import sys; sys.path.insert(0, 'tests'); from pathlib import Path\n"
        "from training_runs import Runs; Runs(Path(sys.argv[1]))('broken', toy={'kill_at': 11})"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert read_snapshot(runs.snapshot("broken")).state.step == 9
    assert runs.rows("broken", "validation.csv")[-1]["step"] == 10  # later than the snapshot: to be done again
    runs.resume("broken")
    assert_same_runs(runs, "unbroken", "broken")


def test_killed_workers_change_nothing_but_a_warning(runs):
    runs("unbroken")
    assert runs("broken", toy={"kill_workers_at": 7}, workers=2).weights
    assert_same_runs(runs, "unbroken", "broken")
    (note,) = [text for text in runs.listener.notes if "was killed" in text]
    assert "makes them itself" in note


def test_items_are_seen_once_and_in_the_same_order(runs, tmp_path):
    files = {name: tmp_path / f"{name}.txt" for name in ("unbroken", "broken")}
    runs("unbroken", toy={"record": str(files["unbroken"])})
    runs("broken", toy={"record": str(files["broken"]), "interrupt_at": 6})
    runs.resume("broken", toy={"record": str(files["broken"])})
    seen = [file.read_text().splitlines() for file in files.values()]
    assert seen[0] == seen[1] and len(seen[0]) == 20 == len(set(seen[0]))


def test_learning_rate_drops_once(runs):
    runs("broken", toy={"interrupt_at": 7}, log_every=1)
    runs.resume("broken", log_every=1)
    rates = [row["learning_rate"] for row in runs.rows("broken")]
    assert rates == [4e-3] * 6 + [2e-3] * 6 + [1e-3] * 8


def test_no_schedule_resumes_too(runs):
    runs("unbroken", drops=())
    runs("broken", toy={"interrupt_at": 7}, drops=())
    runs.resume("broken", drops=())
    assert_same_runs(runs, "unbroken", "broken")


def test_average_and_its_count_are_in_the_file(runs):
    runs("run", toy={"interrupt_at": 7})
    snapshot = read_snapshot(runs.snapshot("run"))
    assert snapshot.state.updates == snapshot.state.step
    names = [name for name, tensor in snapshot.tensors["network"].items() if tensor.is_floating_point()]
    assert all(not torch.equal(snapshot.tensors["network"][n], snapshot.tensors["average"][n]) for n in names[:2])


def changed(path, change):
    """Write a snapshot again after `change(tensors, header)`."""
    checkpoint = read_checkpoint(path)
    tensors, header = dict(checkpoint.content), dict(checkpoint.metadata)
    change(tensors, header)
    save_file(tensors, path, metadata=header)


def set_step(tensors, header):
    header["state"] = json.dumps(json.loads(header["state"]) | {"step": 14, "updates": 14})


def drop_optimizer(tensors, header):
    for key in [key for key in tensors if key.startswith("optimizer/")]:
        del tensors[key]


def drop_average(tensors, header):
    for key in [key for key in tensors if key.startswith("average/")]:
        del tensors[key]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_step, "has made 14 updates (14 steps), its optimizer 20"),
        (drop_optimizer, "lacks the optimizer's state"),
        (drop_average, "lacks the weights or their average"),
        (lambda tensors, header: header.pop("state"), "holds weights but no state of a run"),
    ],
)
def test_mixed_or_missing_state_is_refused(runs, change, words):
    runs("run")
    for path in list_snapshots(runs.place / "run" / "snapshots"):
        changed(path, change)
    list_snapshots(runs.place / "run" / "snapshots")[1].unlink()
    with pytest.raises(CasarbiError) as caught:
        runs.resume("run")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_snapshot_gives_way_to_the_one_before(runs):
    runs("unbroken")
    runs("broken", toy={"interrupt_at": 10})
    path = runs.snapshot("broken")
    path.write_bytes(path.read_bytes()[:-100])
    runs.resume("broken")
    assert any("Going on from the snapshot before" in note for note in runs.listener.notes)
    assert_same_runs(runs, "unbroken", "broken")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 8}, "run.batch 4, now 8"),
        ({"toy": {"width": 8}}, "settings.width 6, now 8"),
        ({"iterations": 40}, "run.iterations 20, now 40"),
    ],
)
def test_other_settings_are_refused_by_name(runs, options, words):
    runs("run", toy={"interrupt_at": 5})
    with pytest.raises(CasarbiError, match=words):
        runs.resume("run", **options)


def test_how_often_to_log_may_change(runs):
    runs("run", toy={"interrupt_at": 5})
    assert runs.resume("run", log_every=2, snapshot_every=10).weights


def test_two_snapshots_are_kept(runs):
    runs("run")
    steps = [path.name for path in list_snapshots(runs.place / "run" / "snapshots")]
    assert steps == ["step-00000020.snapshot.safetensors", "step-00000018.snapshot.safetensors"]
    assert not list((runs.place / "run").rglob("*.tmp"))


@pytest.mark.parametrize("workers", [0, 2])
def test_finished_run_resumes_to_the_same_file(runs, workers):
    weights = runs("run").weights
    before = read_checkpoint(weights).content
    after = read_checkpoint(runs.resume("run", workers=workers).weights).content
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_start_and_resume_are_never_mistaken(runs):
    with pytest.raises(CasarbiError, match="nothing to resume"):
        runs.resume("run")
    weights = runs("run").weights
    with pytest.raises(CasarbiError, match="holds a run already"):
        runs("run")
    with pytest.raises(CasarbiError, match="give one of them"):
        runs("run", start=Start(resume=True, weights=weights, device="cpu"))


def test_weights_alone_begin_a_new_run(runs):
    weights = runs("first").weights
    runs("second", start=Start(weights=weights, device="cpu"), iterations=1, learning_rate=1e-12)
    first, second = (read_checkpoint(runs.place / name / "toy.safetensors") for name in ("first", "second"))
    assert torch.allclose(first.content["0.weight"], second.content["0.weight"])
    assert read_snapshot(runs.snapshot("second")).state.step == 1
    assert json.loads(second.metadata[KEY])["initial_weights"] == f"{weights}, SHA-256 {first.sha256}"


def test_folder_in_use_is_refused(runs):
    fcntl = pytest.importorskip("fcntl")
    (runs.place / "run").mkdir()
    with (runs.place / "run" / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(CasarbiError, match="Another process is training"):
            runs("run")


def test_resuming_a_finished_run_keeps_the_metrics_in_the_header_of_its_weights(runs):
    def metrics(outcome):
        return json.loads(read_checkpoint(outcome.weights).metadata["training"])["metrics"]

    before = metrics(runs("done"))
    assert metrics(runs.resume("done")) == before != {}
