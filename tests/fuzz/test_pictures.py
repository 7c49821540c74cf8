"""No picture file runs code, ends in a traceback, hangs, or costs more than its pixels."""

from pathlib import Path

import pytest

from casarbi.data.headers import read_header
from casarbi.pictures.reading import read_image, read_picture
from casarbi.pictures.writing import write_image
from fuzz.pictures import cases
from fuzz.runner import judge

MAX_PIXELS = 2**25
"""A picture whose pixels are all there costs 12 to 40 bytes for each; at this limit that is less than 1 GiB."""


def use(path: Path) -> None:
    """What both programs do with a picture file: its header, its values for comparing, its metadata for a result."""
    read_header(path)
    read_image(path, max_pixels=MAX_PIXELS)
    picture = read_picture(path, max_pixels=MAX_PIXELS)
    small = picture.rgb[:, :8, :8].contiguous()
    suffix = ("png", "jpg", "tif", "webp")[len(path.name) % 4]
    write_image(path.parent / f"result.{suffix}", small, icc=picture.icc, metadata=picture.metadata)


@pytest.mark.parametrize(
    ("count", "seed"), [(200, 0), pytest.param(10_000, 1, marks=pytest.mark.slow, id="ten-thousand")]
)
@pytest.mark.filterwarnings("ignore")
def test_picture_files_cost_what_they_weigh(tmp_path, count, seed):
    counts = judge(cases(count, seed), use, tmp_path)
    print(f"\n{counts}")
    assert counts.faults == [], str(counts)
    assert counts.files == count and counts.loaded > count / 20 and counts.refused > count / 5
