"""Writing pictures: the suffix decides the format, and a reader never sees half a file."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from casarbi.errors import CasarbiError, PlaceError
from casarbi.files import replacing
from casarbi.pictures.libtiff_messages import native_words
from casarbi.pictures.metadata import Metadata, save_options
from casarbi.pictures.pixels import to_uint8

# What Pillow raises if it cannot store metadata that it has read.
_ODD_METADATA = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, struct.error)

FORMATS = ("png", "jpg", "webp", "tif", "bmp")
"""Formats that can be written, by the suffix a result gets."""


@dataclass(frozen=True)
class _Writer:
    """How one format is written: Pillow's name, what the file can hold, and Pillow's options."""

    name: str
    alpha: bool = True
    profile: bool = True
    options: Mapping[str, object] = field(default_factory=dict)
    lossy: Mapping[str, object] | None = None
    """Options beside `quality` of a format that has one; None for a format that keeps every pixel as it is."""


_JPEG = _Writer("JPEG", alpha=False, options={"quality": 95, "subsampling": 0}, lossy={"subsampling": 0})
_TIFF = _Writer("TIFF", options={"compression": "tiff_adobe_deflate"})
_WRITERS: dict[str, _Writer] = {
    ".png": _Writer("PNG"),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".webp": _Writer("WEBP", options={"lossless": True, "exact": True}, lossy={}),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".bmp": _Writer("BMP", alpha=False, profile=False),
}


def keeps_alpha(path: str | os.PathLike[str]) -> bool:
    """Whether `write_image` can store alpha in a file with this suffix."""
    return _writer(Path(path)).alpha


def result_suffix(out: Path | None, format_name: str | None, quality: int | None) -> str:
    """Suffix of the results, from what a person asked for; PNG if they did not.

    Args:
        out: the file to write, or None if results are named by the program.
        format_name: one of `FORMATS`.
        quality: 1 to 100, of JPEG and WebP.

    Raises:
        CasarbiError: if `out` has a suffix that names no format or another than `format_name`, or the format keeps
            every pixel as it is, so that a quality means nothing.
    """
    suffix = out.suffix if out else f".{format_name or 'png'}"
    writer = _writer(out or Path(f"result{suffix}"))
    if out and format_name and writer is not _WRITERS[f".{format_name}"]:
        raise CasarbiError(f"-o {out} and --format {format_name} name two formats: leave one out.")
    if quality is not None and writer.lossy is None:
        raise CasarbiError(
            f"--quality {quality} says how much JPEG and WebP may lose, but {writer.name} keeps every pixel as it is: "
            "leave it out, or choose --format jpg or webp."
        )
    return suffix


def _writer(path: Path) -> _Writer:
    try:
        return _WRITERS[path.suffix.lower()]
    except KeyError:
        ends = f"ends in '{path.suffix}'" if path.suffix else "has no suffix"
        raise CasarbiError(f"{path} {ends}, which says no format to write: use {', '.join(_WRITERS)}.") from None


def write_image(
    path: str | os.PathLike[str],
    rgb: Tensor,
    *,
    alpha: Tensor | None = None,
    icc: bytes | None = None,
    metadata: Metadata | None = None,
    quality: int | None = None,
) -> tuple[str, ...]:
    """Write an 8-bit picture; the suffix decides the format, and a reader never sees half a file.

    PNG, TIFF, BMP and, without `quality`, WebP keep the rounded values exactly. JPEG is written without chroma
    subsampling, at quality 95 by default. Folders on the way are made.

    Args:
        path: the file; one that is there is replaced.
        rgb: (3, H, W) in [0, 1], or uint8.
        alpha: (1, H, W) likewise; colours are written beside it as they are (see `unblend`).
        icc: ICC profile to embed; BMP has no place for it.
        metadata: resolution, date, caption and the like, stored as far as the format can hold them.
        quality: 1 to 100, of JPEG and WebP; other formats keep every pixel as it is.

    Returns:
        The metadata that is not stored, in words.

    Raises:
        CasarbiError: if the suffix names no format, the format has no alpha, a value is NaN, or the disk refuses (a
            PlaceError if it would refuse any other picture too).
    """
    path = Path(path)
    writer = _writer(path)
    if alpha is not None and not writer.alpha:
        raise CasarbiError(f"{path} cannot keep see-through parts: write PNG, TIFF or WebP.")
    planes = rgb if alpha is None else torch.cat([to_uint8(rgb), to_uint8(alpha)])
    image = Image.fromarray(np.ascontiguousarray(to_uint8(planes).cpu().permute(1, 2, 0).numpy()))
    options = dict(writer.options)
    if quality is not None and writer.lossy is not None:
        options = {"quality": quality, **writer.lossy}
    if icc and writer.profile:
        options["icc_profile"] = icc
    stored, dropped = save_options(metadata or Metadata(), writer.name, (image.height, image.width))
    try:
        with replacing(path) as draft:
            try:
                with native_words([], listen=writer.name == "TIFF"):
                    image.save(draft, writer.name, **{**options, **stored})
            # A picture is worth more than its metadata: it is written without.
            except _ODD_METADATA:
                image.save(draft, writer.name, **options)
                dropped = ("all metadata, some of which is damaged",)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        # An error of the system would refuse every other picture too, unless this name is too long.
        kind = PlaceError if getattr(error, "errno", None) not in (None, errno.ENAMETOOLONG) else CasarbiError
        raise kind(f"{path} cannot be written: {reason}.") from None
    return dropped
