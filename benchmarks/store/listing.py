"""Files with parts in the folder of a cell: single parts and packs, by name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.store.packs import SUFFIX, read_pack
from benchmarks.store.parts import read_part
from benchmarks.store.rows import Part

_GONE = (errno.ENOENT, getattr(errno, "ESTALE", errno.ENOENT))


def list_names(folder: Path) -> list[str]:
    """Names of the files with parts, in order; none if there is no such folder. Raises OSError if it refuses."""
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []
    return sorted(name for name in names if name.endswith((".json", SUFFIX)) and not name.startswith("."))


def packs_of(names: Iterable[str]) -> list[str]:
    """Those names that are of packs."""
    return [name for name in names if name.endswith(SUFFIX)]


def read_parts(path: Path, cell: str, with_features: bool = True) -> Sequence[Part]:
    """The parts of a file, be it one part or a pack; raises as `read_part` does."""
    if path.suffix == SUFFIX:
        return read_pack(path, cell, with_features)
    return (read_part(path, cell, with_features),)


def is_gone(error: OSError) -> bool:
    """Whether a file that was listed is not there any more, such as a part that another process has packed."""
    return error.errno in _GONE
