"""`make gpu`: the most of some minutes on a machine with a GPU, perhaps without network.

Each step is a command that could be typed by hand. They run one at a time, from cheap to dear, and training comes last,
with all the time that is left. What a step gives lies in the folder before the next one begins; one that fails or takes
too long costs the others nothing. The same command again leaves out what is done and goes on with the training.

    steps.json             how each step ended, after how many seconds, and its command
    log.txt                everything that the steps printed
    table5/, store/        Table V at the mini size and, after it, at the papers': reports and what was measured
    faces-mini.json        faces per second in batches, as pytest-benchmark writes them
    training-speed.json    steps of training per second, plain and compiled
    faces-paper.json       as faces-mini.json, of CasArbi at the paper's size
    gpu-face.safetensors   the newest weights, below 16 MB
    training.csv           losses of the training
    sheet.png              the newest pictures of the training
    training/              the run itself, whose snapshots are too large to be taken along
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from casarbi.console import echo
from casarbi.devices import pick_device
from casarbi.errors import CasarbiError
from casarbi.files import write_json
from casarbi.training.presets import load_preset
from casarbi.training.snapshots import list_snapshots

PROJECT = Path(__file__).parents[2]
PRESET = "gpu-face"
MINUTES = 9.0
AT_MOST = {
    **{"tests": 1.5, "table5-mini": 0.75, "faces-mini": 0.5, "training-speed": 1.75},
    **{"table5-paper": 1.75, "faces-paper": 0.25},
}
"""Minutes of each step out of `MINUTES`; the share of a step stays the same if there are fewer."""
BEGINNING_SECONDS, ENDING_SECONDS = 20.0, 5.0
"""A training takes so long to begin, and this program to copy the results at the end."""
GRACE_SECONDS = 15.0
"""A step that is cut off has so long to write what it has."""
SHOWN_LINES = 40
"""So many of the last lines that a step printed are shown; log.txt has them all."""
FILL = 0.85
"""Part of the time left that the planned training fills: a finished schedule is worth more than some more steps."""
SMALL = (
    *("run.batch=2", "run.log_every=1", "run.snapshot_every=20", "settings.process.T=2", "settings.network.width=8"),
    *("settings.items.validation_scales=[2]", "settings.items.validation_batches=1"),
)
"""Settings with which a CPU tries the training out."""


@dataclass(frozen=True)
class Plan:
    """What was asked for.

    Attributes:
        device: "cuda", or "cpu", where every step is made small.
        folder: results go here.
        faces: folder of pictures, or of folders train/ and val/; None: those of the preset if they are there, else
            drawn portraits.
        later: seconds that later calls will add to the training.
        end: time.monotonic() by which all must be over.
    """

    device: str
    folder: Path
    faces: Path | None
    later: float
    end: float

    @property
    def small(self) -> bool:
        """Whether this only tries the steps out."""
        return self.device == "cpu"

    @property
    def run(self) -> Path:
        """Folder of the training."""
        return self.folder / "training"

    def left(self) -> float:
        """Seconds until the end."""
        return self.end - time.monotonic()


class Steps:
    """The steps that have begun, in steps.json; each in a process of its own."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.path, self.log = plan, plan.folder / "steps.json", plan.folder / "log.txt"
        self.known: dict[str, dict[str, Any]] = json.loads(self.path.read_text()) if self.path.is_file() else {}

    def is_done(self, name: str) -> bool:
        """Whether a step ended well, now or in an earlier call."""
        return bool(self.known.get(name, {}).get("status") == "done")

    def run(self, name: str, command: Sequence[str], seconds: float, *more: str) -> None:
        """Run a step for at most some seconds, and say how it ended.

        Args:
            name: of the step.
            command: is noted before it begins, so that a later call knows it even if all this is killed.
            seconds: after which it is cut off.
            more: words of the command that hold for this call alone.
        """
        step = self.known[name] = {"status": "begun", "seconds": 0.0, "command": list(command)}
        write_json(self.path, self.known)
        echo(f"{name}: {' '.join([*command, *more])}")
        began, place = time.monotonic(), self.log.stat().st_size if self.log.is_file() else 0
        step["status"] = self._execute([*command, *more], seconds)
        step["seconds"] = round(time.monotonic() - began, 1)
        write_json(self.path, self.known)

        with self.log.open("rb") as file:
            file.seek(place)
            lines = file.read().decode(errors="replace").splitlines()
        for line in lines[-SHOWN_LINES:]:
            echo(f"    {line}")
        echo(f"{name}: {step['status']} after {step['seconds']:g} s")

    def _execute(self, command: Sequence[str], seconds: float) -> str:
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if self.plan.small else {}
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "CASARBI_TEST_DEVICE": self.plan.device, **hidden}
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, cwd=PROJECT, env=env, stdout=log, stderr=subprocess.STDOUT)
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                return "cut off"
            finally:
                _end(process)
        return "done" if code == 0 else f"failed with exit code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs, as Ctrl-C does, so that it writes what it has; then at once."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def checks(plan: Plan) -> dict[str, list[str]]:
    """Commands of the steps before the training."""
    methods, training = (f"benchmarks/speed/test_{name}_speed.py" for name in ("methods", "training"))
    # Batches of IDM and Kim at the papers' size, 200 evaluations each, would take all the time.
    mini, paper = ("mini-1-float32", "LIIF-paper-1-float32") if plan.small else ("mini", "Ours-paper")
    pytest = [sys.executable, "-m", "pytest"]

    def measured(name: str) -> list[str]:
        columns = "--benchmark-columns=min,median,rounds"
        return ["-m", "", "--benchmark-only", columns, f"--benchmark-json={plan.folder / name}.json"]

    def table5(preset: str) -> list[str]:
        places = ["--store", str(plan.folder / "store"), "--out", str(plan.folder), "--device", plan.device]
        tried = ["--dry-run"] if plan.small else []
        return [sys.executable, "-m", "benchmarks.cli", "run", "table5", "--preset", preset, *places, *tried]

    return {
        "tests": [*pytest, "tests/test_gpu.py", "-m", "gpu", "-rs", "--durations=5"],
        "table5-mini": table5("mini"),
        "faces-mini": [*pytest, methods, *measured("faces-mini"), "-k", mini],
        "training-speed": [*pytest, training, *measured("training-speed"), "-rs"],
        "table5-paper": table5("paper"),
        "faces-paper": [*pytest, methods, *measured("faces-paper"), "-k", paper],
    }


def training_command(plan: Plan, seconds: float) -> list[str]:
    """Command of a new training that fills the seconds, over all calls: as long, and compiled, as measured speed says.

    Without a measurement it is as long as the preset says, and not compiled.
    """
    words = ["casarbi.cli", "train", PRESET, "--device", plan.device, "-o", str(plan.run), *pictures(plan)]
    words += ["--workers", str(1 if plan.small else max(1, (os.cpu_count() or 1) - 2))]
    words += [word for setting in (SMALL if plan.small else ()) for word in ("-s", setting)]
    speeds = measured_speeds(plan.folder / "training-speed.json")
    if speeds:
        # A compiled run begins later, and makes more steps in the time after that.
        steps = {compiled: int(FILL * rate * (seconds - first)) for compiled, (rate, first) in speeds.items()}
        compiled = max(steps, key=lambda kind: steps[kind])
        planned = max(1, steps[compiled])
        words += ["--steps", str(planned), "-s", f"run.validate_every={-(-planned // 2)}"]
        words += ["--compile"] if compiled else []
    return [sys.executable, "-m", *words]


def measured_speeds(path: Path) -> dict[bool, tuple[float, float]]:
    """Steps per second, and seconds before the first ones are done, of plain (False) and compiled training (True)."""
    if not path.is_file() or not path.stat().st_size:  # pytest-benchmark makes it empty first
        return {}
    found = json.loads(path.read_text())["benchmarks"]
    return {
        bool(one["params"]["compiled"]): (one["extra_info"]["steps_per_second"], one["extra_info"]["first_seconds"])
        for one in found
    }


def pictures(plan: Plan) -> list[str]:
    """Options that say which pictures are trained on."""
    if plan.faces is None and os.path.isdir(load_preset(PRESET).data.train.partition(":")[2]):
        return []
    if plan.faces is None:
        counts = {"train": 16, "val": 4} if plan.small else {"train": 2048, "val": 8}
        drawn = {split: f"portraits?split={split}&n={count}&size=256" for split, count in counts.items()}
        names = ["--data", drawn["train"], "--validation", drawn["val"]]
        return [*names, "-s", "weights.trained_on=drawn portraits", "-s", "weights.licence=MIT"]
    train_folder, val_folder = plan.faces / "train", plan.faces / "val"
    words = ["--data", f"folder:{train_folder if train_folder.is_dir() else plan.faces}"]
    return [*words, "--validation", f"folder:{val_folder}?n=8"] if val_folder.is_dir() else words


def train(plan: Plan, steps: Steps) -> None:
    """Begin the training, or go on with it, for the time that is left."""
    seconds = plan.left() - ENDING_SECONDS
    if (plan.run / f"{PRESET}.safetensors").is_file():
        return echo("training: done before")
    if seconds < BEGINNING_SECONDS:
        return echo("training: no time is left for it")
    # A training that goes on must be the one that was begun, to the last option.
    if list_snapshots(plan.run / "snapshots") and "training" in steps.known:
        command = steps.known["training"]["command"]
        command += [] if "--resume" in command else ["--resume"]
    else:
        command = training_command(plan, seconds + plan.later - BEGINNING_SECONDS)
    steps.run("training", command, seconds, "--minutes", f"{(seconds - ENDING_SECONDS) / 60:.2f}")


def take_along(plan: Plan) -> None:
    """Copy what is worth keeping of the training beside the other results."""
    weights = [plan.run / f"{name}.safetensors" for name in (PRESET, "last", "best")]
    sheets = (plan.run / "pictures").glob("*.png")
    kept = {f"{PRESET}.safetensors": weights, "training.csv": [plan.run / "log.csv"], "sheet.png": [*sheets]}
    for name, found in kept.items():
        there = [path for path in found if path.is_file()]
        if there:
            shutil.copyfile(max(there, key=lambda path: path.stat().st_mtime), plan.folder / name)


@click.command()
@click.option("--minutes", type=click.FloatRange(min=1), default=MINUTES, show_default=True, help="Time for all steps.")
@click.option(
    "--later", type=click.FloatRange(min=0), default=0.0, help="Minutes that later calls add to the training."
)
@click.option("--device", default="cuda", show_default=True, help="cuda; cpu tries every step out, at small size.")
@click.option("--faces", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Pictures to train on.")
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), default=PROJECT / "runs" / "gpu")
@click.option(
    "--at-most", "limits", type=(click.Choice([*AT_MOST]), float), multiple=True, help="STEP MINUTES; 0: never."
)
def main(minutes: float, later: float, device: str, faces: Path | None, out: Path, limits: Sequence[Any]) -> None:
    """Test, time and train on a GPU for some minutes."""
    end = time.monotonic() + 60 * minutes
    # Background jobs of a shell ignore Ctrl-C, and so would the steps, which are ended by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pick_device(device)
    except CasarbiError:
        raise click.ClickException(
            "make gpu needs a GPU, and torch sees none here: make gpu DEVICE=cpu tries every step out."
        ) from None
    out.mkdir(parents=True, exist_ok=True)
    plan = Plan(device, out.resolve(), faces and faces.resolve(), 60 * later, end)
    steps, share = Steps(plan), min(1.0, minutes / MINUTES)
    at_most = {name: share * limit for name, limit in AT_MOST.items()} | dict(limits)
    for name, command in checks(plan).items():
        if steps.is_done(name):
            echo(f"{name}: done before")
        elif at_most[name] > 0:
            steps.run(name, command, min(60 * at_most[name], plan.left()))
    try:
        train(plan, steps)
    finally:
        take_along(plan)
    for name, step in steps.known.items():
        echo(f"{name:<16}{step['status']:<28}{step['seconds']:>7.1f} s")
    echo(f"{plan.folder} holds the results")
    if any(step["status"].startswith("failed") for step in steps.known.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
