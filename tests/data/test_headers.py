from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from casarbi.data import headers
from casarbi.data.folder import folder
from casarbi.data.headers import header_notes, name_some, read_header, read_headers
from casarbi.pictures.opening import open_picture
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
    assert folder(str(tmp_path)).notes == ()


@pytest.mark.parametrize(("clock", "threads"), [("perf_counter", 0), ("thread_time", 1)])
def test_several_files_are_read_at_a_time_only_if_the_disk_lets_each_wait(put, tmp_path, monkeypatch, clock, threads):
    files = [put(f"{index}.jpg") for index in range(5)]
    pools = []
    monkeypatch.setattr(headers, "_FIRST", 2)
    monkeypatch.setattr(headers, "ThreadPoolExecutor", lambda n: pools.append(n) or ThreadPoolExecutor(n))
    monkeypatch.setattr(f"time.{clock}", lambda: 0.0)
    found = dict(zip("01234", read_headers(files, tmp_path), strict=True))
    assert "5 of 5 (0, 1, 2 and 2 more)" in " ".join(header_notes(found)) and len(pools) == threads


@pytest.fixture
def opened(monkeypatch):
    """Names of the files whose headers were read."""
    names = []
    monkeypatch.setattr(headers, "open_picture", lambda path: names.append(path.name) or open_picture(path))
    return names


def test_headers_are_remembered_until_the_file_or_our_source_changes(put, tmp_path, settled, opened, monkeypatch):
    files = [put("a.png"), put("b.tif", mode="L", width=7)]
    first = read_headers(files, tmp_path)
    assert opened == ["a.png", "b.tif"] and read_headers(files, tmp_path) == first and len(opened) == 2
    put("a.png", width=5)
    again = read_headers(files, tmp_path)
    assert again[0].size == (6, 5) and again[1] == first[1] and opened[2:] == ["a.png"]
    # What another version found does not count; nor does the memory of the process, which the files' states decide.
    monkeypatch.setattr(headers, "_reader", lambda: "another")
    headers._read_header.cache_clear()
    assert read_headers(files, tmp_path) == again and opened[3:] == ["a.png", "b.tif"]


def test_a_file_that_cannot_be_read_is_looked_at_every_time(put, tmp_path, settled, opened):
    (tmp_path / "a.png").write_bytes(b"no picture")
    for _ in range(2):
        assert read_headers([tmp_path / "a.png"], tmp_path) == [None]
        headers._read_header.cache_clear()
    assert opened == ["a.png", "a.png"]


def test_long_lists_are_cut():
    assert name_some(list("ab")) == "a, b" and name_some(list("abcde")) == "a, b, c and 2 more"
