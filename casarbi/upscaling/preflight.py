"""What `casarbi upscale` finds out before the first picture: sizes, earlier results, folders that refuse."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from casarbi.errors import CasarbiError
from casarbi.files import disk_trouble, try_writing
from casarbi.pictures.size import picture_size
from casarbi.scales import Size
from casarbi.upscaling.target import TargetSize
from casarbi.upscaling.worklist import Item, Worklist, list_work

LARGEST_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
"""Longest side in pixels of the formats that have a limit a picture may meet (libjpeg, libwebp)."""


def prepare(
    photos: Sequence[Path],
    out: Path | None,
    target: TargetSize,
    *,
    recursive: bool,
    format_name: str | None,
    quality: int | None,
    overwrite: bool,
    keep: bool,
) -> Worklist:
    """List the work and check all that can be known before the first picture; see `list_work` for the arguments.

    Raises:
        CasarbiError: if nothing may be started.
    """
    if overwrite and keep:
        raise CasarbiError("--overwrite replaces results that are there and --keep keeps them: give one of the two.")
    work = list_work(photos, target.label, out, recursive=recursive, format_name=format_name, quality=quality)
    if not overwrite and not keep:
        check_existing(work)
    # All sizes before the first picture: a bad one is reported now, not after an hour.
    read_sizes(work, target, keep=keep)
    probe_folders([item.result for item in work.items])
    return work


def check_existing(work: Worklist) -> None:
    """Refuse to replace results that are there.

    Raises:
        CasarbiError: naming one of them and the options that decide.
    """
    there = [item.result for item in work.items if item.result.exists()]
    if len(there) == 1:
        found = f"{there[0]} is"
    elif there:
        found = f"{len(there)} of {work.total} results are there already, such as {there[0]}, and are"
    else:
        return
    raise CasarbiError(
        f"{found} not replaced: --overwrite replaces {'it' if len(there) == 1 else 'them'}, --keep makes only the "
        "rest, -o names another place."
    )


def read_sizes(work: Worklist, target: TargetSize, *, keep: bool) -> None:
    """Read the headers of all pictures for their sizes, and find out what cannot be made or written.

    Args:
        work: is changed: items get their sizes, or move to `failed` or `kept`.
        target: how large results are to be.
        keep: results that are there stay, if they have the size that is asked for.
    """
    items, work.items = work.items, []
    for item in items:
        try:
            item = replace(item, sizes=_sizes(item, target))
            if keep and item.result.exists():
                _check_kept(item)
                work.kept.append(item.result)
            else:
                work.items.append(item)
        except CasarbiError as error:
            work.failed.append((item.source, str(error)))


def _sizes(item: Item, target: TargetSize) -> tuple[Size, Size] | None:
    # An unreadable header is no error yet: reading the picture says what is wrong.
    size_in = picture_size(item.source)
    if size_in is None:
        return None
    size = target.of(size_in)
    limit = LARGEST_SIDE.get(item.result.suffix.lower())
    if limit and max(size) > limit:
        kind = "WebP" if item.result.suffix.lower() == ".webp" else "JPEG"
        raise CasarbiError(
            f"{item.source} would become {size[1]}x{size[0]} px, but {kind} ends at {limit:,} px per side: write "
            "PNG or TIFF."
        )
    return size_in, size


def _check_kept(item: Item) -> None:
    # A result of another size was made by another command, or is cut off; to keep it would be wrong, and to replace it
    # was not asked for.
    found = picture_size(item.result)
    if item.sizes is None or found == item.sizes[1]:
        return
    height, width = item.sizes[1]
    state = f"is {found[1]}x{found[0]} px" if found else "is no whole picture"
    raise CasarbiError(
        f"{item.result} {state}, expected {width}x{height} px: it is neither kept nor replaced; delete it, or give "
        "--overwrite."
    )


def probe_folders(results: Sequence[Path]) -> None:
    """Try to write in every folder that results will go to, or in its nearest parent that is there; nothing is left.

    Raises:
        CasarbiError: if a folder refuses.
    """
    for folder in dict.fromkeys(result.parent for result in results):
        try:
            try_writing(folder)
        except OSError as error:
            reason = disk_trouble(OSError(error.errno, error.strerror, os.fspath(folder)))
            raise CasarbiError(f"Nothing can be written in {reason}: name another folder with -o.") from None
