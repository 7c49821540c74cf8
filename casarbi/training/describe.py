"""How `casarbi info FILE` prints what a weights file says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from casarbi.checkpoints import read_checkpoint
from casarbi.errors import CasarbiError
from casarbi.plain import quote

DEEPEST, LONGEST = 8, 1000
"""Tables in tables, and characters of a value, that are printed of a header."""


def read_header(path: Path) -> dict[str, Any]:
    """Header of a safetensors file with its JSON texts parsed; under "tensors" and "parameters" what it holds.

    Raises:
        CasarbiError: if the file is no safetensors file.
    """
    checkpoint = read_checkpoint(path)
    header: dict[str, Any] = {"file": str(path), "bytes": path.stat().st_size, "SHA-256": checkpoint.sha256}
    tensors = [tensor for tensor in checkpoint.content.values() if hasattr(tensor, "numel")]
    header |= {"tensors": len(tensors), "values": sum(tensor.numel() for tensor in tensors)}
    # Values are JSON by custom, but a file may hold any text under any name.
    for name, text in checkpoint.metadata.items():
        try:
            header[name] = json.loads(text)
        except (ValueError, RecursionError):  # a text, or what nobody would read
            header[name] = text
    return header


def header_lines(header: Mapping[str, Any], assumed: Sequence[str] = (), indent: int = 0) -> Iterator[str]:
    """Lines of a header: tables indented, curves one row per line.

    Args:
        header: what to print.
        assumed: settings to mark as not the paper's, such as "run.batch"; a preset names its own.
        indent: depth of the table.
    """
    margin = "  " * indent
    for name, value in header.items():
        name = name[:LONGEST]
        if isinstance(value, Mapping) and indent < DEEPEST:
            inner = [mark.removeprefix(f"{name}.") for mark in assumed if mark.startswith(f"{name}.")]
            yield f"{margin}{name}"
            yield from header_lines(value, _texts(value.get("assumed")) if name == "preset" else inner, indent + 1)
        elif _is_curve(value):
            yield f"{margin}{name}"
            yield from (f"{margin}  {'  '.join(f'{key} {number:g}' for key, number in row.items())}" for row in value)
        elif name != "assumed":
            mark = "  (not the paper's)" if name in assumed else ""
            yield f"{margin + name:<24} {_shown(value)}{mark}"


def _is_curve(value: Any) -> bool:
    """Whether a value is rows of numbers; a file may hold anything else under any name."""
    if not (isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value)):
        return False
    numbers = (number for row in value for number in row.values())
    return all(isinstance(number, float) or (isinstance(number, int) and abs(number) < 1e300) for number in numbers)


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list | tuple) else []


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
    # What nests or is long is cut before it is printed: a header of megabytes is no reason to print megabytes.
    flat = isinstance(value, list | tuple) and not any(isinstance(item, list | Mapping) for item in value)
    return str(value) if flat and len(value) < LONGEST // 10 else quote(value, LONGEST)


def describe_file(path: Path) -> list[str]:
    """Lines that say what a weights file or a snapshot is; raises CasarbiError if it is neither."""
    if not path.is_file():
        raise CasarbiError(f"There is no file '{path}'.")
    return list(header_lines(read_header(path)))
