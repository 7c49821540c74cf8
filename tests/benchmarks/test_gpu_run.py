"""`make gpu`: steps that end well, fail or take too long, and the training that is planned from what was measured."""

import json
import os
import sys
import time

import pytest
from click.testing import CliRunner

from benchmarks.speed import gpu
from benchmarks.speed.gpu import Plan, Steps, main, take_along, training_command
from casarbi.errors import CasarbiError


@pytest.fixture
def plan(tmp_path):
    return Plan("cuda", tmp_path, None, 0.0, time.monotonic() + 600)


def python(code):
    return [sys.executable, "-c", code]


def test_a_step_is_done_failed_or_cut_off_and_the_log_has_all_it_said(plan, capsys):
    wait = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('half of it')"
    steps = Steps(plan)
    steps.run("good", python("print('fine')"), 60)
    steps.run("bad", python("raise SystemExit(3)"), 60)
    steps.run("long", python(wait), 3)
    known = json.loads((plan.folder / "steps.json").read_text())
    assert [step["status"] for step in known.values()] == ["done", "failed with exit code 3", "cut off"]
    assert (plan.folder / "log.txt").read_text().split("\n") == ["fine", "half of it", ""]
    assert "half of it" in capsys.readouterr().out
    assert [Steps(plan).is_done(name) for name in ("good", "bad", "long", "never")] == [True, False, False, False]


def measure(plan, **speeds):
    found = [
        {
            "params": {"compiled": name == "compiled"},
            "extra_info": {"steps_per_second": rate, "first_seconds": first},
        }
        for name, (rate, first) in speeds.items()
    ]
    (plan.folder / "training-speed.json").write_text(json.dumps({"benchmarks": found}))


@pytest.mark.parametrize(
    ("seconds", "compiled", "steps"), [(100, False, 841), (600, True, 6426)], ids=["short", "long"]
)
def test_training_is_compiled_if_that_makes_more_steps_in_the_time(plan, seconds, compiled, steps):
    measure(plan, plain=(10.0, 1.0), compiled=(14.0, 60.0))
    command = training_command(plan, seconds)
    assert ("--compile" in command) is compiled and command[command.index("--steps") + 1] == str(steps)


def test_training_has_the_preset_s_steps_if_none_were_timed(plan):
    (plan.folder / "training-speed.json").touch()
    assert not {"--steps", "--compile"} & {*training_command(plan, 100)}


def test_pictures_are_those_that_were_given(tmp_path, plan, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "portraits?split=train&n=2048&size=256" in gpu.pictures(plan)
    (tmp_path / "data/faces/train").mkdir(parents=True)
    assert gpu.pictures(plan) == []
    faces = Plan("cuda", tmp_path, tmp_path / "mine", 0.0, 0.0)
    assert gpu.pictures(faces) == ["--data", f"folder:{tmp_path / 'mine'}"]
    for part in ("train", "val"):
        (tmp_path / "mine" / part).mkdir(parents=True)
    assert gpu.pictures(faces)[1::2] == [f"folder:{tmp_path / 'mine/train'}", f"folder:{tmp_path / 'mine/val'}?n=8"]


def test_the_newest_weights_are_taken_along(plan):
    plan.run.mkdir()
    for age, name in enumerate(("last", "best")):
        (plan.run / f"{name}.safetensors").write_text(name)
        past = time.time() - 100 * age
        os.utime(plan.run / f"{name}.safetensors", (past, past))
    take_along(plan)
    assert (plan.folder / "gpu-face.safetensors").read_text() == "last"


def test_without_a_gpu_one_sentence_says_so(monkeypatch, tmp_path):
    def none(name):
        raise CasarbiError("no such device")

    monkeypatch.setattr(gpu, "pick_device", none)
    done = CliRunner().invoke(main, ["--out", str(tmp_path / "out")])
    assert done.exit_code == 1 and done.output.startswith("Error: make gpu needs a GPU, and torch sees none here")
    assert not (tmp_path / "out").exists()
