"""Reading and writing pictures: every file becomes RGB in [0, 1] here, and nowhere else."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image, ImageColor, ImageFile
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.folders import Listing, list_images
from casarbi.pixels import channels, from_uint8, profile_space, to_uint8
from casarbi.writers import FORMATS, can_write, keeps_alpha, result_suffix, write_image

__all__ = [
    "FORMATS",
    "MAX_INPUT_PIXELS",
    "Listing",
    "Picture",
    "can_write",
    "from_uint8",
    "keeps_alpha",
    "list_images",
    "read_image",
    "read_picture",
    "result_suffix",
    "to_uint8",
    "unblend",
    "write_image",
]

MAX_INPUT_PIXELS = 178_956_970
"""Largest picture read without asking: the limit at which Pillow refuses, because 33 kB can unpack to gigabytes."""

# Still pictures, in the order they are tried. Pillow's others run programs (EPS), hold no pixels or have no signature.
_FORMATS = "PNG JPEG TIFF WEBP GIF BMP DIB PPM JPEG2000 AVIF HEIF PSD ICO QOI PCX SGI SUN DDS XBM XPM MSP PIXAR TGA"
_RAW_SUFFIXES = ".3fr .arw .cr2 .cr3 .crw .dng .nef .nrw .orf .pef .raf .rw2 .srw"
# What Pillow's readers raise on damaged files; AVIF's a bare RuntimeError.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    struct.error,
    ArithmeticError,
    RuntimeError,
)

# What a file that is no picture often is, by how it begins.
_STRANGERS = {
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML file",
    b"%pdf": "a PDF",
    b"version https://git-lfs": "a Git LFS pointer, whose file was not fetched",
    b"pk\x03\x04": "a zip archive",
}
_HEIF_BRANDS = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypheif", b"ftyphevc")


@dataclass(frozen=True)
class Picture:
    """A picture as read.

    Attributes:
        rgb: (3, H, W) float32 in [0, 1], laid over the background where the picture is see-through.
        alpha: (1, H, W) float32 in [0, 1], or None where every pixel is opaque.
        icc: the ICC profile that describes `rgb`, or None; one for grey or CMYK is not kept.
        notes: what a reader of a result might want to know: "grey", "16 bits", "first of 3 frames used".
        background: (3,) float32, the colour see-through parts were laid over.
    """

    rgb: Tensor
    alpha: Tensor | None
    icc: bytes | None
    notes: tuple[str, ...]
    background: Tensor


def read_picture(
    path: str | os.PathLike[str], *, background: str = "white", max_pixels: int = MAX_INPUT_PIXELS
) -> Picture:
    """Read a still picture of any common format and mode; its content decides the format, not its suffix.

    EXIF orientation is applied; 16 bits are divided by 65535, never clipped; of several frames or pages the first is
    used, with a note; CMYK is turned into sRGB, by the picture's own profile where it has one.

    Args:
        path: the file.
        background: colour under see-through parts, a name or #rrggbb.
        max_pixels: pictures with more pixels are refused before they are unpacked.

    Raises:
        CasarbiError: where there is no such file, it is a folder, empty, no picture, cut off, damaged or too large,
            or the background is no colour.
    """
    path = Path(path)
    ground = _colour(background)
    _check_file(path)
    notes: list[str] = []
    try:
        with path.open("rb") as file, _whole_files_only(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            image = _open(file, path)
            _check_size(image, path, max_pixels)
            # n_frames of a phone's MPO counts previews and gain maps, of which nobody would want to hear.
            frames = 1 if image.format in ("MPO", "PSD", "ICO") else getattr(image, "n_frames", 1)
            profile = image.info.get("icc_profile")
            rgb, alpha = channels(image, notes)
    except CasarbiError as error:
        raise error if str(path) in str(error) else CasarbiError(f"{path} cannot be used: {error}.") from None
    except PermissionError:
        raise CasarbiError(f"{path} may not be read: check its permissions.") from None
    except MemoryError:
        raise CasarbiError(f"{path} needs more memory than there is: shrink it first.") from None
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise _damaged(path, error) from None
    # What Pillow warned of in passing, such as a damaged EXIF block, said once and without a line of its source.
    notes += dict.fromkeys(f"odd file: {str(w.message).split('.')[0].strip()}" for w in caught)
    if frames > 1:
        notes.append(f"first of {frames} frames used")
    if alpha is not None:
        notes.append(f"see-through parts laid over {background}")
        rgb = rgb * alpha[..., None] + ground * (1 - alpha[..., None])
    return Picture(
        rgb=torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))),
        alpha=None if alpha is None else torch.from_numpy(alpha[None]),
        icc=profile if profile and profile_space(profile) == "RGB" else None,
        notes=tuple(notes),
        background=torch.from_numpy(ground),
    )


def read_image(
    path: str | os.PathLike[str], *, background: str = "white", max_pixels: int = MAX_INPUT_PIXELS
) -> Tensor:
    """The colours alone, (3, H, W) float32 in [0, 1]; see `read_picture`."""
    return read_picture(path, background=background, max_pixels=max_pixels).rgb


def _colour(name: str) -> np.ndarray:
    try:
        return np.array(ImageColor.getrgb(name)[:3], np.float32) / 255
    except ValueError:
        raise CasarbiError(f"'{name}' is no colour: write a name such as white, or #rrggbb.") from None


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise CasarbiError(f"{path} is a folder where one picture is wanted: name a file in it.")
    if not path.exists():
        raise CasarbiError(f"There is no file {path}: check the name.")
    if not path.is_file():  # a pipe or a device could be waited for without end
        raise CasarbiError(f"{path} is not a regular file: save the picture to one first.")
    if path.stat().st_size == 0:
        raise CasarbiError(f"{path} is empty (0 bytes): copy or download it again.")
    if path.suffix.lower() in _RAW_SUFFIXES.split():  # as TIFF it would give its thumbnail
        raise CasarbiError(f"{path} is a camera's raw file: develop it to TIFF or PNG first.")


@contextmanager
def _whole_files_only() -> Iterator[None]:
    """Half pictures are never accepted, even where another library switched that on (pytorch/vision#138)."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _open(file: IO[bytes], path: Path) -> Image.Image:
    """What `Image.open` does, for the formats of still pictures and without its global limit on the size."""
    Image.init()
    head = file.read(16)
    failure: Exception | None = None
    for name in _FORMATS.split():
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is None or (accept and accept(head) is not True and accept(head) != 1):
            continue
        file.seek(0)
        try:
            return factory(file, str(path))
        except _DAMAGE as error:
            failure = failure or (error if accept else None)
    if failure is not None:
        raise _damaged(path, failure)
    file.seek(0)
    raise CasarbiError(_stranger(path, file.read(64)))


def _stranger(path: Path, head: bytes) -> str:
    if head[4:12] in _HEIF_BRANDS:
        return f"{path} is a HEIC picture, which needs another reader: save it as JPEG or PNG first."
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    looks = next((f"; it looks like {what}" for sign, what in _STRANGERS.items() if start.startswith(sign)), "")
    return f"{path} is not a picture that can be read{looks}: save it as PNG, JPEG, TIFF or WebP."


def _damaged(path: Path, error: Exception) -> CasarbiError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return CasarbiError(f"{path} is cut off or damaged ({reason}): copy or download it again.")


def _check_size(image: Image.Image, path: Path, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise CasarbiError(
            f"{path} has {width}x{height} px ({width * height:,}), above the limit of {max_pixels:,} pixels: "
            "if it is meant, raise the limit (--max-pixels N of casarbi upscale, folder:DIR?max_pixels=N)."
        )


def unblend(rgb: Tensor, alpha: Tensor, background: Tensor) -> Tensor:
    """Take a background out again, so that colours can be stored beside alpha and give `rgb` when laid over it.

    With a linear enlarger this makes enlarging the laid-over picture the same as enlarging colours multiplied by
    alpha: what hides where alpha is 0 never bleeds into view (xinntao/Real-ESRGAN#291).

    Args:
        rgb: (3, H, W) in [0, 1], laid over the background.
        alpha: (1, H, W) in [0, 1].
        background: (3,) in [0, 1].

    Returns:
        (3, H, W) in [0, 1]; the background's colour where alpha is below half a level.
    """
    ground = background.to(rgb)[:, None, None]
    straight = ground + (rgb - ground) / alpha.clamp_min(1e-6)
    return torch.where(alpha < 0.5 / 255, ground, straight).clamp(0, 1)
