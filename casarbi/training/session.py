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
from casarbi.files import exclusive, write_json
from casarbi.provenance import command_line, git_commit
from casarbi.training.batches import Batches
from casarbi.training.cache import CachedImages, Cut, cache_images
from casarbi.training.presets import Preset
from casarbi.training.progress import Reporter
from casarbi.training.seeds import Purpose, torch_seed
from casarbi.training.snapshots import Snapshot, check_identity, list_snapshots, read_snapshot
from casarbi.training.task import Task, build_task
from casarbi.training.trainer import Place, Trainer
from casarbi.weights import sha256_file

# What these say decides neither weights nor order, so a resumed run may change them.
_FREE = ("log_every", "validate_every", "snapshot_every", "skip_limit", "train", "validation")


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
        weights: the file of the finished run's averaged weights; None where it was stopped before.
        step: steps done.
        signal: number of the signal that stopped it, or None.
        is_main: whether this process is the one of its launch that writes and speaks.
    """

    weights: Path | None
    step: int
    signal: int | None = None
    is_main: bool = True


def train(preset: Preset, place: Place, start: Start, reporter: Reporter, cache_report: Any = None) -> Outcome:
    """Train a preset's network until it is done, out of time or interrupted.

    Raises:
        CasarbiError: on anything amiss with preset, data, folder or device, before the first step.
    """
    accelerator = make_accelerator(preset.run.precision, start.device)
    snapshot = _find_snapshot(place.folder, start, reporter)
    task = build_task(preset.task, preset.settings, torch_seed(preset.run.seed, Purpose.WEIGHTS))
    if start.weights:
        task.load(start.weights)
    with accelerator.main_process_first():
        images, validation = open_pictures(preset, task.least_side, place.workers, cache_report)
    identity = _identity(preset, task, images, validation)
    if snapshot:
        check_identity(snapshot, identity)
    else:
        task.begin(Batches(images, task.recipe, preset.run.seed, preset.run.batch))
    header = _header(preset, task, images, validation, start)
    place.folder.mkdir(parents=True, exist_ok=True)
    with _claim(place.folder) if accelerator.is_main_process else nullcontext():
        trainer = Trainer(task, images, list(validation), preset.run, place, accelerator, reporter, header, identity)
        if snapshot:
            trainer.restore(snapshot)
        if accelerator.is_main_process:
            write_json(place.folder / "run.json", header)
        return _run(trainer, preset)


def _run(trainer: Trainer, preset: Preset) -> Outcome:
    done, is_main = trainer.run(), trainer.accelerator.is_main_process
    if not done:
        return Outcome(None, trainer.state.step, trainer.stopped_by, is_main)
    path = trainer.place.folder / f"{preset.name}.safetensors"
    if is_main:
        trainer.save(path)
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
    preset: Preset, least_side: int, workers: int, report: Any = None
) -> tuple[CachedImages, CachedImages]:
    """Training and validation pictures of a preset, cached; those smaller than the task's patches are left out."""
    data, cut = preset.data, Cut(preset.data.side, max(preset.data.least, least_side))
    if 0 < data.side < least_side:
        raise CasarbiError(
            f"data.side = {data.side} makes pictures smaller than the patches of {least_side} px that are cut of them: "
            f"set it to 0, or to at least {least_side}."
        )
    images = cache_images(data.train, cut, workers=max(workers, os.cpu_count() or 1), report=report)
    if data.validation:
        return images, cache_images(data.validation, cut, workers=1, report=report)
    if len(images) <= data.held_out:
        raise CasarbiError(
            f"{data.train} has {len(images)} pictures, but {data.held_out} are to be held out for validation: give "
            f"more, or set data.held_out or --validation."
        )
    return images[: -data.held_out], images[-data.held_out :]


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
            name: {"reference": part.reference, "fingerprint": part.fingerprint, "count": len(part)}
            for name, part in (("train", images), ("validation", validation))
        },
        "initial_weights": f"{start.weights}, SHA-256 {sha256_file(start.weights)}" if start.weights else "random",
        "command": command_line(),
        "git_commit": git_commit(),
        "versions": {"casarbi": __version__, "torch": str(torch.__version__)},
    }


@contextmanager
def _claim(folder: Path) -> Iterator[None]:
    """Keep a second trainer out of the folder."""
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(folder / ".lock", wait=False))
        except BlockingIOError:
            raise CasarbiError(
                f"Another process is training in {folder}: wait for it, or choose another --out."
            ) from None
        yield
