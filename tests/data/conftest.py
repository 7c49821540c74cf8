import time

import numpy as np
import pytest
from PIL import Image

from casarbi.data import memory


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """A place of its own for what fingerprints remember."""
    place = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("CASARBI_HOME", str(place))
    return place


@pytest.fixture
def put(tmp_path):
    """Write a picture of noise: put("HR/a.png", width=8, height=6, mode="RGB") gives its path."""

    def write(name, width=8, height=6, mode="RGB", seed=0, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path, **options)
        return path

    return write


@pytest.fixture
def settled(monkeypatch):
    """Pretend that files were last changed long ago."""
    now = time.time_ns
    monkeypatch.setattr(memory.time, "time_ns", lambda: now() + 10**10)
