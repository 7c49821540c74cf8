"""Folders of pictures that many tests use, and Ctrl-C for the commands that tests start."""

import signal

import pytest
from scenes import scene

from casarbi.pictures.writing import write_image


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_works():
    """A shell's background jobs ignore Ctrl-C, and the commands started by one would too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def pictures(tmp_path):
    """A folder of four square pictures of 256 px, as PNG."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(4):
        write_image(folder / f"p{index}.png", scene(256, 256, index))
    return folder
