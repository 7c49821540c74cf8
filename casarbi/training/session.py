"""One training session: from a preset to a folder with weights."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from casarbi.errors import CasarbiError
from casarbi.files import sweep_drafts, write_json
from casarbi.training.batches import Batches
from casarbi.training.cache import Report
from casarbi.training.claim import claim
from casarbi.training.compiling import compiled_blocks
from casarbi.training.device import make_accelerator
from casarbi.training.header import start_of_header
from casarbi.training.identity import check_identity, run_identity
from casarbi.training.pictures import open_pictures
from casarbi.training.presets import Preset
from casarbi.training.progress import Reporter, SilentReporter
from casarbi.training.run import Run, Workspace
from casarbi.training.seeds import Purpose, torch_seed
from casarbi.training.snapshots import Snapshot, list_snapshots, read_snapshot
from casarbi.training.task import build_task
from casarbi.training.trainer import Outcome, Trainer


@dataclass(frozen=True)
class Start:
    """How a session begins.

    Attributes:
        resume: go on with the run in the folder.
        weights: begin a new run from the weights of this file.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        compile: compile the network's blocks; changes speed, and rounding.
    """

    resume: bool = False
    weights: Path | None = None
    device: str = "auto"
    compile: bool = False


def train(
    preset: Preset,
    place: Workspace,
    start: Start,
    reporter: Reporter,
    cache_report: Report | None = None,
) -> Outcome:
    """Train a preset's network until it is done, out of time or interrupted.

    Args:
        preset: what is trained, on what and how.
        place: where, and for how long.
        start: from where.
        reporter: told of the progress.
        cache_report: called with how many validation pictures are made, and how many there are.

    Raises:
        CasarbiError: if preset, data, folder or device cannot be used, before the first step.
    """
    # Mistakes that show without the images are told before the folder is made.
    accelerator = make_accelerator(preset.run.precision, start.device)
    reporter = reporter if accelerator.is_main_process else SilentReporter()
    snapshot = _find_snapshot(place, start, reporter)
    task = build_task(preset.task, preset.settings, torch_seed(preset.run.seed, Purpose.WEIGHTS))
    if start.weights:
        task.load(start.weights)

    with claim(place.folder, reporter) if accelerator.is_main_process else nullcontext():
        for folder in (place.folder, place.snapshots, place.pictures):
            sweep_drafts(folder)
        # The first process makes the validation pictures; the others find them made.
        with accelerator.main_process_first():
            images, validation = open_pictures(preset.data, task.least_side, reporter, cache_report)

        # A resumed run has to be the one of the snapshot; a new one begins with what its task prepares.
        run = Run(
            preset.name,
            task,
            preset.run,
            preset.weights,
            images,
            list(validation),
            place,
            run_identity(preset, task, images, validation),
            start_of_header(preset, task, images, validation, start.weights),
        )
        if snapshot:
            check_identity(snapshot, run.identity, run.weights)
        else:
            batches = Batches(images, task.recipe, preset.run.seed, preset.run.batch)
            task.begin(lambda: batches[0])

        trainer = Trainer(run, accelerator, reporter, snapshot)
        if accelerator.is_main_process:
            write_json(place.folder / "run.json", run.header)
        if trainer.state.step >= preset.run.iterations:
            _note_finished(run, reporter)
        with compiled_blocks(trainer.network) if start.compile else nullcontext():
            return trainer.train()


def _note_finished(run: Run, reporter: Reporter) -> None:
    reporter.note(
        f"the run in {run.place.folder} is finished: for more steps begin another from its weights, with "
        f"--init {run.weights} --out FOLDER."
    )


def _find_snapshot(place: Workspace, start: Start, reporter: Reporter) -> Snapshot | None:
    """The newest whole snapshot of a run that is resumed; None for a new run, whose folder must not hold another."""
    paths = list_snapshots(place.snapshots)
    if not start.resume:
        if paths:
            raise CasarbiError(
                f"{place.folder} holds a run already ({paths[0].name}): add --resume, or choose another --out."
            )
        return None
    if start.weights:
        raise CasarbiError("--resume goes on with a run and --init begins one: give one of them.")
    if not paths:
        raise CasarbiError(f"There is nothing to resume in {place.folder}: it has no snapshot; leave --resume out.")
    for path in paths:
        try:
            return read_snapshot(path)
        except CasarbiError as error:
            if path == paths[-1]:
                raise
            reporter.note(f"{error} Going on from the snapshot before.", warning=True)
    return None
