"""What a run is: a resumed one must be the same in everything that decides its weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from casarbi.errors import CasarbiError
from casarbi.plain import quote, visible
from casarbi.training.cache import CachedImages
from casarbi.training.presets import Preset
from casarbi.training.snapshots import Snapshot
from casarbi.training.task import Task

_FREE = ("log_every", "validate_every", "snapshot_every", "skip_limit", "train", "validation")
"""Settings that decide neither weights nor order, so that a resumed run may change them; of the data sets the
fingerprints count, not the references."""


def run_identity(preset: Preset, task: Task[Any], images: CachedImages, validation: CachedImages) -> dict[str, Any]:
    """What a run is, as plain JSON: another value of any of these is another run."""
    kept = {
        part: {name: value for name, value in dataclasses.asdict(settings).items() if name not in _FREE}
        for part, settings in (("data", preset.data), ("run", preset.run))
    }
    pictures = {"train": [images.fingerprint, len(images)], "validation": [validation.fingerprint, len(validation)]}
    identity = {"task": preset.task, "settings": dict(task.settings), "pictures": pictures, **kept}
    return json.loads(json.dumps(identity))  # as a snapshot gives it back: lists for tuples


def check_identity(snapshot: Snapshot, identity: Mapping[str, Any], finished: Path) -> None:
    """Refuse to go on with another run's snapshot.

    Args:
        snapshot: of the run in the folder.
        identity: of the run that is asked for.
        finished: where a finished run has its weights.

    Raises:
        CasarbiError: naming the first settings that differ.
    """
    differing = {name: (before, now) for name, before, now in _differences("", snapshot.identity, dict(identity))}
    if not differing:
        return
    folder = snapshot.path.parent.parent
    named = [f"{visible(name[:100])} {quote(a)}, now {quote(b)}" for name, (a, b) in differing.items()]

    # The two mistakes that people make get their own way out.
    if list(differing) == ["run.iterations"]:
        weights = finished if finished.is_file() else snapshot.path
        raise CasarbiError(
            f"The run in {folder} was started with another number of steps ({named[0]}), which its learning rate "
            f"follows from the first step on. Resume it without --steps, or begin another run from its weights: "
            f"--init {weights} --out FOLDER."
        )
    for part in ("train", "validation"):
        if f"pictures.{part}" in differing:
            (_, before), (_, now) = differing[f"pictures.{part}"]
            raise CasarbiError(
                f"The {part} pictures are not those that the run in {folder} was started with ({before:,} then, "
                f"{now:,} now, or other pixels or names): put them back, or begin another run with --out."
            )

    # Everything else: the first two settings are named, which is enough to recognise the run.
    more = f" (and {len(named) - 2} more)" if len(named) > 2 else ""
    raise CasarbiError(
        f"The run in {folder} was started with other settings: {'; '.join(named[:2])}{more}. Resume it with its own "
        f"settings, or start another with --out."
    )


def _differences(name: str, before: Any, now: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        found = []
        for key in [*before, *(key for key in now if key not in before)]:
            found += _differences(f"{name}.{key}".lstrip("."), before.get(key), now.get(key))
        return found
    before, now = (list(value) if isinstance(value, tuple) else value for value in (before, now))
    return [] if before == now else [(name, before, now)]
