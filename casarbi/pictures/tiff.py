"""What the tags of a TIFF say, read from its bytes before anything is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

from PIL import TiffImagePlugin
from PIL.ExifTags import Base

Tags = dict[int, tuple[int, ...]]
"""Values of the tags that hold whole numbers."""

MAX_TAGS = 4096
"""Tags of a TIFF or of EXIF data, the limit of libtiff too: Pillow reads each of them several times."""

_SAMPLE_KINDS = {1: "", 2: "signed ", 3: "floating-point ", 4: "untyped ", 5: "complex ", 6: "complex "}
_COLOURS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab", 32803: "camera raw"}
_TYPES = {1: "B", 3: "H", 4: "L", 16: "Q"}
"""The types of whole numbers, as `struct` calls them."""


def read_tiff_tags(file: IO[bytes]) -> Tags:
    """The whole-number tags of the first picture of a TIFF, at most 16 values each; {} if that cannot be read."""
    try:
        order, wide, offset = _tiff_header(file)
        return _read_tags(file, order, wide, offset)
    except (struct.error, OSError, ValueError, OverflowError):
        return {}


def _tiff_header(file: IO[bytes]) -> tuple[str, bool, int]:
    """Byte order, whether offsets take 8 bytes (BigTIFF), and the offset of the first directory."""
    file.seek(0)
    head = file.read(16)
    # BigTIFF has version 43 and offsets of 8 bytes.
    order = "<" if head[:2] == b"II" else ">"
    wide = struct.unpack(order + "H", head[2:4])[0] == 43
    return order, wide, struct.unpack(order + "Q", head[8:16])[0] if wide else struct.unpack(order + "L", head[4:8])[0]


def _seek_entries(file: IO[bytes], order: str, wide: bool, offset: int) -> int:
    """Go to the entries of a directory; returns their number."""
    file.seek(offset)
    length = 8 if wide else 2
    return int(struct.unpack(order + ("Q" if wide else "H"), file.read(length))[0])


def count_tags(file: IO[bytes]) -> int:
    """How many tags the first directory of a TIFF or of EXIF data declares; 0 if that cannot be read."""
    try:
        return _seek_entries(file, *_tiff_header(file))
    except (struct.error, OSError, ValueError, OverflowError):
        return 0


def _read_tags(file: IO[bytes], order: str, wide: bool, offset: int) -> Tags:
    entry = order + ("HHQ8s" if wide else "HHL4s")
    entries = file.read(min(_seek_entries(file, order, wide, offset), MAX_TAGS) * struct.calcsize(entry))
    tags: Tags = {}
    whole = len(entries) - len(entries) % struct.calcsize(entry)
    for tag, kind, values, data in struct.iter_unpack(entry, entries[:whole]):
        if kind not in _TYPES or not values:
            continue
        layout = order + str(min(values, 16)) + _TYPES[kind]
        # Values that do not fit into the entry stand elsewhere, and the entry holds their offset.
        if struct.calcsize(order + _TYPES[kind]) * values > len(data):
            file.seek(struct.unpack(order + ("Q" if wide else "L"), data)[0])
            data = file.read(struct.calcsize(layout))
        if len(data) >= struct.calcsize(layout):
            tags.setdefault(tag, struct.unpack_from(layout, data))
    return tags


def first_value(tags: Tags, tag: int, default: int = 0) -> int:
    """The first value of a tag, or the default if the tag is not there."""
    return (tags.get(tag) or (default,))[0]


def describe_tiff(file: IO[bytes]) -> str | None:
    """Say what a TIFF that cannot be opened is made of, and what is expected.

    Returns:
        None if its tags cannot be read, or ask for nothing unusual: then it is damaged.
    """
    tags = read_tiff_tags(file)
    if not tags.get(Base.ImageWidth) or not tags.get(Base.ImageLength):
        return None
    bands, bits = first_value(tags, Base.SamplesPerPixel, 1), sorted(set(tags.get(Base.BitsPerSample, (1,))))
    sample_format, photometric, packing = (
        first_value(tags, tag, 1) for tag in (Base.SampleFormat, Base.PhotometricInterpretation, Base.Compression)
    )
    # If Pillow reads this kind of TIFF but not this file, the file must be damaged.
    is_packing_known = packing in TiffImagePlugin.COMPRESSION_INFO
    is_usual = bits == [8] or (bits == [16] and bands in (1, 3, 4))
    if is_usual and sample_format == 1 and photometric in (0, 1, 2, 3) and is_packing_known:
        return None
    colours = _COLOURS.get(photometric, f"colours of kind {photometric}")
    packed = "" if is_packing_known else f", compressed by method {packing}"
    depth = f"{' and '.join(map(str, bits))} {_SAMPLE_KINDS.get(sample_format, 'untyped ')}bits"
    return (
        f"a TIFF with {bands} band{'s' * (bands != 1)} of {depth} ({colours}{packed}): "
        "expected grey or RGB of 8 or 16 bits, with or without alpha, or one band of 32 bits"
    )


def directories(file: IO[bytes]) -> Iterator[int]:
    """Offsets of a TIFF's directories, one for each page, each once, whatever circle they form."""
    seen: set[int] = set()
    try:
        order, wide, offset = _tiff_header(file)
        while offset and offset not in seen:
            seen.add(offset)
            yield offset
            file.seek(_seek_entries(file, order, wide, offset) * (20 if wide else 12), 1)
            width, kind = (8, "Q") if wide else (4, "L")
            offset = struct.unpack(order + kind, file.read(width))[0]
    except (struct.error, OSError, ValueError, OverflowError):
        return
