"""Pixels in memory: from the modes a picture file can have to RGB in [0, 1] and alpha, and back to 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.pictures.profiles import GREY_MODES, ToSrgb, conversion, lab_to_srgb

_WHITE_IS_ZERO = 0
_PHOTOMETRIC = 262
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_STRIP_PIXELS = 2**18


@dataclass(frozen=True)
class Packing:
    """How a file packs its values; read before decoding, because Pillow then forgets it.

    Attributes:
        is_deep: more than 8 bits, which Pillow makes 8 for colours.
        white: the value of white in a grey picture of more than 8 bits.
        inverted: white is 0 in such a picture.
    """

    is_deep: bool
    white: float
    inverted: bool

    @classmethod
    def of(cls, image: Image.Image) -> Packing:
        """Read it from an open picture that is not decoded yet."""
        raw = _raw_modes(image)
        white = 1.0 if image.mode == "F" else 4095.0 if "I;12" in raw else 65535.0
        inverted = image.mode in _DEEP_MODES and _tiff_tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO
        return cls(any(";16" in name for name in raw), white, inverted)


def channels(
    image: Image.Image, packing: Packing, ground: np.ndarray, notes: list[str], *, keep_rgb: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours and alpha of a decoded picture, made strip by strip: at no time is there a second copy at full size.

    Args:
        image: a decoded, upright picture; its first frame is used.
        packing: how the file packed it.
        ground: (3,) float32, the colour under see-through parts.
        notes: gets a sentence for each thing a reader of a result might want to know.
        keep_rgb: leave colours in the space of their RGB profile, instead of turning them into sRGB.

    Returns:
        Colours (3, H, W), laid over the ground, and alpha (H, W), or None if every pixel is opaque; float32 in [0, 1].

    Raises:
        CasarbiError: if the values have no meaning as a picture: negative or not finite.
    """
    change, said = conversion(image, keep_rgb=keep_rgb)
    notes += [said] if said else []
    if image.mode in _DEEP_MODES:
        # At full depth: Pillow's own conversion would clip to 8 bits.
        colours, alphas = _deep_grey(image, packing, change, notes)
    else:
        colours, alphas = _colours(image, change), _alphas(image)
        if packing.is_deep:
            notes.append("16 bits per channel read as 8")
        if image.mode in GREY_MODES:
            notes.append("grey")
        if image.mode == "LAB":
            notes.append("LAB turned into RGB")
    rgb = np.empty((3, image.height, image.width), np.float32)
    if alphas is None:
        for rows, strip in colours:
            rgb[:, rows] = strip.transpose(2, 0, 1)
        return rgb, None
    alpha = np.empty((image.height, image.width), np.float32)
    # Laid over the ground, strip by strip; `part` is alpha (h, W).
    for (rows, strip), (_, part) in zip(colours, alphas, strict=True):
        alpha[rows] = part
        rgb[:, rows] = (strip * part[..., None] + ground * (1 - part[..., None])).transpose(2, 0, 1)
    return rgb, alpha


Rows = Iterator[tuple[slice, np.ndarray]]
"""Values of some rows of a picture, (h, W) or (h, W, 3) float32 in [0, 1], and which rows."""


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    height = max(1, _STRIP_PIXELS // max(1, image.width))
    for top in range(0, image.height, height):
        bottom = min(top + height, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def _unit(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) / 255


def _colours(image: Image.Image, change: ToSrgb | None) -> Rows:
    for rows, strip in _strips(image):
        if image.mode == "LAB":
            strip = lab_to_srgb(strip)
        elif change is not None and change.space == "GRAY":
            strip = change.apply(strip.convert("LA").getchannel("L") if _has_alpha(image) else strip)
        elif change is not None:
            strip = change.apply(_rgba(strip).convert("RGB") if _has_alpha(image) else strip)
        elif _has_alpha(image):
            strip = _rgba(strip)
        yield rows, _unit(np.asarray(strip if strip.mode == "RGBA" else strip.convert("RGB"))[..., :3])


def _alphas(image: Image.Image) -> Rows | None:
    if not _has_alpha(image) or all(
        _rgba(strip).getchannel("A").getextrema() == (255, 255) for _, strip in _strips(image)
    ):
        return None
    return ((rows, _unit(np.asarray(_rgba(strip))[..., 3])) for rows, strip in _strips(image))


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in _ALPHA_MODES or "transparency" in image.info


def _rgba(image: Image.Image) -> Image.Image:
    # Pillow turns grey with premultiplied alpha (La) only into LA.
    return image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")


def _deep_grey(
    image: Image.Image, packing: Packing, change: ToSrgb | None, notes: list[str]
) -> tuple[Rows, Rows | None]:
    """Grey of more than 8 bits: divided by its white, never clipped (python-pillow/Pillow#3011)."""
    ends = [end for _, strip in _strips(image) for end in (np.asarray(strip).min(), np.asarray(strip).max())]
    low, high = float(np.min(ends)), float(np.max(ends))  # NaN if any value is
    if not low >= 0 or not np.isfinite(high):
        raise CasarbiError(f"it holds values from {low:g} to {high:g}, where a picture has none below 0")
    white = packing.white
    notes += ["grey", "32 bits" if image.mode in ("I", "F") and white != 65535 else "16 bits"]
    if high > white:
        notes.append(f"divided by its largest value, {high:g}")
        white = high
    hidden = image.info.get("transparency")
    values = ((rows, np.asarray(strip).astype(np.float64)) for rows, strip in _strips(image))
    alphas = ((rows, (np.asarray(strip) != hidden).astype(np.float32)) for rows, strip in _strips(image))
    return _greys(values, white, packing.inverted, change), alphas if isinstance(hidden, int) else None


def _greys(values: Rows, white: float, inverted: bool, change: ToSrgb | None) -> Rows:
    curve = None if change is None else change.curve()
    for rows, part in values:
        grey = 1 - part / white if inverted else part / white
        if curve is not None:
            grey = np.interp(grey * 255, np.arange(256), curve)
        yield rows, np.repeat(grey.astype(np.float32)[..., None], 3, axis=-1)


def _raw_modes(image: Image.Image) -> list[str]:
    """How the file packs its values, in Pillow's words (`RGB;16B`)."""
    packed = [tile[3] for tile in getattr(image, "tile", [])]
    return [str(args[0] if isinstance(args, tuple) and args else args) for args in packed]


def _tiff_tag(image: Image.Image, tag: int) -> int | None:
    tags = getattr(image, "tag_v2", None)
    return tags.get(tag) if tags is not None else None


def to_uint8(images: Tensor) -> Tensor:
    """Clip to [0, 1], then round to 0..255; never the truncation that darkens by half a level (pytorch/vision#8141).

    Args:
        images: any shape, floating point; 8-bit images come back unchanged.

    Raises:
        CasarbiError: if a value is NaN.
    """
    if images.dtype == torch.uint8:
        return images
    if torch.isnan(images).any():
        raise CasarbiError("The picture holds NaN, which is no colour: the method that made it failed on this input.")
    return images.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """8-bit images to float32 in [0, 1]."""
    return images.float() / 255
