"""ICC profiles: whether a picture's values are sRGB already, and the way to sRGB if they are not.

Profiles are applied by littleCMS with relative colorimetric intent and black point compensation, as photo editors do
by default: colours that sRGB can show keep their look, others move to the nearest that it can.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from casarbi.plain import quote

INTENT = "relative colorimetric with black point compensation"
_SAME = 2
"""A profile that moves no colour by more than so many levels of 255 is sRGB: rounding alone moves some by one."""
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_GRID = (0, 16, 32, 64, 96, 128, 160, 192, 224, 255)
GREY_MODES = frozenset(("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"))
"""Pillow's modes of one channel, perhaps with alpha."""
TROUBLE = "colour profile not used"
"""Beginning of the note about a profile that is not used."""


@dataclass(frozen=True)
class ToSrgb:
    """How the values of one profile become sRGB.

    Attributes:
        space: `RGB`, `GRAY`, `CMYK`, or another colour space, of a profile that cannot be used.
        trouble: why it cannot be used, or "".
        is_srgb: values may stay as they are.
        transform: littleCMS's, or None if there is trouble.
    """

    space: str
    trouble: str = ""
    is_srgb: bool = False
    transform: ImageCms.ImageCmsTransform | None = None

    def apply(self, image: Image.Image) -> Image.Image:
        """Values in the profile's mode (RGB, L or CMYK) as sRGB, mode RGB."""
        assert self.transform is not None
        converted = ImageCms.applyTransform(image.convert(_MODES[self.space]), self.transform)
        assert converted is not None  # only an image changed in place gives None
        return converted

    def curve(self) -> np.ndarray:
        """(256,) float32, in [0, 1]: what the grey levels 0 to 255 become."""
        ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
        return np.asarray(self.apply(ramp), np.float32)[0, :, 0] / 255


def conversion(image: Image.Image, *, keep_rgb: bool) -> tuple[ToSrgb | None, str]:
    """The conversion that the values of a picture need, and what a reader of a result might want to know of it.

    Args:
        image: an open picture.
        keep_rgb: leave colours whose RGB profile can be stored beside them.

    Returns:
        The conversion or None, and a sentence or "". A grey picture may have a profile for RGB, but a picture
        in colours may not have one for grey.
    """
    mode, profile = image.mode, stored_profile(image)
    if not profile:
        return None, "CMYK without a profile turned into RGB" if mode == "CMYK" else ""
    found = to_srgb(profile)
    # The mode of the pixels must fit the space of the profile; LAB never needs one.
    fits = {"CMYK": ("CMYK",), "LAB": ()}.get(mode, ("RGB", "GRAY") if mode in GREY_MODES else ("RGB",))
    trouble = found.trouble or ("" if found.space in fits else f"it is for {found.space} and the picture is {mode}")
    if trouble and mode != "LAB":
        return None, f"{TROUBLE}: {trouble}"
    if found.is_srgb or mode == "LAB" or (keep_rgb and found.space == "RGB"):
        return None, ""
    return found, f"{found.space} profile turned into sRGB"


@lru_cache(maxsize=16)
def to_srgb(profile: bytes) -> ToSrgb:
    """Study an ICC profile; one that is damaged or for another kind of device comes back with its `trouble`."""
    space = profile_space(profile)
    mode = _MODES.get(space)
    if mode is None:
        return ToSrgb(space, f"it is damaged or for the colour space {quote(space)}")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        # Judged by what it does to colours: profiles for sRGB have many makers and names.
        found = ToSrgb(space, transform=transform)
        return ToSrgb(space, is_srgb=_moves_nothing(found, mode), transform=transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return ToSrgb(space, "it is damaged")


def _moves_nothing(found: ToSrgb, mode: str) -> bool:
    if mode == "CMYK":
        return False
    colours = itertools.product(_GRID, repeat=3) if mode == "RGB" else [range(256)]
    steps = bytes(itertools.chain.from_iterable(colours))
    probe = Image.frombytes(mode, (len(steps) // len(mode), 1), steps)
    before, after = (np.asarray(image, np.int16) for image in (probe.convert("RGB"), found.apply(probe)))
    return int(np.abs(before - after).max()) <= _SAME


@lru_cache(maxsize=1)
def _lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """An image of mode LAB, whose white is D50 in the formats that hold it, as sRGB."""
    converted = ImageCms.applyTransform(image, _lab())
    assert converted is not None  # only an image changed in place gives None
    return converted


def stored_profile(image: Image.Image) -> bytes | None:
    """The ICC profile in a picture's file, if there is one; a TIFF can hold anything in its place."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile else None


def profile_space(profile: bytes) -> str:
    """Colour space an ICC profile is for: `RGB`, `GRAY`, `CMYK`… (bytes 16 to 19 of its header)."""
    return profile[16:20].decode("latin-1").strip()
