"""Files of training pictures: bytes that are mapped, not decoded; whole or not there, and checked when first read."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from casarbi.files import write_file
from casarbi.weights import cache_folder

FORMAT = 2
_HEADER = struct.Struct("<4sIII")
"""Sign, checksum of the pixels, height, width; the pixels follow, uint8 (3, H, W)."""
_SIGN = b"CaPx"
_VERIFIED: set[Path] = set()
"""Files whose checksum this process has verified."""


def pictures_folder() -> Path:
    """Where all training pictures lie."""
    return cache_folder().parent / "training"


def pixel_file(decides: str) -> Path:
    """File of a picture, named after everything that decides its pixels."""
    name = hashlib.sha256(f"{FORMAT} {decides}".encode()).hexdigest()
    return pictures_folder() / name[:2] / f"{name[2:40]}.pixels"


def read_pixels(path: Path) -> Tensor | None:
    """A picture, uint8 (3, H, W), mapped: never write into it. None if the file is missing or not what was written."""
    try:
        with path.open("rb") as file:
            sign, checksum, height, width = _HEADER.unpack(file.read(_HEADER.size))
            # Copy-on-write: torch warns of read-only memory, and no write could reach the file.
            pixels = np.memmap(file, np.uint8, "c", _HEADER.size)
    except (OSError, ValueError, struct.error):
        return None
    if sign != _SIGN or pixels.size != 3 * height * width:
        return None
    if path not in _VERIFIED:
        if zlib.crc32(pixels.data) != checksum:
            return None
        _VERIFIED.add(path)
    return torch.from_numpy(pixels).view(3, height, width)


def write_pixels(path: Path, image: Tensor) -> None:
    """Write uint8 (3, H, W); raises OSError if the disk refuses."""
    pixels = image.numpy().tobytes()
    write_file(path, _HEADER.pack(_SIGN, zlib.crc32(pixels), *image.shape[-2:]) + pixels)
