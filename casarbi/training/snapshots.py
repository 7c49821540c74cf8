"""Snapshots that a stopped run goes on from: one safetensors file each, so its parts cannot be of different steps.

A file holds the weights, their average, and Adam's moments; its header holds the rest as JSON. Random generators have
no state here (see `seeds`), and the learning rate is a function of the step (see `schedule`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from casarbi.checkpoints import read_checkpoint
from casarbi.errors import CasarbiError
from casarbi.files import free_bytes, replacing
from casarbi.training.optimizer import step_count

FORMAT = 1
KEPT = 2
PARTS = ("network", "average", "optimizer")
_NAME = re.compile(r"step-(\d+)\.snapshot\.safetensors")


@dataclass
class RunState:
    """Where a run stands; every number counts what is done.

    Attributes:
        step: steps done, skipped ones included.
        skipped: steps without an update, because the loss or gradient was not finite.
        skipped_in_a_row: how many of them were the last ones.
        updates: updates of the weight average.
        best: step and value of the best validation, or nothing yet.
        window: sums of the losses since the last row of the log, and under "steps" how many they are.
        unusable: indices of the training pictures that turned out to be unusable.
        seconds: spent training, over all sessions.
    """

    step: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    updates: int = 0
    best: dict[str, float] = field(default_factory=dict)
    window: dict[str, float] = field(default_factory=dict)
    unusable: list[int] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot file holds.

    Attributes:
        path: the file.
        state: where the run stood.
        identity: what the run is: preset, data fingerprints, task settings; a resumed run must have the same.
        tensors: "network", "average" and "optimizer", each by name.
    """

    path: Path
    state: RunState
    identity: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


def write_snapshot(
    folder: Path,
    state: RunState,
    identity: Mapping[str, Any],
    tensors: Mapping[str, Mapping[str, Tensor]],
    header: Mapping[str, str],
) -> Path:
    """Write a snapshot, and remove all but the newest two.

    Args:
        folder: of the run's snapshots.
        state: where the run stands.
        identity: what the run is.
        tensors: see `Snapshot`.
        header: what a weights file of the method says, so that the averaged weights can be loaded from here too.

    Raises:
        OSError, SafetensorError: if the disk refuses; older snapshots are then untouched.
    """
    path = folder / f"step-{state.step:08d}.snapshot.safetensors"
    # One flat file, such as "average/head.weight": weights, average and optimizer are of one step or not there at all.
    named = {
        f"{part}/{name}": tensor.detach().cpu().contiguous() for part in PARTS for name, tensor in tensors[part].items()
    }
    own = {"format": str(FORMAT), "state": json.dumps(asdict(state)), "identity": json.dumps(dict(identity))}
    with replacing(path) as draft:
        save_file(named, draft, metadata={**header, **own})
    # The new one is on the disk before the oldest goes, so there is always one to resume from.
    for old in list_snapshots(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def list_snapshots(folder: Path) -> list[Path]:
    """Snapshots of a folder, newest first."""
    found = [(int(match[1]), path) for path in folder.glob("*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot.

    Raises:
        CasarbiError: if the file is damaged, is no snapshot (weights alone, say), lacks a part, or its parts are of
            different steps.
    """
    checkpoint = read_checkpoint(path)
    header = checkpoint.metadata
    if not {"format", "state", "identity"} <= header.keys():
        raise CasarbiError(
            f"{path} holds weights but no state of a run, so nothing can be resumed from it: to begin a new run from "
            f"its weights alone, write --init {path}."
        )
    try:
        if int(header["format"]) != FORMAT:
            raise CasarbiError(f"{path} is a snapshot of format {header['format']}; this version reads {FORMAT}.")
        state, identity = RunState(**json.loads(header["state"])), json.loads(header["identity"])
    except (ValueError, TypeError):
        raise CasarbiError(f"The header of {path} is damaged: resume from an older snapshot.") from None
    # Back into parts; a part without any tensor is there too, and empty.
    tensors: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    for key, tensor in checkpoint.content.items():
        part, _, name = key.partition("/")
        tensors.setdefault(part, {})[name] = tensor
    snapshot = Snapshot(path, state, identity, tensors)
    _check_steps(snapshot)
    return snapshot


def _check_steps(snapshot: Snapshot) -> None:
    """Refuse weights and optimizer of different steps (XPixelGroup/BasicSR#64)."""
    state, path = snapshot.state, snapshot.path
    updates, counted = state.step - state.skipped, step_count(snapshot.tensors["optimizer"])
    if updates and not snapshot.tensors["optimizer"]:
        raise CasarbiError(
            f"{path} lacks the optimizer's state, so its run cannot go on as it was: to begin a new run from its "
            f"weights alone, write --init {path}."
        )
    if not snapshot.tensors["network"] or not snapshot.tensors["average"]:
        raise CasarbiError(f"{path} lacks the weights or their average: resume from an older snapshot.")
    if counted != updates or state.updates != updates or _step_in_name(path) not in (None, state.step):
        raise CasarbiError(
            f"{path} mixes states: its run has made {updates} updates ({state.step} steps), its optimizer {counted} "
            f"and its weight average {state.updates}; resume from an older snapshot."
        )


def _step_in_name(path: Path) -> int | None:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else None


def check_space(folder: Path, network: nn.Module) -> None:
    """Refuse to begin what cannot be stored: a snapshot takes four times the weights, and three lie there at once.

    Raises:
        CasarbiError: saying how many bytes are free and how many are needed.
    """
    weights = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    needed, free = 4 * (KEPT + 1) * weights, free_bytes(folder)
    if free < needed:
        raise CasarbiError(
            f"{folder} has {free:,} bytes free, but snapshots take up to {needed:,}: free some space, or choose "
            f"another disk with --out."
        )
