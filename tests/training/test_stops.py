"""Whatever stops a run, usable weights, log and pictures are there, and the limit counts everything."""

import json
import math
import signal
import time

import pytest
import torch

from casarbi.checkpoints import find_state, read_checkpoint, read_state
from casarbi.errors import CasarbiError
from casarbi.files import replacing
from casarbi.training import clock, trainer
from casarbi.training.clock import Clock
from casarbi.training.header import KEY
from casarbi.training.run import Workspace
from casarbi.training.session import Start
from casarbi.training.snapshots import list_snapshots, read_snapshot

ALWAYS = {"interrupt_at": 6}


def header(path):
    return json.loads(read_checkpoint(path).metadata[KEY])


@pytest.mark.parametrize("stop", [{"toy": ALWAYS}, {"minutes": 1e-9}, {"toy": {"terminate_at": 6}}])
def test_every_stop_leaves_weights_log_and_pictures(runs, stop):
    stopped = runs("run", log_every=4, validate_every=50, **stop)
    folder, step = runs.place / "run", stopped.step
    assert stopped.weights is None and stopped.last == folder / "last.safetensors"
    assert header(stopped.last)["progress"] == f"{step} of 20 steps" and header(stopped.last)["metrics"] == {}
    average = read_snapshot(runs.snapshot("run")).tensors["average"]
    written = read_checkpoint(stopped.last).content
    assert all(torch.equal(written[name], tensor) for name, tensor in average.items())
    assert runs.rows("run")[-1]["step"] == step
    assert header(stopped.last)["curve"][-1]["step"] == step
    # That limit leaves no time for a picture.
    assert (folder / "pictures" / f"step-{step:08d}.png").is_file() == (stop != {"minutes": 1e-9})
    assert ("no time left for pictures" in runs.listener.notes[-1]) == (stop == {"minutes": 1e-9})


def test_a_stop_changes_neither_logs_nor_best_weights_of_the_run(runs):
    runs("unbroken", log_every=4, validate_every=8)
    runs("broken", log_every=4, validate_every=8, toy=ALWAYS)
    assert runs.rows("broken")[-1]["step"] == 7 and not runs.rows("broken", "validation.csv")
    runs.resume("broken", log_every=4, validate_every=8)
    for log in ("log.csv", "validation.csv"):
        assert runs.rows("broken", log) == runs.rows("unbroken", log)


def test_weights_of_a_stop_go_when_the_run_is_finished(runs):
    last = runs("run", toy=ALWAYS).last
    assert last.is_file() and runs.resume("run").weights.is_file() and not last.exists()


def test_a_second_interrupt_leaves_the_pictures_out(runs, monkeypatch):
    def interrupted(*rest):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trainer.Trainer, "_measure", interrupted)
    stopped = runs("run", toy=ALWAYS, validate_every=50)
    assert stopped.signal == signal.SIGINT and stopped.last.is_file()
    assert not (runs.place / "run" / "pictures").exists()


def test_pictures_of_a_stop_are_as_many_as_there_is_time_for(runs, monkeypatch):
    seen, real = [], trainer.Trainer._measure

    def slow(run, images):
        seen.append(len(images))
        time.sleep(0.2 * len(images))
        return real(run, images)

    monkeypatch.setattr(trainer.Trainer, "_measure", slow)
    for patience, counts in ((30.0, [1, 3]), (0.5, [1]), (0.0, [1])):
        monkeypatch.setattr(trainer, "PATIENCE_SECONDS", patience)
        seen.clear()
        runs(f"run{patience}", toy=ALWAYS, validate_every=50)
        assert seen == counts
    assert "(1 of 3 validation pictures)" in runs.listener.notes[-1]


def test_clock_keeps_time_for_what_a_stop_writes(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(clock.time, "monotonic", lambda: now[0])
    watch = Clock(0.0, 10.0)  # 600 s, of which 3 are for leaving: 497 are left
    assert watch.left() == 497
    watch.took = {"step": 5.0, "snapshot": 10.0, "validation": 20.0}
    now[0] = 547.0
    watch._began = 546.0
    assert not watch.is_up()  # 50 s are left: a step, two files and 24 s of pictures
    now[0] = 549.0
    assert watch.is_up()
    now[0] = 420.0
    watch.took["validation"] = 1000.0
    assert not watch.is_up()  # pictures get a quarter of the limit at most
    now[0] = 423.0
    assert watch.is_up()
    assert Clock(0.0, None).left() == math.inf and not Clock(0.0, None).is_up()


def test_limit_counts_from_the_start_of_the_command(runs, monkeypatch):
    """Opening and drawing pictures took all of it: one step is made, so that sessions in a row get on."""
    began = time.monotonic() - 90
    monkeypatch.setattr("training_runs.Workspace", lambda *rest, **options: Workspace(*rest, began=began, **options))
    assert runs("run", minutes=1.5).step == 1
    assert runs("other", minutes=60).step == 20


def test_snapshot_serves_as_weights(runs):
    stopped = runs("run", toy=ALWAYS)
    snapshot = runs.snapshot("run")
    state = read_state(snapshot)
    assert state.notes == ("averaged weights of a snapshot",)
    last = read_checkpoint(stopped.last).content
    assert last.keys() == state.tensors.keys() and all(torch.equal(last[n], t) for n, t in state.tensors.items())
    assert header(snapshot)["progress"] == f"{stopped.step} of 20 steps"
    runs("more", start=Start(weights=snapshot, device="cpu"), iterations=1, learning_rate=1e-12)
    more = read_checkpoint(runs.place / "more" / "toy.safetensors").content
    assert torch.allclose(more["0.weight"], last["0.weight"])


def test_keys_that_look_like_those_of_a_snapshot_are_left_alone(tmp_path):
    tensors = {"average/weight": torch.zeros(2), "other/weight": torch.zeros(2)}
    assert find_state(tensors, tmp_path).tensors.keys() == tensors.keys()


def test_drafts_of_killed_writes_are_swept_at_the_start(runs):
    drafts = []
    for name in ("run", "run/snapshots", "run/pictures"):
        (runs.place / name).mkdir()
        with replacing(runs.place / name / "x") as draft:
            draft.touch()
            # A process of this machine that is gone.
            drafts.append(draft.with_name(draft.name.replace(draft.name.split("-")[2], "4194304")))
            drafts[-1].touch()
    runs("run")
    assert not any(draft.exists() for draft in drafts)


@pytest.mark.parametrize("finished", [True, False])
def test_another_number_of_steps_names_the_way_to_go_on(runs, finished):
    runs("run", toy={} if finished else ALWAYS)
    weights = runs.place / "run" / "toy.safetensors" if finished else list_snapshots(runs.place / "run/snapshots")[0]
    with pytest.raises(CasarbiError, match=r"run.iterations 20, now 40\)") as caught:
        runs.resume("run", iterations=40)
    assert f"--init {weights} --out FOLDER" in str(caught.value)
    if finished:
        runs.resume("run")
        assert any("is finished" in note and f"--init {weights}" in note for note in runs.listener.notes)
