"""One training session: from a preset to a folder with weights."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs

from casarbi import __version__
from casarbi.errors import CasarbiError
from casarbi.files import exclusive, sweep_drafts, write_json
from casarbi.provenance import command_line, git_commit
from casarbi.training.batches import Batches
from casarbi.training.cache import CachedImages, Cut, check_disk, open_images, pictures_folder
from casarbi.training.presets import Preset
from casarbi.training.progress import Reporter, SilentReporter
from casarbi.training.seeds import Purpose, torch_seed
from casarbi.training.snapshots import Snapshot, check_identity, list_snapshots, read_snapshot
from casarbi.training.task import Task, build_task
from casarbi.training.trainer import Place, Trainer
from casarbi.weights import sha256_file

# What these say decides neither weights nor order, so a resumed run may change them.
_FREE = ("log_every", "validate_every", "snapshot_every", "skip_limit", "train", "validation")

NAMED = 3
"""So many pictures that are left out are named."""


@dataclass(frozen=True)
class Start:
    """How a session begins.

    Attributes:
        resume: go on with the run in the folder.
        weights: begin a new run from the weights of this file.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    resume: bool = False
    weights: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Outcome:
    """How a session ended.

    Attributes:
        weights: the file of the finished run's averaged weights; None if it was stopped before.
        step: steps done.
        last: the file of the averaged weights of a run that was stopped.
        signal: number of the signal that stopped it, or None.
        is_main: whether this process is the one of its launch that writes and speaks.
    """

    weights: Path | None
    step: int
    last: Path | None = None
    signal: int | None = None
    is_main: bool = True


def train(preset: Preset, place: Place, start: Start, reporter: Reporter, cache_report: Any = None) -> Outcome:
    """Train a preset's network until it is done, out of time or interrupted.

    Raises:
        CasarbiError: on anything amiss with preset, data, folder or device, before the first step.
    """
    accelerator = make_accelerator(preset.run.precision, start.device)
    reporter = reporter if accelerator.is_main_process else SilentReporter()
    snapshot = _find_snapshot(place.folder, start, reporter)
    task = build_task(preset.task, preset.settings, torch_seed(preset.run.seed, Purpose.WEIGHTS))
    if start.weights:
        task.load(start.weights)
    with _claim(place.folder, reporter) if accelerator.is_main_process else nullcontext():
        for folder in (place.folder, *(place.folder / name for name in ("snapshots", "pictures"))):
            sweep_drafts(folder)
        with accelerator.main_process_first():
            images, validation = open_pictures(preset, task.least_side, reporter, cache_report)
        identity = _identity(preset, task, images, validation)
        if snapshot:
            check_identity(snapshot, identity, place.folder / f"{preset.name}.safetensors")
        else:
            task.begin(Batches(images, task.recipe, preset.run.seed, preset.run.batch))
        header = _header(preset, task, images, validation, start)
        trainer = Trainer(task, images, list(validation), preset.run, place, accelerator, reporter, header, identity)
        if snapshot:
            trainer.restore(snapshot)
        if accelerator.is_main_process:
            write_json(place.folder / "run.json", header)
        return _run(trainer, preset)


def _run(trainer: Trainer, preset: Preset) -> Outcome:
    if trainer.state.step >= preset.run.iterations:
        trainer.reporter.note(
            f"the run in {trainer.place.folder} is finished: for more steps begin another from its weights, with "
            f"--init {trainer.place.folder / preset.name}.safetensors --out FOLDER."
        )
    done, is_main = trainer.run(), trainer.accelerator.is_main_process
    if not done:
        return Outcome(None, trainer.state.step, trainer.place.last_weights, trainer.stopped_by, is_main)
    path = trainer.place.folder / f"{preset.name}.safetensors"
    if is_main:
        trainer.save(path)
        trainer.place.last_weights.unlink(missing_ok=True)
    trainer.accelerator.wait_for_everyone()  # a process that ends sooner could have its launcher end the writing one
    return Outcome(path, trainer.state.step, is_main=is_main)


def make_accelerator(precision: str, device: str) -> Accelerator:
    """Accelerate's view of the devices: one CPU or GPU, or this process's GPU of a launch of many.

    Raises:
        CasarbiError: where there is no such device.
    """
    AcceleratorState._reset_state(reset_partial_state=int(os.environ.get("WORLD_SIZE", "1")) == 1)
    os.environ.pop("ACCELERATE_TORCH_DEVICE", None)
    if device != "auto":
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError):
            raise CasarbiError(f"There is no device '{device}' here: use --device cpu or auto.") from None
        if device != "cuda":
            os.environ["ACCELERATE_TORCH_DEVICE"] = device
    mixed = "bf16" if precision == "bfloat16" else "no"
    # The first process makes pictures and validates while the others wait, for longer than NCCL's ten minutes at times.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=12))
    try:
        return Accelerator(mixed_precision=mixed, cpu=device == "cpu", kwargs_handlers=[patience])
    except ValueError as error:
        raise CasarbiError(f"This device cannot compute in {precision} ({error}): set run.precision=float32.") from None


def open_pictures(
    preset: Preset, least_side: int, reporter: Reporter, report: Any = None
) -> tuple[CachedImages, CachedImages]:
    """Training and validation pictures of a preset; those smaller than the task's patches are left out.

    The validation pictures are made now, the others when they are needed.

    Args:
        preset: names the data sets.
        least_side: of the task.
        reporter: told which pictures are left out.
        report: told how many validation pictures are made.
    """
    data, cut = preset.data, Cut(preset.data.side, max(preset.data.least, least_side))
    if 0 < data.side < least_side:
        raise CasarbiError(
            f"data.side = {data.side} makes pictures smaller than the patches of {least_side} px that are cut of them: "
            f"set it to 0, or to at least {least_side}."
        )
    images = open_images(data.train, cut)
    validation = open_images(data.validation, cut) if data.validation else images[-data.held_out :]
    if not data.validation and len(images) <= data.held_out:
        raise CasarbiError(
            f"{data.train} has {len(images)} pictures, but {data.held_out} are to be held out for validation: give "
            f"more, or set data.held_out or --validation."
        )
    images = images if data.validation else images[: -data.held_out]
    disk, validation = check_disk(images), validation.usable(report)
    for warning in dict.fromkeys((disk, _left_out(images), _left_out(validation))):
        if warning:
            reporter.note(warning, warning=True)
    missing = len(images.missing())
    if missing:
        reporter.note(
            f"{missing:,} of {len(images):,} training pictures are not made yet: each is made when it is first needed, "
            f"so the first steps are slower, and kept in {pictures_folder()}"
        )
    return images, validation


def _left_out(images: CachedImages) -> str:
    """Say which pictures are left out, or nothing."""
    count = len(images.skipped)
    if not count:
        return ""
    some = "; ".join(text.rstrip(".") for text in images.skipped[:NAMED]) + (" …" if count > NAMED else "")
    return f"{count:,} of {images.total:,} pictures of {images.reference} are left out: {some}."


def _find_snapshot(folder: Path, start: Start, reporter: Reporter) -> Snapshot | None:
    """The newest whole snapshot of the folder where the run is resumed."""
    paths = list_snapshots(folder / "snapshots")
    if not start.resume:
        if paths:
            raise CasarbiError(
                f"{folder} holds a run already ({paths[0].name}): add --resume, or choose another --out."
            )
        return None
    if start.weights:
        raise CasarbiError("--resume goes on with a run and --init begins one: give one of them.")
    if not paths:
        raise CasarbiError(f"There is nothing to resume in {folder}: it has no snapshot; leave --resume out.")
    for path in paths:
        try:
            return read_snapshot(path)
        except CasarbiError as error:
            if path == paths[-1]:
                raise
            reporter.note(f"{error} Going on from the snapshot before.", warning=True)
    return None


def _identity(preset: Preset, task: Task, images: CachedImages, validation: CachedImages) -> dict[str, Any]:
    """What a run is, as plain JSON: another value of any of these is another run."""
    kept = {
        part: {name: value for name, value in dataclasses.asdict(settings).items() if name not in _FREE}
        for part, settings in (("data", preset.data), ("run", preset.run))
    }
    pictures = {"train": [images.fingerprint, len(images)], "validation": [validation.fingerprint, len(validation)]}
    identity = {"task": preset.task, "settings": dict(task.settings), "pictures": pictures, **kept}
    return json.loads(json.dumps(identity))


def _header(preset: Preset, task: Task, images: CachedImages, validation: CachedImages, start: Start) -> dict[str, Any]:
    """What the weights' header says, but for what only the end of the run knows."""
    return {
        "preset": preset.as_json() | {"settings": dict(task.settings)},
        "pictures": {
            name: {
                "reference": part.reference,
                "fingerprint": part.fingerprint,
                "count": len(part),
                "left_out": len(part.skipped),
            }
            for name, part in (("train", images), ("validation", validation))
        },
        "initial_weights": f"{start.weights}, SHA-256 {sha256_file(start.weights)}" if start.weights else "random",
        "command": command_line(),
        "git_commit": git_commit(),
        "versions": {"casarbi": __version__, "torch": str(torch.__version__)},
    }


@contextmanager
def _claim(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Make the folder, and keep a second trainer out of it; a run that never began leaves no new folder behind."""
    is_new, lock = not folder.exists(), folder / ".lock"
    with ExitStack() as stack:
        try:
            held = stack.enter_context(exclusive(lock))
        except BlockingIOError:
            raise CasarbiError(
                f"Another process is training in {folder}: wait for it, or choose another --out."
            ) from None
        except OSError as error:
            raise CasarbiError(f"{folder} cannot be written ({error.strerror}): choose another --out.") from None
        if not held:
            reporter.note(
                f"the disk of {folder} has no locks, so nothing keeps two trainings in this folder apart: start one "
                f"alone.",
                warning=True,
            )
        try:
            yield
        finally:
            if is_new and [path.name for path in folder.iterdir()] == [lock.name]:
                lock.unlink()
                folder.rmdir()
