"""What opening a picture file may cost, and what is said of files that are refused or odd."""

import contextlib
import os
import resource
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from casarbi.errors import CasarbiError
from casarbi.pictures.frames import MAX_FRAMES, count_frames
from casarbi.pictures.libtiff_messages import native_words
from casarbi.pictures.opening import open_picture
from casarbi.pictures.reading import read_image, read_picture
from casarbi.pictures.tiff import describe_tiff

NOISE = np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)
SIDE = 13_000


def save(path: Path, array=NOISE, mode="RGB", **options) -> Path:
    Image.fromarray(array).convert(mode).save(path, **options)
    return path


def patched(path: Path, find: bytes, skip: int, new: bytes) -> Path:
    """Write over the bytes `skip` after the first `find`."""
    data = bytearray(path.read_bytes())
    start = data.index(find) + skip
    data[start : start + len(new)] = new
    path.write_bytes(data)
    return path


def declared(kind: str, folder: Path) -> Path:
    """A file of a few bytes that declares 13000 x 13000 pixels."""
    sides, small = struct.pack(">HH", SIDE, SIDE), NOISE[:8, :8]
    if kind == "jpeg":
        return patched(save(folder / "a.jpg", small), b"\xff\xc0", 5, sides)
    if kind == "progressive":
        return patched(save(folder / "a.jpg", small, progressive=True), b"\xff\xc2", 5, sides)
    if kind == "png":
        path = patched(save(folder / "a.png", small), b"IHDR", 4, struct.pack(">II", SIDE, SIDE))
        return patched(path, b"IHDR", 17, struct.pack(">I", zlib.crc32(path.read_bytes()[12:29])))
    path = patched(save(folder / "a.gif", small, "P"), b"GIF8", 6, struct.pack("<HH", SIDE, SIDE))
    return path if kind == "gif screen" else patched(path, b"\x2c\0\0\0\0", 5, struct.pack("<HH", SIDE, SIDE))


def grown(work) -> int:
    """Bytes by which the peak memory of a process of its own grows while it does some work."""
    inside, outside = os.pipe()
    if (child := os.fork()) == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with contextlib.suppress(CasarbiError):
            work()
        growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os.write(outside, str(growth).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(outside)
    return int(os.read(inside, 20)) * 1024


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "png", "gif screen", "gif frame"])
def test_a_declared_size_costs_nothing(tmp_path, kind):
    path = declared(kind, tmp_path)
    with pytest.raises(CasarbiError, match=r"declares 13000x13000 px, but its .* bytes cannot hold them \(.* needs .*"):
        read_picture(path)
    assert grown(lambda: read_picture(path)) < 2**25


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P", "I;16", "CMYK", "LA"])
def test_reading_takes_little_more_than_its_result(tmp_path, mode):
    """Of 12 bytes per pixel (16 with alpha) and Pillow's own 1 to 4; four copies of the result were made once."""
    side = 2000
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image = Image.new(mode, (side, side), 7 if mode != "LA" else (7, 9))
    image.save(path)
    per_pixel = grown(lambda: read_picture(path)) / side**2
    assert per_pixel < 12 + 4 + 4 * (mode in ("RGBA", "LA")) + 8  # the rest are strips, whatever the picture's size


def test_the_limit_on_pixels_is_ours_alone(tmp_path, monkeypatch):
    """Pillow's own limit neither stops a picture that is allowed, nor is it changed for others."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for suffix in ("png", "gif", "webp", "tif", "jpg", "ico"):
        assert read_picture(save(tmp_path / f"a.{suffix}")).rgb.shape[0] == 3
    assert Image.MAX_IMAGE_PIXELS == 100


def test_settings_of_pillow_come_back_whatever_threads_do(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = save(tmp_path / "a.png")
    first, second = open_picture(path), open_picture(path)
    first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    second.__exit__(None, None, None)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_a_jpeg_of_empty_scans_is_refused(tmp_path):
    """Each scan costs time over the whole picture, and may take no more than its header."""
    path = save(tmp_path / "a.jpg", progressive=True)
    data = path.read_bytes()
    scan = data[data.rindex(b"\xff\xda") : -2]
    path.write_bytes(data[:-2] + scan * 600 + data[-2:])
    with pytest.raises(CasarbiError, match=r"it has 6\d\d scans, and a JPEG has about ten"):
        read_picture(path)


def test_a_video_behind_a_photograph_is_no_heap_of_scans(tmp_path):
    path = save(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes() + (b"\xff\xda" + bytes(40_000)) * 600)
    assert read_picture(path).rgb.shape == (3, 24, 36)


def test_exif_data_of_many_segments_is_refused(tmp_path):
    """Pillow joins them, and reads their tens of thousands of tags several times."""
    path = save(tmp_path / "a.jpg")
    data = path.read_bytes()
    segment = b"\xff\xe1" + struct.pack(">H", 60_000) + b"Exif\0\0" + bytes(59_992)
    path.write_bytes(data[:2] + segment * 9 + data[2:])
    with pytest.raises(CasarbiError, match="it has 9 segments of EXIF data, and a JPEG has one"):
        read_picture(path)


def test_exif_data_of_thousands_of_tags_is_left_out(tmp_path):
    tags = b"MM\0*" + struct.pack(">IH", 8, 5000) + struct.pack(">HHII", 700, 7, 4, 0) * 5000 + bytes(4)
    picture = read_picture(save(tmp_path / "a.png", exif=b"Exif\0\0" + tags))
    assert picture.notes == ("odd file: EXIF data of thousands of tags left out",)


def test_an_icon_cannot_hide_a_large_picture(tmp_path):
    Image.new("1", (5000, 5000)).save(tmp_path / "inner.png")
    inner = (tmp_path / "inner.png").read_bytes()
    head = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inner), 22)
    (tmp_path / "a.ico").write_bytes(head + inner)
    with pytest.raises(CasarbiError, match="it holds an icon of 5000 px, and icons have up to 1024"):
        read_picture(tmp_path / "a.ico")


def tiff(tags: dict[int, tuple[int, ...]], more: bytes = b"") -> bytes:
    """A TIFF of one directory; all values are SHORTs or, above 65535, LONGs."""
    data = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags))
    tail, free = b"", 8 + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        kind, sign = (4, "I") if max(values) > 65535 else (3, "H")
        packed = struct.pack(f"<{len(values)}{sign}", *values)
        if len(packed) > 4:
            packed, tail = struct.pack("<I", free + len(tail)), tail + packed
        data += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return data + bytes(4) + tail + more


BASE = {256: (4,), 257: (4,), 259: (1,), 262: (1,), 273: (8,), 278: (4,), 279: (64,)}


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({277: (5,), 258: (16,) * 5, 262: (2,)}, "a TIFF with 5 bands of 16 bits (RGB)"),
        ({277: (3,), 258: (32,) * 3, 339: (3,) * 3, 262: (2,)}, "a TIFF with 3 bands of 32 floating-point bits (RGB)"),
        ({277: (1,), 258: (64,), 339: (6,)}, "a TIFF with 1 band of 64 complex bits (grey)"),
        ({277: (2,), 258: (16,) * 2}, "a TIFF with 2 bands of 16 bits (grey)"),
        ({259: (34712,), 258: (8,)}, "a TIFF with 1 band of 8 bits (grey, compressed by method 34712)"),
    ],
)
def test_an_unusual_tiff_is_called_what_it_is(tmp_path, tags, words):
    (tmp_path / "a.tif").write_bytes(tiff(BASE | tags, bytes(4096)))
    with pytest.raises(CasarbiError) as caught:
        read_picture(tmp_path / "a.tif")
    assert f"a.tif is {words}: expected grey or RGB of 8 or 16 bits, with or without alpha" in str(caught.value)


def test_a_tile_larger_than_its_picture_is_refused(tmp_path):
    tags = BASE | {258: (8,), 322: (60_000,), 323: (60_000,), 324: (8,), 325: (64,)}
    (tmp_path / "a.tif").write_bytes(tiff(tags))
    with pytest.raises(CasarbiError, match="declares tiles of 3,600,000,000 pixels, more than its picture has"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["gif", "tif"])
def test_frames_are_counted_without_an_end_only_up_to_a_thousand(tmp_path, kind):
    """Pillow's own counts take time by the square of the pages, and unpack every frame."""
    path = save(tmp_path / f"a.{kind}", mode="P")
    data = path.read_bytes()
    if kind == "gif":
        start = data.index(b"\x2c\0\0\0\0")
        path.write_bytes(data[:-1] + data[start:-1] * 5000 + data[-1:])
    else:
        pages = b"".join(struct.pack("<HI", 0, len(data) + 6 * n) for n in range(1, 100_001))
        end = 8 + int.from_bytes(data[4:8], "little") - 8
        count = int.from_bytes(data[end : end + 2], "little")
        end += 2 + 12 * count
        path.write_bytes(data[:end] + struct.pack("<I", len(data)) + data[end + 4 :] + pages)
    picture = read_picture(path)
    assert f"first of {MAX_FRAMES} or more frames used" in picture.notes


def test_a_circle_of_pages_ends(tmp_path):
    frames = [Image.fromarray(NOISE // n) for n in (1, 2)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    data = bytearray((tmp_path / "a.tif").read_bytes())
    first = int.from_bytes(data[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[end : end + 4] = data[4:8]
    (tmp_path / "a.tif").write_bytes(data)
    with Image.open(tmp_path / "a.tif") as image:
        assert count_frames(image, tmp_path / "a.tif") == 1


def test_libtiffs_words_become_notes_or_the_reason(tmp_path, capfd):
    path = save(tmp_path / "a.tif", mode="1", compression="group4")
    data = bytearray(path.read_bytes())
    data[10:14] = b"\xff\x13\x77\x01"
    path.write_bytes(data)
    picture = read_picture(path)
    assert any(note.startswith("odd file: Fax") for note in picture.notes), picture.notes
    with pytest.warns(UserWarning, match=r"a\.tif: odd file: Fax"):
        read_image(path)
    path = save(tmp_path / "b.tif", compression="tiff_lzw")
    path.write_bytes(path.read_bytes()[:60] + b"\xff" * 40 + path.read_bytes()[100:])
    with pytest.raises(CasarbiError, match=r"b\.tif is cut off or damaged \((LZW|tempfile|TIFF).*\): copy"):
        read_picture(path)
    assert capfd.readouterr().err == ""


def test_what_others_write_meanwhile_is_passed_on(capfd):
    words = []
    with native_words(words):
        os.write(2, b"a bar 10%\rFaxNDecode: Bad code word.\n")
        os.write(2, b"LZWDecode: Bad code.\nLZWDecode: Bad code.\n")
        thread = threading.Thread(target=os.write, args=(2, b"another thread\n"))
        thread.start(), thread.join()
    assert words == ["FaxNDecode: Bad code word.", "LZWDecode: Bad code."]
    assert capfd.readouterr().err == "a bar 10%\ranother thread\n"


def test_a_picture_of_any_format_is_silent(tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for suffix in ("png", "jpg", "tif", "gif", "webp", "bmp"):
            read_image(save(tmp_path / f"a.{suffix}"))
    assert capfd.readouterr() == ("", "")


def test_a_damaged_header_is_not_described(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\xff\xff\xff\x7f")
    with (tmp_path / "a.tif").open("rb") as file:
        assert describe_tiff(file) is None


def test_a_signature_that_fits_by_chance_does_not_hide_the_format(tmp_path):
    """The length 10 of a Targa's name is the sign of PCX, whose reader then stumbles."""
    path = save(tmp_path / "a.tga", id_section=b"ten bytes.")
    assert path.read_bytes()[:2] == b"\x0a\0"
    assert torch.equal(read_image(path), read_image(save(tmp_path / "a.png")))


@pytest.mark.parametrize(
    ("suffix", "at", "reason"), [("png", 16, "broken PNG file .bad header checksum in b'IHDR'."), ("avif", 40, ".+")]
)
def test_the_reason_of_damage_in_a_header_is_said(tmp_path, suffix, at, reason):
    path = save(tmp_path / f"a.{suffix}")
    data = bytearray(path.read_bytes())
    data[at : at + 3] = b"\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(CasarbiError, match=rf"a\.{suffix} is cut off or damaged \({reason}\): copy or download"):
        read_image(path)


def test_a_tiff_of_a_usual_make_that_cannot_be_opened_is_damaged(tmp_path):
    """Its strips are not where its tags say: it is not told that 8 bits of RGB are expected, which it has."""
    data = bytearray(save(tmp_path / "a.tif").read_bytes())
    start = data.index(struct.pack("<H", 273))
    data[start : start + 2] = struct.pack("<H", 266)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(CasarbiError, match=r"a\.tif is cut off or damaged"):
        read_image(tmp_path / "a.tif")
