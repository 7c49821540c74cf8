"""What a photograph holds beside its pixels: print resolution, date, camera, caption, author, licence, place.

They are read into plain values and written as the target format can hold them. What would be wrong for an enlarged
picture is replaced or left out: orientation, sizes, embedded previews.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin

from casarbi.scales import Size

Base, Ifd = ExifTags.Base, ExifTags.IFD

# What is kept of the first directory; all else there describes how the old file was laid out.
_TAGS: tuple[int, ...] = (
    Base.DocumentName, Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime, Base.Artist,
    Base.HostComputer, Base.Copyright, Base.Rating, Base.RatingPercent, Base.XPTitle, Base.XPComment, Base.XPAuthor,
    Base.XPKeywords, Base.XPSubject,
)  # fmt: skip
_SIZE_TAGS = (Base.ExifImageWidth, Base.ExifImageHeight)
_TEXT_TO_EXIF = {
    "Title": Base.DocumentName, "Description": Base.ImageDescription, "Author": Base.Artist,
    "Copyright": Base.Copyright, "Software": Base.Software,
}  # fmt: skip
_XMP_TAG, _IPTC_TAG, _IPTC_BLOCK = 700, 33723, 0x0404
_MAX_BYTES, _MAX_TEXT, _MAX_TEXTS, _MAX_DPI = 2**21, 2**16, 100, 100_000
_MAX_MARKER = 65_533 - 6  # bytes of EXIF data in a JPEG segment, whose length has 16 bits
_DAMAGE = (OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, struct.error, ArithmeticError)

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))\s*\d+")
_XMP_WIDTH = re.compile(rb"((?:tiff:ImageWidth|exif:PixelXDimension)(?:=[\"']|>))\s*\d+")
_XMP_HEIGHT = re.compile(rb"((?:tiff:ImageLength|exif:PixelYDimension)(?:=[\"']|>))\s*\d+")
_XMP_PREVIEW = re.compile(rb"<xmp:Thumbnails>.*?</xmp:Thumbnails>|<xmpGImg:image>.*?</xmpGImg:image>", re.DOTALL)


@dataclass(frozen=True)
class Metadata:
    """What a file says of its picture.

    Attributes:
        dpi: dots per inch across and down, for print; None if the file says nothing.
        first: EXIF tags of the first directory (camera, date, caption, artist, copyright).
        camera: EXIF tags of the exposure.
        place: EXIF tags of the GPS receiver.
        xmp: Adobe's XML packet.
        iptc: the press agencies' record.
        texts: keywords and texts of a PNG, comment of a JPEG or GIF.
        dropped: what could not be read or makes no sense beside new pixels, in words.
    """

    dpi: tuple[float, float] | None = None
    first: Mapping[int, Any] = field(default_factory=dict)
    camera: Mapping[int, Any] = field(default_factory=dict)
    place: Mapping[int, Any] = field(default_factory=dict)
    xmp: bytes | None = None
    iptc: bytes | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to keep."""
        return any((self.dpi, self.first, self.camera, self.place, self.xmp, self.iptc, self.texts))


def read_metadata(image: Image.Image) -> Metadata:
    """Read the metadata of an open, decoded picture; what is damaged is named and left out."""
    dropped: list[str] = []
    first, camera, place = _read_exif(image, dropped)
    xmp = image.info.get("xmp")
    return Metadata(
        dpi=_read_dpi(image),
        first=first,
        camera=camera,
        place=place,
        xmp=_XMP_PREVIEW.sub(b"", xmp) if isinstance(xmp, bytes) and len(xmp) <= _MAX_BYTES else None,
        iptc=_read_iptc(image),
        texts=_read_texts(image),
        dropped=tuple(dropped),
    )


def _read_exif(image: Image.Image, dropped: list[str]) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    if len(image.info.get("exif") or b"") > _MAX_BYTES:
        dropped.append("EXIF of many megabytes")
        return {}, {}, {}
    try:
        exif = image.getexif()
        first: dict[int, Any] = {tag: _text_bytes(exif[tag]) for tag in _TAGS if tag in exif}
        camera = {tag: _text_bytes(value) for tag, value in exif.get_ifd(Ifd.Exif).items()}
        place = {tag: _text_bytes(value) for tag, value in exif.get_ifd(Ifd.GPSInfo).items()}
        has_preview = image.format != "TIFF" and bool(exif.get_ifd(Ifd.IFD1))  # IFD1 of a TIFF is its second page
    except _DAMAGE:
        dropped.append("damaged EXIF")
        return {}, {}, {}
    dropped += ["embedded preview"] if has_preview else []
    # Offsets inside a maker note count from the start of the old file, so a copy would be broken.
    dropped += ["maker note"] if camera.pop(Base.MakerNote, None) else []
    camera.pop(Base.ExifInteroperabilityOffset, None)
    return first, camera, place


def _text_bytes(value: Any) -> Any:
    """A text that is not ASCII as its bytes: Pillow reads texts as Latin-1 and would write "?" for each such sign."""
    return value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value


def _read_dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    # Pillow gives files that say nothing 72 (JPEG with EXIF) or 1 dot per inch (TIFF).
    if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2) and not _exif_has_dpi(image):
        return None
    if image.format == "TIFF" and Base.XResolution not in getattr(image, "tag_v2", {}):
        return None
    if dpi is None and image.format in ("WEBP", "AVIF", "PNG") and (found := _exif_dpi(image)):
        dpi = found
    try:
        across, down = (float(value) for value in dpi or ())
    except _DAMAGE:
        return None
    fits = all(math.isfinite(value) and 1 <= value <= _MAX_DPI for value in (across, down))
    return (across, down) if fits else None


def _exif_has_dpi(image: Image.Image) -> bool:
    try:
        return Base.XResolution in image.getexif()
    except _DAMAGE:
        return False


def _exif_dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        exif = image.getexif()
        per_inch = 2.54 if exif.get(Base.ResolutionUnit, 2) == 3 else 1.0
        return float(exif[Base.XResolution]) * per_inch, float(exif[Base.YResolution]) * per_inch
    except _DAMAGE:
        return None


def _read_iptc(image: Image.Image) -> bytes | None:
    blocks = image.info.get("photoshop")
    found = blocks.get(_IPTC_BLOCK) if isinstance(blocks, dict) else getattr(image, "tag_v2", {}).get(_IPTC_TAG)
    return found if isinstance(found, bytes) and 0 < len(found) <= _MAX_BYTES else None


def _read_texts(image: Image.Image) -> dict[str, str]:
    texts = {name: str(text) for name, text in getattr(image, "text", {}).items() if ":" not in name}
    comment = image.info.get("comment")
    if isinstance(comment, bytes) and comment.strip(b"\0 "):
        texts["Comment"] = comment.decode("utf-8", "replace")
    kept = {name: text for name, text in texts.items() if not name.startswith("Raw profile") and text}
    return {name: text for name, text in list(kept.items())[:_MAX_TEXTS] if len(text) <= _MAX_TEXT}


def save_options(metadata: Metadata, format_name: str, size: Size) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Pillow's options that store metadata in a file, and what is not stored, in words.

    Args:
        metadata: of the picture that was enlarged.
        format_name: Pillow's name of the format.
        size: (height, width) of the new picture, which replaces the sizes in the metadata.
    """
    options: dict[str, Any] = {"dpi": metadata.dpi} if metadata.dpi and format_name != "WEBP" else {}
    dropped = list(metadata.dropped)
    # BMP has a place for the resolution only.
    if format_name == "BMP":
        lost = {
            "EXIF": metadata.first or metadata.camera or metadata.place,
            "XMP": metadata.xmp,
            "texts": metadata.texts,
            "IPTC": metadata.iptc,
        }
        return options, (*dropped, *(name for name, found in lost.items() if found))
    xmp = _fit_xmp(metadata.xmp, size)
    # EXIF, which in a TIFF carries XMP and IPTC as tags.
    exif = _exif_bytes(metadata, format_name, size, xmp)
    if exif is None:
        dropped.append("EXIF")
    elif format_name == "JPEG" and len(exif) > _MAX_MARKER:
        dropped.append("EXIF (too long for JPEG)")
    elif exif:
        options["exif"] = _with_texts_as_bytes(exif) if format_name == "TIFF" else exif
        if format_name == "TIFF" and (metadata.camera or metadata.place):
            options["compression"] = "raw"  # Pillow cannot compress a TIFF with directories inside its directory
    # XMP and texts; 29 bytes of a JPEG's XMP segment are its signature.
    if format_name == "PNG":
        options["pnginfo"] = _png_texts(metadata.texts, xmp)
    elif xmp and format_name == "JPEG" and len(xmp) > _MAX_MARKER - 29:
        dropped.append("XMP (too long for JPEG)")
    elif xmp and format_name != "TIFF":  # there it is a tag beside EXIF's
        options["xmp"] = xmp
    if format_name == "JPEG" and "Comment" in metadata.texts:
        options["comment"] = metadata.texts["Comment"].encode()[:_MAX_MARKER]
    # IPTC has a place in JPEG and TIFF only; texts without an EXIF tag only in PNG.
    if metadata.iptc and format_name == "JPEG" and len(metadata.iptc) < _MAX_MARKER - 32:
        options["extra"] = _iptc_marker(metadata.iptc)
    elif metadata.iptc and format_name != "TIFF":
        dropped.append("IPTC")
    if format_name != "PNG":
        dropped += [name for name in metadata.texts if name not in _TEXT_TO_EXIF and name != "Comment"]
    return options, tuple(dropped)


def _fit_xmp(xmp: bytes | None, size: Size) -> bytes | None:
    if xmp is None:
        return None
    upright = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    return _XMP_HEIGHT.sub(rb"\g<1>%d" % size[0], _XMP_WIDTH.sub(rb"\g<1>%d" % size[1], upright))


def _exif_bytes(metadata: Metadata, format_name: str, size: Size, xmp: bytes | None) -> bytes | None:
    """EXIF data, upright; b"" if there is nothing to say and None if Pillow cannot write what it has read."""
    first, camera = dict(metadata.first), dict(metadata.camera)
    if format_name != "PNG":  # PNG keeps texts as texts
        named = {tag: metadata.texts[name].encode() for name, tag in _TEXT_TO_EXIF.items() if name in metadata.texts}
        first = named | first
    if metadata.dpi and (format_name == "WEBP" or first or camera):
        first |= {Base.XResolution: metadata.dpi[0], Base.YResolution: metadata.dpi[1], Base.ResolutionUnit: 2}
    if format_name == "TIFF":
        first |= {tag: value for tag, value in ((_XMP_TAG, xmp), (_IPTC_TAG, metadata.iptc)) if value}
    # Sizes are corrected where the old file had them, and not added.
    camera |= {tag: side for tag, side in zip(_SIZE_TAGS, reversed(size), strict=True) if tag in camera}
    if not (first or camera or metadata.place):
        return b""
    exif = Image.Exif()
    exif.update(first)
    for tag, found in ((Ifd.Exif, camera), (Ifd.GPSInfo, metadata.place)):
        if found:
            exif.get_ifd(tag).update(found)
    try:
        return exif.tobytes()
    except _DAMAGE:
        return None


def _with_texts_as_bytes(data: bytes) -> Image.Exif:
    """EXIF data in the form in which Pillow's TIFF writer keeps texts that are not ASCII."""
    exif = Image.Exif()
    exif.load(data)
    for part in (exif, exif.get_ifd(Ifd.Exif)):
        part.update({tag: _text_bytes(value) for tag, value in part.items()})
    return exif


def _png_texts(texts: Mapping[str, str], xmp: bytes | None) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_itxt(name, text)
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    return info


def _iptc_marker(iptc: bytes) -> bytes:
    """The segment of a JPEG that holds a press record, as Photoshop laid it out."""
    block = (
        b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHI", _IPTC_BLOCK, 0, len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    )
    return b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
