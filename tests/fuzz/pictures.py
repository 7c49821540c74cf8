"""Hostile picture files: small real files of every format that is read, damaged as an attacker or a bad disk would.

Each case is a file, the name of which says what was done to it. Mutators know where the formats keep their sizes,
lengths and offsets; plain bit flips, cuts and splices are among them for what nobody thought of.
"""

from __future__ import annotations

import io
import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from fuzz.runner import TRAP, Case

Mutator = Callable[[bytes, random.Random], bytes]

NUMBERS = (0, 1, 2, 7, 8, 16, 255, 256, 13_000, 32_767, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
"""Values at the edges of what counts and sides are stored in."""


def cases(count: int, seed: int) -> Iterator[Case]:
    """Make hostile files: whatever the count, the same seed begins with the same files."""
    rng = random.Random(seed)
    originals = seeds()
    bombs = list(make_bombs())
    for index in range(count):
        if index < len(bombs):
            name, content = bombs[index]
            yield Case(f"{index:05d}-{name}", content)
            continue
        name = rng.choice(sorted(originals))
        content, done = originals[name], []
        for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
            mutate = rng.choice([*ANY, *BY_FORMAT.get(name.split(".")[-1], ANY)])
            content = mutate(content, rng)
            done.append(mutate.__name__)
        stem, suffix = name.split(".")
        yield Case(f"{index:05d}-{stem}-{'-'.join(done)}.{suffix}", content)


@cache
def seeds() -> dict[str, bytes]:
    """Small real files, by name: every format, and of each the variants that take another way through its reader."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)
    smooth = np.linspace(0, 255, 24 * 36 * 3).reshape(24, 36, 3).astype(np.uint8)
    deep = noise[..., 0].astype(np.uint16) * 257
    rgb, ramp, alpha = (
        Image.fromarray(noise),
        Image.fromarray(smooth),
        Image.fromarray(np.dstack([noise, noise[..., :1]])),
    )
    files: dict[str, bytes] = {}

    def keep(name: str, image: Image.Image, **options: object) -> None:
        file = io.BytesIO()
        image.save(file, options.pop("format", None) or _FORMATS[name.split(".")[1]], **options)
        files[name] = file.getvalue()

    facts = _facts()
    keep("rgb.png", rgb, **facts | {"pnginfo": _texts()})
    keep("grey.png", ramp.convert("L"), transparency=7)
    keep("palette.png", ramp.convert("P"), transparency=3)
    keep("one.png", ramp.convert("1"))
    keep("alpha.png", alpha)
    keep("deep.png", Image.fromarray(deep))
    keep("frames.png", rgb, save_all=True, append_images=[ramp])
    keep("base.jpg", ramp, **facts | {"comment": b"x"})
    keep("progressive.jpg", rgb, progressive=True, quality=60)
    keep("cmyk.jpg", ramp.convert("CMYK"))
    keep("grey.jpg", ramp.convert("L"), restart_marker_rows=1)
    keep("still.gif", ramp)
    keep("frames.gif", ramp.convert("P"), save_all=True, append_images=[rgb.convert("P")], transparency=1, comment=b"c")
    keep("rgb.bmp", rgb)
    keep("palette.bmp", ramp.convert("P"))
    keep("rgb.webp", ramp, quality=50)
    keep("alpha.webp", alpha, lossless=True, **facts)
    keep("frames.webp", rgb, save_all=True, append_images=[ramp])
    for compression in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "zstd", "lzma"):
        keep(f"{compression.replace('_', '')}.tif", rgb, compression=compression)
    keep("facts.tif", rgb, **facts)
    keep("deep.tif", Image.fromarray(deep))
    keep("float.tif", Image.fromarray(noise[..., 0].astype(np.float32) / 255))
    keep("whole.tif", Image.fromarray(noise[..., 0].astype(np.int32)))
    keep("group4.tif", ramp.convert("1"), compression="group4")
    keep("cmyk.tif", ramp.convert("CMYK"))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    keep("lab.tif", ImageCms.profileToProfile(ramp, srgb, lab, outputMode="LAB"))
    keep("pages.tif", rgb, save_all=True, append_images=[ramp])
    keep("alpha.tif", alpha)
    for name in ("rgb.ppm", "rgb.tga", "rgb.pcx", "rgb.sgi", "rgb.jp2", "rgb.avif", "rgb.dds", "rgb.qoi"):
        keep(name, ramp)
    keep("rle.tga", ramp, compression="tga_rle")
    keep("grey.pgm", ramp.convert("L"))
    keep("alpha.ico", alpha, sizes=[(16, 16), (24, 24)])
    keep("bitmap.ico", alpha, sizes=[(16, 16)], bitmap_format="bmp")
    keep("one.xbm", ramp.convert("1"))
    keep("one.msp", ramp.convert("1"))
    files["plain.ppm"] = b"P3 4 3 255 " + b" ".join(str(value).encode() for value in noise.ravel()[:36])
    files["float.pfm"] = b"PF 4 3 -1.0\n" + (noise.ravel()[:36] / np.float32(255)).astype("<f4").tobytes()
    files["rgb.psd"] = _psd(noise)
    files["rgb.ras"] = struct.pack(">8I", 0x59A66A95, 36, 24, 24, 24 * 36 * 3, 1, 0, 0) + noise.tobytes()
    files["rle.bmp"] = _rle_bitmap()
    files["one.xpm"] = (
        b'/* XPM */\nstatic char *a[] = {\n"4 2 2 1",\n"a c #ff0000",\n"b c #00ff00",\n"abab",\n"baba"\n};\n'
    )
    return files


_FORMATS = {
    "png": "PNG", "jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF", "ppm": "PPM", "pgm": "PPM",
    "tga": "TGA", "pcx": "PCX", "sgi": "SGI", "jp2": "JPEG2000", "avif": "AVIF", "dds": "DDS", "qoi": "QOI",
    "ico": "ICO", "xbm": "XBM", "msp": "MSP",
}  # fmt: skip


def _facts() -> dict[str, object]:
    exif = Image.Exif()
    exif.update({270: f"{TRAP}:record", 274: 6, 282: 300.0, 283: 300.0, 296: 2, 33432: "CC0"})
    exif.get_ifd(0x8769).update({36867: "2019:08:07 06:05:04", 40962: 36, 37500: b"note"})
    exif.get_ifd(0x8825).update({1: "N", 2: (1.0, 2.0, 3.0)})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return {"exif": exif.tobytes(), "dpi": (300, 300), "icc_profile": profile, "xmp": b'<x tiff:Orientation="6"/>'}


def _texts() -> PngImagePlugin.PngInfo:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", f"{TRAP}:record", zip=True)
    texts.add_itxt("Author", "Ä\x1b]0;x\x07", zip=True)
    return texts


def _psd(pixels: np.ndarray) -> bytes:
    height, width, bands = pixels.shape
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, bands, height, width, 8, 3)
    return head + bytes(12) + struct.pack(">H", 0) + pixels.transpose(2, 0, 1).tobytes()


def _rle_bitmap() -> bytes:
    data = b"\x04\x01\0\0\x00\x03\x01\x02\x01\x00\x01\x02\0\0\0\x02\x01\x01\0\x01"
    head = struct.pack("<IiiHHIIiiII", 40, 4, 3, 1, 8, 1, len(data), 0, 0, 4, 4)
    return b"BM" + struct.pack("<IHHI", 70 + len(data), 0, 0, 70) + head + bytes(range(16)) + data


# Mutators for every format.


def flip(data: bytes, rng: random.Random) -> bytes:
    """Flip a few bits."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 4, 16))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_head(data: bytes, rng: random.Random) -> bytes:
    """Change bytes among the first hundred, where headers are."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 4))):
        if changed:
            changed[rng.randrange(min(100, len(changed)))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    """Cut the end off."""
    return data[: rng.randrange(len(data) + 1)]


def drop(data: bytes, rng: random.Random) -> bytes:
    """Take a piece out of the middle."""
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.randrange(1, 64) :]


def repeat(data: bytes, rng: random.Random) -> bytes:
    """Repeat a piece, up to a thousand times."""
    start, length = rng.randrange(len(data) + 1), rng.randrange(1, 128)
    return data[:start] + data[start : start + length] * rng.choice((2, 10, 1000)) + data[start:]


def splice(data: bytes, rng: random.Random) -> bytes:
    """Go on with the tail of another file."""
    other = seeds()[rng.choice(sorted(seeds()))]
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other)) :]


def number(data: bytes, rng: random.Random) -> bytes:
    """Write a number at the edge of a type somewhere, in either byte order."""
    width, order = rng.choice((1, 2, 4)), rng.choice(("little", "big"))
    packed = (rng.choice(NUMBERS) % 256**width).to_bytes(width, order)
    start = rng.randrange(max(1, min(len(data), rng.choice((64, 4096)))))
    return data[:start] + packed + data[start + width :]


def digits(data: bytes, rng: random.Random) -> bytes:
    """Replace a number that is written out, as text formats have them."""
    found = list(re.finditer(rb"\d+", data[:4096]))
    if not found:
        return flip(data, rng)
    where = rng.choice(found)
    new = rng.choice((b"0", b"-1", b"1e9", b"99999999999999999999", b"13000", b"9" * 5000, b"nan", b"65536"))
    return data[: where.start()] + new + data[where.end() :]


ANY: tuple[Mutator, ...] = (flip, flip_head, cut, drop, repeat, splice, number)

# Mutators that know a format.


def png_chunk(data: bytes, rng: random.Random) -> bytes:
    """Change a field of a chunk, or its order, or its number, and mend its checksum, so that a reader goes on."""
    chunks = _png_chunks(data)
    if len(chunks) < 2:
        return flip(data, rng)
    at = rng.randrange(len(chunks))
    kind, body = chunks[at]
    action = rng.choice(("field", "field", "drop", "double", "swap", "kind", "bomb", "length"))
    if action == "field" and body:
        start = rng.randrange(min(len(body), 32))
        packed = struct.pack(">I", rng.choice(NUMBERS))[4 - rng.choice((1, 2, 4)) :]
        chunks[at] = kind, body[:start] + packed + body[start + len(packed) :]
    elif action == "drop":
        del chunks[at]
    elif action == "double":
        chunks[at:at] = [(kind, body)] * rng.choice((1, 50))
    elif action == "swap":
        other = rng.randrange(len(chunks))
        chunks[at], chunks[other] = chunks[other], chunks[at]
    elif action == "kind":
        kinds = (b"IDAT", b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"acTL", b"fcTL", b"fdAT", b"pHYs", b"gAMA", b"IEND")
        chunks[at] = rng.choice(kinds), body
    elif action == "bomb":
        text = zlib.compress(bytes(rng.choice((1000, 5_000_000))))
        new = rng.choice(((b"zTXt", b"k\0\0" + text), (b"iTXt", b"k\0\1\0\0\0" + text), (b"iCCP", b"k\0\0" + text)))
        chunks[1:1] = [new] * rng.choice((1, 20))
    whole = data[:8] + b"".join(
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
    )
    return number(whole, rng) if action == "length" else whole


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, start = [], 8
    while start + 12 <= len(data):
        (length,) = struct.unpack(">I", data[start : start + 4])
        chunks.append((data[start + 4 : start + 8], data[start + 8 : start + 8 + length]))
        start += 12 + length
    return chunks


def png_size(data: bytes, rng: random.Random) -> bytes:
    """Declare another size, depth or kind of colour."""
    chunks = _png_chunks(data)
    if not chunks or len(chunks[0][1]) != 13:
        return flip(data, rng)
    head = list(struct.unpack(">IIBBBBB", chunks[0][1]))
    at = rng.randrange(7)
    head[at] = rng.choice(NUMBERS) if at < 2 else rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    body = b"IHDR" + struct.pack(">IIBBBBB", *head)
    return data[:12] + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


def jpeg_segment(data: bytes, rng: random.Random) -> bytes:
    """Change sizes, sampling, tables or lengths of a segment, or repeat or drop one."""
    starts = [m.start() for m in re.finditer(rb"\xff[\xc0-\xc7\xc9-\xcf\xda-\xdd\xe0-\xef\xfe]", data)]
    if not starts:
        return flip(data, rng)
    at = rng.choice(starts)
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    action = rng.choice(("length", "field", "drop", "double", "kind", "size"))
    if action == "length":
        return data[: at + 2] + struct.pack(">H", rng.choice(NUMBERS) % 65536) + data[at + 4 :]
    if action == "field":
        start = at + 4 + rng.randrange(max(1, min(length, 24)))
        return data[:start] + bytes([rng.choice((0, 1, 2, 4, 17, 34, 68, 127, 255))]) + data[start + 1 :]
    if action == "drop":
        return data[:at] + data[at + 2 + length :]
    if action == "double":
        return data[:at] + data[at : at + 2 + length] * rng.choice((2, 30, 700)) + data[at + 2 + length :]
    if action == "kind":
        return (
            data[: at + 1]
            + bytes([rng.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xDA, 0xE1, 0xEE))])
            + data[at + 2 :]
        )
    frame = re.search(rb"\xff[\xc0-\xc2]", data)
    size = struct.pack(">HH", rng.choice(NUMBERS) % 65536, rng.choice(NUMBERS) % 65536)
    return data if not frame else data[: frame.start() + 5] + size + data[frame.start() + 9 :]


def gif_block(data: bytes, rng: random.Random) -> bytes:
    """Change the size of the screen or of a frame, its place, its palette, or the size of its first code."""
    frame = data.find(b"\x2c", 13)
    start = rng.choice((6, 8, 10, frame + 1, frame + 3, frame + 5, frame + 7, frame + 9, frame + 10))
    width = 1 if start in (10, frame + 9, frame + 10) else 2
    return data[:start] + struct.pack("<I", rng.choice(NUMBERS))[:width] + data[start + width :]


def tiff_entry(data: bytes, rng: random.Random) -> bytes:
    """Change the tag, type, count or value of an entry, or where the next directory lies."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (first,) = struct.unpack(order + "I", data[4:8])
        (count,) = struct.unpack(order + "H", data[first : first + 2])
    except struct.error:
        return flip(data, rng)
    if rng.random() < 0.1:
        end = first + 2 + 12 * count
        return data[:end] + struct.pack(order + "I", rng.choice((first, 8, 0, end, len(data)))) + data[end + 4 :]
    at = first + 2 + 12 * rng.randrange(max(1, count))
    part = rng.choice(("tag", "type", "count", "value", "value", "offset"))
    tags = (
        254,
        256,
        257,
        258,
        259,
        262,
        273,
        277,
        278,
        279,
        284,
        317,
        320,
        322,
        323,
        324,
        325,
        338,
        339,
        347,
        530,
        700,
    )
    new = {
        "tag": (0, struct.pack(order + "H", rng.choice((*tags, 33723, 34665, 34675, 34853)))),
        "type": (2, struct.pack(order + "H", rng.choice((*range(14), 16, 65535)))),
        "count": (4, struct.pack(order + "I", rng.choice(NUMBERS))),
        "value": (8, struct.pack(order + "I", rng.choice((*NUMBERS, 3, 4, 5, 6, 32773, 34712, 50000, 50001)))),
        "offset": (8, struct.pack(order + "I", rng.randrange(len(data) + 1))),
    }[part]
    return data[: at + new[0]] + new[1] + data[at + new[0] + len(new[1]) :]


def riff_chunk(data: bytes, rng: random.Random) -> bytes:
    """Change a length, a kind, or the size of the canvas of a WebP."""
    starts = [m.start() for m in re.finditer(rb"VP8[ LX]|ANIM|ANMF|ALPH|EXIF|ICCP|XMP ", data)]
    if not starts:
        return flip(data, rng)
    at = rng.choice(starts)
    if rng.random() < 0.5:
        start = at + rng.choice((4, 8, 9, 12, 15))
        return data[:start] + struct.pack("<I", rng.choice(NUMBERS))[: rng.choice((1, 3, 4))] + data[start + 4 :]
    return data[:at] + rng.choice((b"VP8 ", b"VP8L", b"VP8X", b"ANMF", b"ICCP")) + data[at + 4 :]


def box(data: bytes, rng: random.Random) -> bytes:
    """Change a length, kind or size in the boxes of AVIF and JPEG 2000, or a marker of the latter."""
    starts = [
        m.start()
        for m in re.finditer(rb"ftyp|meta|iloc|ipma|ispe|pixi|av1C|mdat|ihdr|jp2c|colr|\xff\x51|\xff\x52", data)
    ]
    if not starts:
        return flip(data, rng)
    start = max(0, rng.choice(starts) + rng.choice((-4, 0, 4, 6, 8, 10, 12, 14, 22, 26)))
    return data[:start] + struct.pack(">I", rng.choice(NUMBERS)) + data[start + 4 :]


def bitmap_head(data: bytes, rng: random.Random) -> bytes:
    """Change the sides, depth, compression or palette of a bitmap."""
    start = rng.choice((10, 14, 18, 22, 26, 28, 30, 34, 46, 50))
    return data[:start] + struct.pack("<I", rng.choice(NUMBERS))[: rng.choice((2, 4))] + data[start + 4 :]


BY_FORMAT: dict[str, tuple[Mutator, ...]] = {
    "png": (png_chunk, png_chunk, png_size, png_size, png_chunk, png_size),
    "jpg": (jpeg_segment,) * 6,
    "gif": (gif_block,) * 6,
    "tif": (tiff_entry,) * 8,
    "webp": (riff_chunk,) * 5,
    "avif": (box,) * 5,
    "jp2": (box,) * 5,
    "bmp": (bitmap_head,) * 5,
    "ico": (bitmap_head, png_size, number),
    "ppm": (digits,) * 5,
    "pgm": (digits,) * 5,
    "pfm": (digits,) * 5,
    "xbm": (digits,) * 3,
    "xpm": (digits,) * 3,
}


def make_bombs() -> Iterator[tuple[str, bytes]]:
    """Files that once cost far more than they weigh, or are built to."""
    side = struct.pack(">HH", 13_000, 13_000)
    for name in ("base.jpg", "progressive.jpg"):
        data = seeds()[name]
        at = re.search(rb"\xff[\xc0\xc2]\x00\x11", data)
        assert at
        yield f"declared-{name}", data[: at.start() + 5] + side + data[at.start() + 9 :]
    gif = seeds()["still.gif"]
    yield "declared-screen.gif", gif[:6] + struct.pack("<HH", 13_000, 13_000) + gif[10:]
    frame = gif.index(b"\x2c\0\0\0\0")
    yield "declared-frame.gif", gif[: frame + 5] + struct.pack("<HH", 65_535, 65_535) + gif[frame + 9 :]
    yield "frames.gif", gif[:-1] + gif[frame:-1] * 3000 + b";"
    png = seeds()["rgb.png"]
    for kind, head in ((b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0"), (b"iCCP", b"k\0\0")):
        body = head + zlib.compress(bytes(20_000_000))
        chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        yield f"deflated-{kind.decode()}.png", png[:33] + chunk * 3 + png[33:]
    tif = seeds()["facts.tif"]
    yield "many-pages.tif", _many_pages(tif, 150_000)
    yield "one-region-many-tags.tif", _overlapping_tags(60_000, 2**20)
    yield "exif-of-many-segments.jpg", _with_exif(seeds()["grey.jpg"], _overlapping_tags(60_000, 2**20))
    yield "exif-overlapping.jpg", _with_exif(seeds()["grey.jpg"], _overlapping_tags(5_000, 4_000))
    body = b"eXIf" + _overlapping_tags(60_000, 2**20)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    yield "exif-of-many-tags.png", png[:33] + chunk + png[33:]
    head = struct.pack("<IiiHHIIiiII", 40, 2**27, 4, 1, 8, 1, 20, 0, 0, 4, 4)
    bitmap = b"BM" + struct.pack("<IHHI", 90, 0, 0, 70) + head + bytes(16)
    yield "delta.bmp", bitmap + b"\0\x02\xff\xff" * 5
    yield "digits.ppm", b"P3 4 3 255 " + b"9" * 2_000_000


def _many_pages(tif: bytes, count: int) -> bytes:
    order = "<" if tif[:2] == b"II" else ">"
    (first,) = struct.unpack(order + "I", tif[4:8])
    (entries,) = struct.unpack(order + "H", tif[first : first + 2])
    end = first + 2 + 12 * entries
    pages = b"".join(struct.pack(order + "HI", 0, len(tif) + 6 * n) for n in range(1, count + 1))
    return tif[:end] + struct.pack(order + "I", len(tif)) + tif[end + 4 :] + pages


def _overlapping_tags(count: int, length: int) -> bytes:
    """A directory whose entries all claim the same bytes."""
    size = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 4, 279: 16}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in size.items()]
    entries += [struct.pack("<HHII", 40_000 + n % 25_000, 7, length, 8) for n in range(count)]
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4 + length)


def _with_exif(jpeg: bytes, tiff: bytes) -> bytes:
    parts = [tiff[start : start + 65_000] for start in range(0, len(tiff), 65_000)]
    return jpeg[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 8) + b"Exif\0\0" + p for p in parts) + jpeg[2:]
