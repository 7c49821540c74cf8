"""Limits on what a picture file may cost, checked on its bytes before anything is decoded."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from PIL import Image, TiffImagePlugin
from PIL.ExifTags import Base

from casarbi.pictures.tiff import MAX_TAGS, count_tags, first_value, read_tiff_tags

_FREE_PIXELS = 2**24
"""A picture of up to 16 megapixels costs 256 MiB at most, so the bytes of its file do not matter."""
_PIXELS_PER_BYTE = {
    "JPEG": 512,  # a block of 64 pixels takes at least one bit, in arithmetic coding too unless it is quite flat
    "MPO": 512,
    "GIF": 4096,  # one code of 12 bits stands for at most as many pixels as there are codes
}
_MOST_PIXELS_PER_BYTE = 2**15  # flat WebP has 26,000, one-bit PNG 8,256

# Of a progressive JPEG, which has about ten; each costs time over the whole picture. Longer ones cost what they weigh.
_MAX_SCANS, _SCAN_BYTES = 500, 2**14
_MAX_EXIFS = 8
_MAX_ICON_SIDE = 1024


def least_bytes(image: Image.Image) -> int:
    """The least number of bytes a file of this format can hold this picture in; 0 if it is too small to matter.

    Formats whose readers fill in what a file lacks (JPEG, GIF) would otherwise take gigabytes for a size that is only
    declared.
    """
    pixels = image.size[0] * image.size[1]
    if pixels <= _FREE_PIXELS:
        return 0
    return pixels // _PIXELS_PER_BYTE.get(image.format or "", _MOST_PIXELS_PER_BYTE)


def check_before_opening(path: Path) -> None:
    """Refuse what costs time or memory while Pillow only opens a file.

    Raises:
        ValueError: if a JPEG has hundreds of scans or many segments of EXIF data, an icon is larger than icons are,
            or a TIFF has thousands of tags or a tile larger than its picture and than tiles are.
    """
    with path.open("rb") as file:
        head = file.read(16)
        if head.startswith(b"\xff\xd8\xff"):
            _check_jpeg(file)
        elif head.startswith(b"\0\0\1\0"):
            _check_icon(file)
        elif head.startswith(tuple(TiffImagePlugin.PREFIXES)):
            _check_tiff(file)


def _check_jpeg(file: IO[bytes]) -> None:
    if (exifs := _count_exif(file)) > _MAX_EXIFS:
        raise ValueError(f"it has {exifs} segments of EXIF data, and a JPEG has one")
    # Counting ends at the end of the file, so that tell() is its size.
    if (scans := _count_scans(file)) > max(_MAX_SCANS, file.tell() // _SCAN_BYTES):
        raise ValueError(f"it has {scans} scans, and a JPEG has about ten")


def _check_icon(file: IO[bytes]) -> None:
    if (side := _icon_side(file)) > _MAX_ICON_SIDE:
        raise ValueError(f"it holds an icon of {side} px, and icons have up to {_MAX_ICON_SIDE}")


def _check_tiff(file: IO[bytes]) -> None:
    tags = read_tiff_tags(file)
    tile = first_value(tags, Base.TileWidth) * first_value(tags, Base.TileLength)
    if tile > max(_FREE_PIXELS, first_value(tags, Base.ImageWidth) * first_value(tags, Base.ImageLength)):
        raise ValueError(f"it declares tiles of {tile:,} pixels, more than its picture has")
    if (count := count_tags(file)) > MAX_TAGS:
        raise ValueError(f"it declares {count:,} tags, and a TIFF has a few dozen")


def _count_scans(file: IO[bytes]) -> int:
    """How often a scan begins; in what cameras append, such as a video, the two bytes also occur by chance."""
    file.seek(0)
    count, last = 0, b""
    while block := file.read(2**20):
        # With the last byte of the block before: a marker may lie across two blocks.
        count += (last + block).count(b"\xff\xda")
        last = block[-1:]
    return count


def _count_exif(file: IO[bytes]) -> int:
    """Segments of EXIF data before a JPEG's first scan, which Pillow joins to one."""
    count = 0
    file.seek(2)
    while (head := file.read(10))[:1] == b"\xff" and head[1:2] != b"\xda" and len(head) == 10:
        # A segment is a marker, a length that counts itself, and data; EXIF data is in segments of marker E1.
        count += head[1:2] == b"\xe1" and head[4:8] == b"Exif"
        file.seek(int.from_bytes(head[2:4], "big") - 8, 1)
    return count


def _icon_side(file: IO[bytes]) -> int:
    """The longest side of any picture in an icon file, which are PNG files or bitmaps without a file header."""
    file.seek(0)
    head = file.read(6)
    entries = file.read(16 * int.from_bytes(head[4:6], "little"))
    longest = 0
    for start in range(0, len(entries) - 15, 16):
        # An entry ends with the offset of its picture, whose own header holds the real size.
        file.seek(int.from_bytes(entries[start + 12 : start + 16], "little"))
        inner = file.read(24)
        if inner.startswith(b"\x89PNG"):
            sides = struct.unpack(">II", inner[16:24]) if len(inner) == 24 else ()
        else:
            sides = struct.unpack("<iI", inner[4:12]) if len(inner) >= 12 else ()
            sides = (sides[0], sides[1] // 2) if sides else ()  # a mask of the same height follows
        longest = max(longest, *sides, 0)
    return longest
