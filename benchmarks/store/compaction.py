"""Packing the parts of a cell, while other processes, on this machine or others, read it, add parts, and pack it too.

There are no locks: not every disk of a network has them, and a killed process would leave its own. Instead

- a pack holds whole parts under their names, so a part that is in two files counts once;
- a file is removed only if each of its parts is in a pack with a newer name that was read from the disk and found
  whole. Of the packs that hold a part, the newest therefore always stays, whatever processes do at once;
- a reader that does not find a file that was listed, or finds another list of packs after it has read, looks again.

Killed at any moment, it leaves at worst a part in two files, which the next call mends.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.store.checks import DamagedPart
from benchmarks.store.listing import is_gone, list_names, packs_of, read_parts
from benchmarks.store.packs import SUFFIX, write_pack
from benchmarks.store.rows import Part
from casarbi.files import sync_folder

PACK_ROWS = 2048
"""Rows after which a pack is closed, so that a damaged file costs no more than these."""

PACK_BYTES = 2**26
"""Bytes of files after which a pack is closed, so that memory is bounded."""

_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True)
class _File:
    """A file of parts: the names of these, and the number of their rows."""

    name: str
    parts: frozenset[str]
    rows: int = 1


def compact(folder: Path, cell: str, fewest: int = 0) -> None:
    """Pack the parts of a cell, and packs that are small.

    Args:
        folder: its folder of parts.
        cell: its hash.
        fewest: number of single parts below which nothing is done.

    Raises:
        OSError: if the disk refuses; nothing is lost.
    """
    if sum(not name.endswith(SUFFIX) for name in list_names(folder)) < fewest:
        return
    packs = _remove_packed(folder, cell)  # what a killed process left
    shared = _names_twice(packs)
    files = [pack for pack in packs if pack.rows < PACK_ROWS or pack.parts & shared]
    files += [_File(name, frozenset((name,))) for name in list_names(folder) if not name.endswith(SUFFIX)]
    newest = max((pack.name for pack in packs), default="")
    written = [_write(folder, cell, parts, newest) for parts in _groups(folder, cell, files, shared)]
    if any(written):
        sync_folder(folder)
        _remove_packed(folder, cell)


def _names_twice(packs: Iterable[_File]) -> set[str]:
    """Names of parts that are in more than one pack: two processes that pack at once make them."""
    counts = Counter(name for pack in packs for name in pack.parts)
    return {name for name, count in counts.items() if count > 1}


def _groups(folder: Path, cell: str, files: Sequence[_File], shared: Set[str]) -> Iterator[list[Part]]:
    """Parts of files, with features, in groups that make a pack each; a pack that would stand alone stays as it is."""
    group: list[Part] = []
    taken: list[_File] = []
    grouped: set[str] = set()
    rows = weight = 0
    for file in files:
        try:
            weight += _bytes(folder / file.name)
            parts = read_parts(folder / file.name, cell)
        except DamagedPart:  # it stays where it is, and readers name it
            continue
        except OSError as error:
            if is_gone(error):  # another process packs this cell: leave the rest to it
                break
            continue
        taken.append(file)
        new = [part for part in parts if part.name not in grouped]
        group += new
        grouped.update(part.name for part in new)
        rows += sum(len(part.rows) for part in new)
        if rows >= PACK_ROWS or weight >= PACK_BYTES:
            if _is_worth_a_pack(taken, shared):
                yield group
            group, taken, rows, weight = [], [], 0, 0
    if group and _is_worth_a_pack(taken, shared):
        yield group


def _is_worth_a_pack(files: Sequence[_File], shared: Set[str]) -> bool:
    alone = len(files) == 1 and files[0].name.endswith(SUFFIX)
    return not alone or bool(files[0].parts & shared)


def _bytes(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size + path.with_suffix(".npz").stat().st_size
    return path.stat().st_size


def _write(folder: Path, cell: str, parts: Sequence[Part], newest: str) -> bool:
    """Write parts as one pack, or as several if that would be too large; returns whether any was written."""
    if write_pack(folder, cell, parts, newest):
        return True
    if len(parts) == 1:
        return False
    half = len(parts) // 2
    return any([_write(folder, cell, some, newest) for some in (parts[:half], parts[half:])])


def _remove_packed(folder: Path, cell: str) -> list[_File]:
    """Remove each file whose parts are all in newer packs that are whole; returns the whole packs that stay."""
    names = list_names(folder)
    kept: list[_File] = []
    packed: set[str] = set()
    for name in reversed(packs_of(names)):
        pack = _whole_pack(folder, cell, name)
        if pack and pack.parts <= packed:
            _remove(folder / name)
        elif pack:
            kept.append(pack)
            packed |= pack.parts
    for name in names:
        if name in packed:
            _remove(folder / name)
    _sweep_features(folder)
    return kept[::-1]


def _whole_pack(folder: Path, cell: str, name: str) -> _File | None:
    try:
        parts = read_parts(folder / name, cell, with_features=False)
    except (DamagedPart, OSError):
        return None
    return _File(name, frozenset(part.name for part in parts), sum(len(part.rows) for part in parts))


def _remove(path: Path) -> None:
    # The features go last: a part without them would be a damaged one.
    path.unlink(missing_ok=True)
    path.with_suffix(".npz").unlink(missing_ok=True)


def _sweep_features(folder: Path) -> None:
    """Remove features whose part was removed, or never came, because a process was killed; not of one being written."""
    with suppress(OSError):
        entries = list(os.scandir(folder))
        stems = {Path(name).stem for name in list_names(folder)}
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            if suffix == ".npz" and stem not in stems and time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS:
                os.unlink(entry.path)
