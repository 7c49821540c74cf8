"""Pixels in memory: from the modes a picture file can have to RGB in [0, 1] and alpha, and back to 8 bits."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from casarbi.errors import CasarbiError

_WHITE_IS_ZERO = 0
_PHOTOMETRIC = 262
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def channels(image: Image.Image, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a picture, turned upright by its EXIF orientation.

    Args:
        image: an open picture; its first frame is used.
        notes: gets a sentence for each thing a reader of a result might want to know.

    Returns:
        Colours (H, W, 3) and alpha (H, W), or None where every pixel is opaque; float32 in [0, 1]. Colours are not
        multiplied by alpha.

    Raises:
        CasarbiError: where the values have no meaning as a picture: negative or not finite.
        OSError, SyntaxError, ValueError: from Pillow, where the file is damaged.
    """
    deep = _is_deep(image)  # asked before loading, which forgets how the file was packed
    white = _white(image)
    inverted = image.mode in _DEEP_MODES and _tiff_tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode in _DEEP_MODES:
        return _deep_grey(image, white, inverted, notes)
    if deep:
        notes.append("16 bits a channel read as 8")
    if image.mode in ("1", "L", "LA", "La"):
        notes.append("grey")
    if image.mode in ("CMYK", "LAB"):
        notes.append(f"{image.mode} turned into RGB")
        image = _to_srgb(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        rgba = np.asarray(image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA"))
        opaque = bool((rgba[..., 3] == 255).all())
        return _unit(rgba[..., :3]), None if opaque else _unit(rgba[..., 3])
    return _unit(np.asarray(image.convert("RGB"))), None


def _unit(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) / 255


def _deep_grey(
    image: Image.Image, white: float, inverted: bool, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Grey of more than 8 bits: divided by its white, never clipped (python-pillow/Pillow#3011)."""
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not low >= 0 or not np.isfinite(high):
        raise CasarbiError(f"it holds values from {low:g} to {high:g}, where a picture has none below 0")
    notes += ["grey", "32 bits" if image.mode in ("I", "F") and white != 65535 else "16 bits"]
    if high > white:
        notes.append(f"divided by its largest value, {high:g}")
        white = high
    grey = values / white
    hidden = image.info.get("transparency")
    alpha = (values != hidden).astype(np.float32) if isinstance(hidden, int) else None
    rgb = np.repeat((1 - grey if inverted else grey).astype(np.float32)[..., None], 3, axis=-1)
    return rgb, alpha


def _white(image: Image.Image) -> float:
    """The value of white in a picture of more than 8 bits."""
    if image.mode == "F":
        return 1.0
    return 4095.0 if "I;12" in _raw_modes(image) else 65535.0


def _is_deep(image: Image.Image) -> bool:
    return any(";16" in raw for raw in _raw_modes(image))


def _raw_modes(image: Image.Image) -> list[str]:
    """How the file packs its values, in Pillow's words (`RGB;16B`)."""
    packed = [tile[3] for tile in getattr(image, "tile", [])]
    return [str(args[0] if isinstance(args, tuple) and args else args) for args in packed]


def _tiff_tag(image: Image.Image, tag: int) -> int | None:
    tags = getattr(image, "tag_v2", None)
    return tags.get(tag) if tags is not None else None


def _to_srgb(image: Image.Image) -> Image.Image:
    """CMYK and Lab to sRGB: by the picture's own profile, else by Pillow's rule for CMYK and by the D50 one for Lab."""
    profile = image.info.get("icc_profile")
    try:
        if image.mode == "LAB":
            source = ImageCms.createProfile("LAB")
        elif profile and profile_space(profile) == "CMYK":
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
        else:
            return image.convert("RGB")
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, target, outputMode="RGB") or image.convert("RGB")
    except ImageCms.PyCMSError:  # a damaged profile: colours without it are near enough to go on
        return image.convert("RGB")


def profile_space(profile: bytes) -> str:
    """Colour space an ICC profile is for: `RGB`, `GRAY`, `CMYK`… (bytes 16 to 19 of its header)."""
    return profile[16:20].decode("latin-1").strip()


def to_uint8(images: Tensor) -> Tensor:
    """Clip to [0, 1], then round to 0..255; never the truncation that darkens by half a level (pytorch/vision#8141).

    Args:
        images: any shape, floating point; 8-bit images come back unchanged.

    Raises:
        CasarbiError: where a value is NaN.
    """
    if images.dtype == torch.uint8:
        return images
    if torch.isnan(images).any():
        raise CasarbiError("The picture holds NaN, which is no colour: the method that made it failed on this input.")
    return images.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """8-bit images to float32 in [0, 1]."""
    return images.float() / 255
