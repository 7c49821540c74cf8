"""Reads safetensors files; the header is checked before the library believes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from casarbi.checkpoints.faults import WeightsFileError
from casarbi.plain import quote, visible

LONGEST_HEADER = 2**23
"""Bytes of a safetensors header, which holds names, shapes and our texts, but no values."""


def read_safetensors_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors, onto the CPU, and the texts of the header, both by name.

    Raises:
        WeightsFileError: if the file is damaged or of another kind.
    """
    header = _read_header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        reason = visible((str(error).strip() or type(error).__name__)[:120])
        raise WeightsFileError(f"is damaged or is not a checkpoint ({reason})") from None
    return tensors, header.get("__metadata__") or {}  # from our own parse: the library gives the texts in random order


def _read_header(path: Path) -> dict[str, Any]:
    """Read the header; refuse one that would cost much, or that two readers could read as two things."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        # The length is a number in the file: it is checked before that many bytes are read.
        if length > path.stat().st_size - 8:
            raise WeightsFileError("is damaged or is not a checkpoint: it is shorter than its header says")
        if length > LONGEST_HEADER:
            raise WeightsFileError(f"has a header of {length:,} bytes, and weights need far fewer")
        text = file.read(length)
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise WeightsFileError(
            f"is damaged or is not a checkpoint: its header is no JSON ({quote(str(error))})"
        ) from None


def parse_json(text: str | bytes) -> Any:
    """Parse JSON in which no name stands twice.

    Raises:
        ValueError: if it is no JSON, or repeats a name.
        RecursionError: if it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_without_repetition)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON readers differ in which of two equal names they keep, so they would see different tensors.
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name stands there twice")
    return table
