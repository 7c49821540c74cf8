"""What the bytes of a picture file say before anything is decoded: what they can hold, frames, the make of a TIFF."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from PIL import Image, TiffImagePlugin

MAX_FRAMES = 1000
"""Frames and pages are counted up to here; a file of a megabyte could declare a hundred thousand."""

_FREE_PIXELS = 2**24
"""A picture of up to 16 megapixels costs 256 MiB at most, so that its weight does not matter."""
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
MAX_TAGS = 4096
"""Tags of a TIFF or of EXIF data, the limit of libtiff too: Pillow reads each of them several times."""

_SAMPLE_KINDS = {1: "", 2: "signed ", 3: "floating-point ", 4: "untyped ", 5: "complex ", 6: "complex "}
_PHOTOMETRICS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab", 32803: "camera raw"}
_TIFF_TYPES = {1: "B", 3: "H", 4: "L", 16: "Q"}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 259, 262, 277
_TILE_WIDTH, _TILE_HEIGHT, _SAMPLE_FORMAT = 322, 323, 339


def least_bytes(image: Image.Image) -> int:
    """The least number of bytes a file of this format can hold this picture in; 0 if it is too small to matter.

    Formats whose readers fill in what a file lacks (JPEG, GIF) would else take gigabytes for a declared size alone.
    """
    pixels = image.size[0] * image.size[1]
    if pixels <= _FREE_PIXELS:
        return 0
    return pixels // _PIXELS_PER_BYTE.get(image.format or "", _MOST_PIXELS_PER_BYTE)


def check_before_opening(name: str, file: IO[bytes]) -> None:
    """Refuse what costs time or memory while Pillow only opens a file.

    Args:
        name: Pillow's name of the format.
        file: the file, at its start.

    Raises:
        ValueError: if a JPEG has hundreds of scans or many segments of EXIF data, an icon is larger than icons are,
            or a TIFF has thousands of tags or a tile larger than its picture and than tiles are.
    """
    if name == "JPEG":
        if (exifs := _count_exif(file)) > _MAX_EXIFS:
            raise ValueError(f"it has {exifs} segments of EXIF data, and a JPEG has one")
        if (scans := _count_scans(file)) > max(_MAX_SCANS, file.tell() // _SCAN_BYTES):
            raise ValueError(f"it has {scans} scans, and a JPEG has about ten")
    if name == "ICO" and (side := _icon_side(file)) > _MAX_ICON_SIDE:
        raise ValueError(f"it holds an icon of {side} px, and icons have up to {_MAX_ICON_SIDE}")
    if name == "TIFF":
        _check_tile(read_tiff_tags(file))
        if (count := count_tags(file)) > MAX_TAGS:
            raise ValueError(f"it declares {count:,} tags, and a TIFF has a few dozen")


def _count_scans(file: IO[bytes]) -> int:
    """How often a scan begins; in what cameras append, such as a video, the two bytes also occur by chance."""
    file.seek(0)
    count, last = 0, b""
    while block := file.read(2**20):
        count += (last + block).count(b"\xff\xda")
        last = block[-1:]
    return count


def _count_exif(file: IO[bytes]) -> int:
    """Segments of EXIF data before a JPEG's first scan, which Pillow joins to one."""
    count = 0
    file.seek(2)
    while (head := file.read(10))[:1] == b"\xff" and head[1:2] != b"\xda" and len(head) == 10:
        count += head[1:2] == b"\xe1" and head[4:8] == b"Exif"
        file.seek(int.from_bytes(head[2:4], "big") - 8, 1)
    return count


def _icon_side(file: IO[bytes]) -> int:
    """The longest side of any picture in an icon file, which are PNG files or bitmaps without a file header."""
    head = file.read(6)
    entries = file.read(16 * int.from_bytes(head[4:6], "little"))
    longest = 0
    for start in range(0, len(entries) - 15, 16):
        file.seek(int.from_bytes(entries[start + 12 : start + 16], "little"))
        inner = file.read(24)
        if inner.startswith(b"\x89PNG"):
            sides = struct.unpack(">II", inner[16:24]) if len(inner) == 24 else ()
        else:
            sides = struct.unpack("<iI", inner[4:12]) if len(inner) >= 12 else ()
            sides = (sides[0], sides[1] // 2) if sides else ()  # a mask of the same height follows
        longest = max(longest, *sides, 0)
    return longest


def _check_tile(tags: dict[int, tuple[int, ...]]) -> None:
    tile = _first(tags, _TILE_WIDTH) * _first(tags, _TILE_HEIGHT)
    if tile > max(_FREE_PIXELS, _first(tags, _WIDTH) * _first(tags, _HEIGHT)):
        raise ValueError(f"it declares tiles of {tile:,} pixels, more than its picture has")


def _first(tags: dict[int, tuple[int, ...]], tag: int, default: int = 0) -> int:
    return (tags.get(tag) or (default,))[0]


def read_tiff_tags(file: IO[bytes]) -> dict[int, tuple[int, ...]]:
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


def _read_tags(file: IO[bytes], order: str, wide: bool, offset: int) -> dict[int, tuple[int, ...]]:
    entry = order + ("HHQ8s" if wide else "HHL4s")
    entries = file.read(min(_seek_entries(file, order, wide, offset), MAX_TAGS) * struct.calcsize(entry))
    tags: dict[int, tuple[int, ...]] = {}
    whole = len(entries) - len(entries) % struct.calcsize(entry)
    for tag, kind, values, data in struct.iter_unpack(entry, entries[:whole]):
        if kind not in _TIFF_TYPES or not values:
            continue
        layout = order + str(min(values, 16)) + _TIFF_TYPES[kind]
        if struct.calcsize(order + _TIFF_TYPES[kind]) * values > len(data):
            file.seek(struct.unpack(order + ("Q" if wide else "L"), data)[0])
            data = file.read(struct.calcsize(layout))
        if len(data) >= struct.calcsize(layout):
            tags.setdefault(tag, struct.unpack_from(layout, data))
    return tags


def describe_tiff(file: IO[bytes]) -> str | None:
    """Say what a TIFF that Pillow has no mode for is made of, and what is expected; None if its tags cannot be read."""
    tags = read_tiff_tags(file)
    if not tags.get(_WIDTH) or not tags.get(_HEIGHT):
        return None
    bands, bits = _first(tags, _SAMPLES, 1), sorted(set(tags.get(_BITS, (1,))))
    kind = _SAMPLE_KINDS.get(_first(tags, _SAMPLE_FORMAT, 1), "untyped ")
    colours = _PHOTOMETRICS.get(_first(tags, _PHOTOMETRIC, 1), f"colours of kind {_first(tags, _PHOTOMETRIC)}")
    packing = _first(tags, _COMPRESSION, 1)
    packed = "" if packing in TiffImagePlugin.COMPRESSION_INFO else f", compressed by method {packing}"
    depth = f"{' and '.join(map(str, bits))} {kind}bits"
    return (
        f"a TIFF with {bands} band{'s' * (bands != 1)} of {depth} ({colours}{packed}): "
        "expected grey or RGB of 8 or 16 bits, with or without alpha, or one band of 32 bits"
    )


def count_frames(image: Image.Image, path: Path) -> int:
    """Frames or pages of an open picture, at most `MAX_FRAMES`; 1 for formats whose further pictures are previews."""
    if image.format in ("TIFF", "GIF"):
        with path.open("rb") as file:
            return max(1, sum(1 for _ in (_directories if image.format == "TIFF" else _gif_frames)(file)))
    if image.format in ("WEBP", "PNG", "AVIF"):
        return min(MAX_FRAMES, int(getattr(image, "n_frames", 1)))
    return 1


def _directories(file: IO[bytes]) -> Iterator[int]:
    """Offsets of a TIFF's directories, each once, whatever circle they form."""
    seen: set[int] = set()
    try:
        order, wide, offset = _tiff_header(file)
        while offset and offset not in seen and len(seen) < MAX_FRAMES:
            seen.add(offset)
            yield offset
            file.seek(_seek_entries(file, order, wide, offset) * (20 if wide else 12), 1)
            offset = (
                struct.unpack(order + "Q", file.read(8))[0] if wide else struct.unpack(order + "L", file.read(4))[0]
            )
    except (struct.error, OSError, ValueError, OverflowError):
        return


def _gif_frames(file: IO[bytes]) -> Iterator[int]:
    """Offsets of a GIF's pictures; blocks are stepped over, nothing is decoded."""
    file.seek(10)
    flags = file.read(3)[:1]
    _skip_palette(file, flags)
    for count in range(MAX_FRAMES + 1):
        sign = file.read(1)
        while sign == b"!":  # an extension: its label, then blocks
            file.seek(1, 1)
            _skip_blocks(file)
            sign = file.read(1)
        if sign != b"," or count == MAX_FRAMES:
            return
        yield file.tell()
        _skip_palette(file, file.read(9)[8:9])
        file.seek(1, 1)  # the size of the first code
        _skip_blocks(file)


def _skip_palette(file: IO[bytes], flags: bytes) -> None:
    if flags and flags[0] & 0x80:
        file.seek(3 << ((flags[0] & 7) + 1), 1)


def _skip_blocks(file: IO[bytes]) -> None:
    while (size := file.read(1)) and size != b"\0":
        file.seek(size[0], 1)
