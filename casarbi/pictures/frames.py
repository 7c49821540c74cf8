"""How many frames or pages a picture file holds, counted without decoding them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO

from PIL import Image

from casarbi.pictures.tiff import directories

MAX_FRAMES = 1000
"""Frames and pages are counted up to here; a file of a megabyte could declare a hundred thousand."""


def count_frames(image: Image.Image, path: Path) -> int:
    """Frames or pages of an open picture, at most `MAX_FRAMES`; 1 for formats whose further pictures are previews."""
    if image.format in ("TIFF", "GIF"):
        with path.open("rb") as file:
            frames = directories(file) if image.format == "TIFF" else _gif_frames(file)
            return max(1, sum(1 for _ in islice(frames, MAX_FRAMES)))
    if image.format in ("WEBP", "PNG", "AVIF"):
        return min(MAX_FRAMES, int(getattr(image, "n_frames", 1)))
    return 1


def _gif_frames(file: IO[bytes]) -> Iterator[int]:
    """Offsets of a GIF's pictures; blocks are stepped over, nothing is decoded."""
    # Byte 10 of the header holds the flags of the global palette; two more bytes follow it.
    file.seek(10)
    _skip_palette(file, file.read(3)[:1])
    while sign := file.read(1):
        if sign == b"!":  # an extension: its label, then blocks
            file.seek(1, 1)
        elif sign == b",":
            yield file.tell()
            _skip_palette(file, file.read(9)[8:9])
            file.seek(1, 1)  # the size of the first code
        else:
            return
        _skip_blocks(file)


def _skip_palette(file: IO[bytes], flags: bytes) -> None:
    # Bit 7: there is a palette. Bits 0 to 2: it has 2^(n + 1) colours of 3 bytes.
    if flags and flags[0] & 0x80:
        file.seek(3 << ((flags[0] & 7) + 1), 1)


def _skip_blocks(file: IO[bytes]) -> None:
    while (size := file.read(1)) and size != b"\0":
        file.seek(size[0], 1)
