"""`casarbi upscale` and `casarbi-bench` on one folder: names, and files whose names are no UTF-8."""

import csv
import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from scenes import scene

import benchmarks.cli
import casarbi.cli
from casarbi.pictures.pixels import to_uint8
from casarbi.pictures.reading import read_image
from casarbi.pictures.resize import resize
from casarbi.pictures.writing import write_image

STRAYS = (b"\x8e\xca\x90^", b"caf\xe9", b"back\\slash\xff")
"""File names in Shift-JIS and Latin-1, as old archives have them."""


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Write HR pictures of 24x20 px under names with suffixes, and their LR at half the size; returns their names."""
    monkeypatch.chdir(tmp_path)

    def write(*names):
        for seed, name in enumerate(names):
            hr = to_uint8(scene(20, 24, seed))
            for folder, picture in (("hr", hr), ("lr", resize(hr, (10, 12)))):
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path, picture)
        return names

    return write


def upscale(*words):
    return CliRunner().invoke(casarbi.cli.main, ["upscale", "-m", "bicubic", "--device", "cpu", *words])


def grid(*words):
    words = ("grid", "--metrics", "psnr", "--workers", "1", *words)
    return CliRunner().invoke(benchmarks.cli.main, list(words))


def rows(name="grid-images.csv"):
    with open(f"reports/out/grid/{name}", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_bench_reads_a_folder_that_upscale_wrote(pictures):
    names = pictures("a.png", "A.jpg", "b.tif", "img_x3.png", "sub/deep/c.png", "100% #1.png", "café.png")
    assert upscale("lr", "-r", "-s", "2", "-o", "sr").exit_code == 0
    done = grid("--models", "outputs:sr,bicubic", "--data", "folder:hr?recursive=1", "--scales", "2")
    assert done.exit_code == 0, done.output
    found, expected = ({r["image"]: r["value"] for r in rows() if r["method"] == m} for m in ("outputs:sr", "bicubic"))
    assert found.pop("A.jpg") and expected.pop("A.jpg")  # its LR was stored as JPEG
    assert found == expected and len(found) == len(names) - 1
    assert "have no reference" not in done.output


def test_a_scale_in_a_name_is_compared_and_leftovers_are_listed(pictures):
    """A result at another scale is no result of this one: `3_x4.png` does not answer for picture 3 at scale 1."""
    pictures("3.png", "4.png")
    for name in ("3_x4", "4", "5", "6_x1"):
        write_image(f"sr/{name}.png", read_image("hr/3.png"))
    done = grid("--models", "outputs:sr", "--data", "folder:hr", "--scales", "1")
    assert done.exit_code == 1 and [row["image"] for row in rows() if row["value"]] == ["4"]
    assert "at other sizes or scales only (3_x4.png 24x20 px)" in done.output
    assert "outputs:sr: 2 outputs have no reference in folder:hr: 5.png, 6_x1.png." in done.output


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_names_that_are_no_utf8(pictures):
    names = [os.fsdecode(name + b".png") for name in STRAYS]
    pictures(*names, "valid.png")
    assert upscale("lr", "-s", "2", "-o", "sr").exit_code == 0
    assert sorted(os.listdir(b"sr")) == sorted([name + b"_x2.png" for name in STRAYS] + [b"valid_x2.png"])
    done = grid("--models", "bicubic,outputs:sr", "--data", "folder:hr", "--scales", "2")
    assert done.exit_code == 0, done.output
    assert {row["image"] for row in rows()} == {"\\x8eʐ^", "caf\\xe9", "back\\slash\\xff", "valid"}
    for path in Path().rglob("*.json"):
        json.loads(path.read_bytes().decode("utf-8"))
    for path in Path("reports").rglob("*.*"):
        path.read_bytes().decode("utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_folders_whose_names_are_no_utf8(pictures):
    pictures("a.png")
    folder = os.fsdecode(b"caf\xe9")
    Path("hr").rename(folder)
    assert upscale("lr", "-s", "2", "-o", f"{folder}_sr").exit_code == 0
    done = grid("--models", f"outputs:{folder}_sr", "--data", f"folder:{folder}", "--scales", "2")
    assert done.exit_code == 0, done.output
    for path in [*Path("reports").rglob("*.*"), *Path("results").rglob("*.json")]:
        path.read_bytes().decode("utf-8")
    assert Image.open(os.path.join(f"{folder}_sr", "a_x2.png")).size == (24, 20)
