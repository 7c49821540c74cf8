from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from casarbi.data import headers
from casarbi.data.headers import header_notes, name_some, read_header
from casarbi.pictures.reading import read_image


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_size_is_that_of_the_picture_as_read(put, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = put(f"a.{suffix}", width=8, height=6, exif=exif)
    assert read_header(path).size == tuple(read_image(path).shape[1:])


def test_pixels_are_not_read(put):
    path = put("a.png", width=200, height=100)
    path.write_bytes(path.read_bytes()[:200])
    assert read_header(path).size == (100, 200)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_has_no_header(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert read_header(tmp_path / "a.png") is None
    assert header_notes([("a", tmp_path / "a.png")]) == ()


@pytest.mark.parametrize(("clock", "threads"), [("perf_counter", 0), ("thread_time", 1)])
def test_several_files_are_read_at_a_time_only_if_the_disk_lets_each_wait(put, monkeypatch, clock, threads):
    files = [(str(index), put(f"{index}.jpg")) for index in range(5)]
    pools = []
    monkeypatch.setattr(headers, "_FIRST", 2)
    monkeypatch.setattr(headers, "ThreadPoolExecutor", lambda n: pools.append(n) or ThreadPoolExecutor(n))
    monkeypatch.setattr(f"time.{clock}", lambda: 0.0)
    assert "5 of 5 (0, 1, 2 and 2 more)" in " ".join(header_notes(files)) and len(pools) == threads


def test_long_lists_are_cut():
    assert name_some(list("ab")) == "a, b" and name_some(list("abcde")) == "a, b, c and 2 more"
