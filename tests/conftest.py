"""Folders of pictures that many tests use."""

import pytest
from scenes import scene

from casarbi.images import write_image


@pytest.fixture
def pictures(tmp_path):
    """A folder of four square pictures of 256 px, as PNG."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(4):
        write_image(folder / f"p{index}.png", scene(256, 256, index))
    return folder
