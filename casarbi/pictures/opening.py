"""Opening picture files through Pillow: which formats, what is refused, and what a file may cost.

Memory follows the pixels that are really there. A size that is only declared is refused before anything is decoded:
above the limit on pixels, or beyond what the bytes of the file can hold (`casarbi.pictures.limits`).
"""

from __future__ import annotations

import io
import logging
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from casarbi.errors import CasarbiError
from casarbi.pictures.libtiff_messages import native_words
from casarbi.pictures.limits import check_before_opening, least_bytes
from casarbi.pictures.tiff import MAX_TAGS, count_tags, describe_tiff
from casarbi.plain import visible

# Still pictures, in the order they are tried. Pillow's others run programs (EPS), hold no pixels or have no signature.
_FORMATS = "PNG JPEG TIFF WEBP GIF BMP DIB PPM JPEG2000 AVIF HEIF PSD ICO QOI PCX SGI SUN DDS XBM XPM MSP PIXAR TGA"
_RAW_SUFFIXES = ".3fr .arw .cr2 .cr3 .crw .dng .nef .nrw .orf .pef .raf .rw2 .srw"
# What Pillow's readers raise on damaged files; AVIF's a bare RuntimeError.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    EOFError,
    struct.error,
    ArithmeticError,
    RuntimeError,
    Image.DecompressionBombError,
)

# Files that are mistaken for pictures, by their first bytes.
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
_REASON_LENGTH = 200
# Pillow raises what it logs, too, and the exception is what we show.
logging.getLogger("PIL").addHandler(logging.NullHandler())
ODD = "odd file"
"""Beginning of the note about a picture that was read in spite of damage."""


@contextmanager
def open_picture(path: Path, max_pixels: int | None = None, notes: list[str] | None = None) -> Iterator[Image.Image]:
    """Open a still picture of any common format; its content decides the format, not its suffix.

    Only its header is read. What Pillow raises inside the block while it decodes becomes one sentence.

    Args:
        path: the file.
        max_pixels: refuse pictures of more pixels; None for a caller who only reads the header.
        notes: gets what Pillow warned of while the picture was open, such as damaged EXIF data.

    Raises:
        CasarbiError: if there is no such file, it is a folder, empty, no picture, cut off or damaged, or declares more
            pixels than `max_pixels` or than its bytes can hold.
    """
    _check_file(path)
    try:
        with _strict_pillow(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with _open(path, caught) as image:
                _leave_out_odd_exif(image)
                if max_pixels is not None:
                    _check_size(image, path, max_pixels)
                yield image
    except CasarbiError as error:
        # Functions that see only the pixels do not know the file: its name is added here.
        raise error if str(path) in str(error) else CasarbiError(f"{path} cannot be used: {error}.") from None
    except PermissionError:
        raise CasarbiError(f"{path} may not be read: check its permissions.") from None
    except MemoryError:
        raise CasarbiError(f"{path} needs more memory than there is: shrink it first.") from None
    except DAMAGE as error:
        raise CasarbiError(_damaged(path, _reason(error))) from None
    if notes is not None:
        notes += dict.fromkeys(_odd(str(warning.message)) for warning in caught)


def decode(image: Image.Image, notes: list[str]) -> None:
    """Decode the pixels of an open picture; what libtiff says in passing becomes a note instead of bare lines.

    Raises:
        Exception: what Pillow raises on a damaged file.
    """
    words: list[str] = []
    try:
        with native_words(words, listen=image.format == "TIFF"):
            image.load()
    except DAMAGE as error:
        raise OSError(words[0] if words else _reason(error)) from error
    notes += [_odd(words[0])] if words else []
    if hasattr(image, "_decoder"):  # of WebP and AVIF: they would keep the file and two copies of the pixels
        vars(image).update(_decoder=None, fp=None)


def _odd(text: str) -> str:
    return f"{ODD}: {visible(text.split('. ')[0].strip(' .'))[:_REASON_LENGTH]}"


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise CasarbiError(f"{path} is a folder, expected one picture: name a file in it.")
    if not path.exists():
        raise CasarbiError(f"There is no file '{path}': check the name.")
    if not path.is_file():  # a pipe or a device could be waited for without end
        raise CasarbiError(f"{path} is not a regular file: save the picture to one first.")
    if path.stat().st_size == 0:
        raise CasarbiError(f"{path} is empty (0 bytes): copy or download it again.")
    if path.suffix.lower() in _RAW_SUFFIXES.split():  # as TIFF it would give its thumbnail
        raise CasarbiError(f"{path} is a camera's raw file: develop it to TIFF or PNG first.")


_depth = 0
_depth_lock = threading.Lock()
_before: tuple[bool, int | None, bool] = (False, None, False)


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Refuse half pictures even if another library accepts them (pytorch/vision#138), and let our limit on pixels rule.

    Pillow is also told to warn of what is wrong with a file that it cannot open. All three are settings of the whole
    process: the first of several threads sets them and the last sets them back.
    """
    global _depth, _before
    with _depth_lock:
        if _depth == 0:
            _before = _set_pillow(False, None, True)
        _depth += 1
    try:
        yield
    finally:
        with _depth_lock:
            _depth -= 1
            if _depth == 0:
                _set_pillow(*_before)


def _set_pillow(load_truncated: bool, max_pixels: int | None, warn: bool) -> tuple[bool, int | None, bool]:
    """Set Pillow's settings; returns what they were."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, getattr(Image, "WARN_POSSIBLE_FORMATS", False)
    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = load_truncated, max_pixels
    Image.WARN_POSSIBLE_FORMATS = warn  # since Pillow 11.0; without it, reasons are missing
    return before


def _open(path: Path, caught: list[warnings.WarningMessage]) -> Image.Image:
    """Open a file by its content, in one of the formats of still pictures; `caught` gets Pillow's warnings."""
    check_before_opening(path)
    known = set(Image.registered_extensions().values())
    reason = ""
    # One format after another: a signature of two bytes may fit by chance, and then a later format is the right one.
    for name in _FORMATS.split():
        if name not in known:
            continue
        try:
            return Image.open(path, formats=[name])
        except UnidentifiedImageError:
            reason = reason or _why_not(name, caught)
        except DAMAGE as error:
            reason = reason or _reason(error)
    raise CasarbiError(_unidentified(path, reason))


def _why_not(name: str, caught: list[warnings.WarningMessage]) -> str:
    """Why a file with the signature of a format is not of this format, as Pillow warned; "" without the signature."""
    start = f"{name} opening failed. "
    said = (str(warning.message) for warning in reversed(caught))
    found = next((text for text in said if text.startswith(start)), "")
    return "" if name == "TGA" else _tidy(found.removeprefix(start))  # TGA has no signature


def _leave_out_odd_exif(image: Image.Image) -> None:
    # Pillow goes through all tags several times, so thousands of them would take long.
    exif = image.info.get("exif")
    if exif and count_tags(io.BytesIO(exif.removeprefix(b"Exif\0\0"))) > MAX_TAGS:
        del image.info["exif"]
        warnings.warn("EXIF data of thousands of tags left out", stacklevel=2)


def _unidentified(path: Path, reason: str) -> str:
    """Say what a file is that no reader takes: a TIFF of an unknown kind, a damaged picture, or no picture at all."""
    with path.open("rb") as file:
        head = file.read(64)
        made_of = describe_tiff(file) if head.startswith(tuple(TiffImagePlugin.PREFIXES)) else None
    if made_of:
        return f"{path} is {made_of}."
    if reason:
        return _damaged(path, reason)
    if head[4:12] in _HEIF_BRANDS:
        return f"{path} is a HEIC picture, which needs another reader: save it as JPEG or PNG first."
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    looks = next((f"; it looks like {what}" for sign, what in _STRANGERS.items() if start.startswith(sign)), "")
    return f"{path} is not a picture that can be read{looks}: save it as PNG, JPEG, TIFF or WebP."


def _damaged(path: Path, reason: str) -> str:
    return f"{path} is cut off or damaged ({reason}): copy or download it again."


def _reason(error: Exception) -> str:
    return _tidy(str(error)) or type(error).__name__


def _tidy(text: str) -> str:
    return visible(" ".join(text.split())).rstrip(".")[:_REASON_LENGTH]


def _check_size(image: Image.Image, path: Path, max_pixels: int) -> None:
    width, height = image.size
    size = f"{width}x{height} px"
    if width * height > max_pixels:
        raise CasarbiError(
            f"{path} has {size} ({width * height:,}), above the limit of {max_pixels:,} pixels: "
            "if it is meant, raise the limit (--max-pixels N of casarbi upscale, folder:DIR?max_pixels=N)."
        )
    needed, found = least_bytes(image), path.stat().st_size
    if found < needed:
        raise CasarbiError(
            f"{path} declares {size}, but its {found:,} bytes cannot hold them ({image.format} needs {needed:,} or "
            "more): copy or download it again."
        )
