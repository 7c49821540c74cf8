"""What a weights file says of its training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from casarbi import __version__
from casarbi.provenance import command_line, git_commit
from casarbi.training.cache import CachedImages
from casarbi.training.presets import Preset, WeightsSettings
from casarbi.training.task import Task
from casarbi.weights import sha256_file

KEY = "training"
CURVE_POINTS = 40


def start_of_header(
    preset: Preset, task: Task[Any], images: CachedImages, validation: CachedImages, initial: Path | None
) -> dict[str, Any]:
    """What is known before the first step; `initial` is the file of the first weights, None if they are random."""
    pictures = {
        name: {
            "reference": part.reference,
            "fingerprint": part.fingerprint,
            "count": len(part),
            "left_out": len(part.skipped),
        }
        for name, part in (("train", images), ("validation", validation))
    }
    return {
        "preset": preset.as_json() | {"settings": dict(task.settings)},
        "pictures": pictures,
        "initial_weights": f"{initial}, SHA-256 {sha256_file(initial)}" if initial else "random",
        "command": command_line(),
        "git_commit": git_commit(),
        "versions": {"casarbi": __version__, "torch": str(torch.__version__)},
    }


def statements(weights: WeightsSettings) -> dict[str, str]:
    """Texts by which a file says where it comes from and, if it is settled, under which licence it stands."""
    licence = {"licence": weights.licence} if weights.licence else {}
    return {"source": "trained with casarbi: casarbi info prints how", **licence}


def as_text(content: Mapping[str, Any]) -> str:
    """JSON for a header."""
    return json.dumps(dict(content))  # ASCII: a name that is not UTF-8 is escaped, and read back as it was


def thin_out(rows: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """A training curve of at most `CURVE_POINTS` rows, the last one among them, with six digits."""
    # From the end backwards, so that the last row is always kept.
    stride = max(1, -(-len(rows) // CURVE_POINTS))
    kept = list(rows[::-1][::stride][::-1])
    return [{name: float(f"{value:.6g}") for name, value in row.items()} for row in kept]
