"""Reading pictures: every file becomes RGB in [0, 1] here, and nowhere else."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor, ImageOps
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.pictures.frames import MAX_FRAMES, count_frames
from casarbi.pictures.metadata import Metadata, read_metadata
from casarbi.pictures.opening import DAMAGE, ODD, decode, open_picture
from casarbi.pictures.pixels import Packing, channels
from casarbi.pictures.profiles import TROUBLE, profile_space, stored_profile

MAX_INPUT_PIXELS = 178_956_970
"""Largest picture read without asking: the limit at which Pillow refuses, because 33 kB can unpack to gigabytes."""


@dataclass(frozen=True)
class Picture:
    """A picture as read.

    Attributes:
        rgb: (3, H, W) float32 in [0, 1], laid over the background where the picture is see-through.
        alpha: (1, H, W) float32 in [0, 1], or None if every pixel is opaque.
        icc: the ICC profile that describes `rgb`, or None for sRGB.
        notes: what a reader of a result might want to know: "grey", "16 bits", "first of 3 frames used".
        background: (3,) float32, the colour see-through parts were laid over.
        metadata: resolution, date, caption, licence and the like.
    """

    rgb: Tensor
    alpha: Tensor | None
    icc: bytes | None
    notes: tuple[str, ...]
    background: Tensor
    metadata: Metadata = field(default_factory=Metadata)


def read_picture(
    path: str | os.PathLike[str],
    *,
    background: str = "white",
    max_pixels: int = MAX_INPUT_PIXELS,
    keep_profile: bool = True,
) -> Picture:
    """Read a still picture of any common format and mode; its content decides the format, not its suffix.

    EXIF orientation is applied; 16 bits are divided by 65535, never clipped; of several frames or pages the first is
    used, with a note. Profiles for grey and CMYK are followed to sRGB (see `casarbi.pictures.profiles`), as are those
    for RGB unless they are kept. Memory peaks at about 16 bytes per pixel, 12 of which are the result.

    Args:
        path: the file.
        background: colour under see-through parts, a name or #rrggbb.
        max_pixels: pictures with more pixels are refused before they are unpacked.
        keep_profile: leave colours as stored if a profile for RGB describes them, and return it; otherwise turn them
            into sRGB.

    Raises:
        CasarbiError: if there is no such file, it is a folder, empty, no picture, cut off, damaged or too large,
            or the background is no colour.
    """
    path = Path(path)
    ground = _colour(background)
    notes: list[str] = []
    with open_picture(path, max_pixels, notes) as image:
        # Before decoding, which forgets how values were packed.
        frames, packing = count_frames(image, path), Packing.of(image)
        decode(image, notes)
        metadata = read_metadata(image)
        _turn_upright(image, notes)
        rgb, alpha = channels(image, packing, ground, notes, keep_rgb=keep_profile)
        profile = stored_profile(image) if keep_profile else None
        # It is returned only if the colours are still in its space.
        if profile and (profile_space(profile) != "RGB" or any(note.startswith(TROUBLE) for note in notes)):
            profile = None
    if frames > 1:
        notes.append(f"first of {frames}{' or more' if frames == MAX_FRAMES else ''} frames used")
    if alpha is not None:
        notes.append(f"see-through parts laid over {background}")
    return Picture(
        rgb=torch.from_numpy(rgb),
        alpha=None if alpha is None else torch.from_numpy(alpha[None]),
        icc=profile,
        notes=tuple(notes),
        background=torch.from_numpy(ground),
        metadata=metadata,
    )


def _turn_upright(image: Image.Image, notes: list[str]) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except DAMAGE:
        notes.append(f"{ODD}: its EXIF data cannot be read, so that it may lie on its side")


def read_image(
    path: str | os.PathLike[str], *, background: str = "white", max_pixels: int = MAX_INPUT_PIXELS
) -> Tensor:
    """The colours alone in sRGB, for comparing: (3, H, W) float32 in [0, 1]; see `read_picture`.

    A picture without a profile, or with one for sRGB, gives its stored values exactly. Warns, with the file's name, of
    a profile that cannot be used and of damage that the decoder went over.
    """
    picture = read_picture(path, background=background, max_pixels=max_pixels, keep_profile=False)
    for note in picture.notes:
        if note.startswith((ODD, TROUBLE)):
            warnings.warn(f"{path}: {note}.", stacklevel=2)
    return picture.rgb


def _colour(name: str) -> np.ndarray:
    try:
        return np.array(ImageColor.getrgb(name)[:3], np.float32) / 255
    except ValueError:
        raise CasarbiError(f"'{name}' is no colour: write a name such as white, or #rrggbb.") from None
