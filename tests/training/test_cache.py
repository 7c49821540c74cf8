"""The cache of training pictures: right pixels, never stale (F86), never damaged."""

import errno
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scenes import scene

from casarbi.errors import CasarbiError
from casarbi.images import to_uint8
from casarbi.resize import resize
from casarbi.training import cache
from casarbi.training.cache import Cut, cache_images

SCENES = "training_toys:scenes?n=6&side=40"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CASARBI_HOME", str(tmp_path))
    return tmp_path / "training"


def made(monkeypatch):
    """Counts how often pictures are made."""
    calls = []
    real = cache._picture
    monkeypatch.setattr(cache, "_picture", lambda dataset, name, cut: calls.append(name) or real(dataset, name, cut))
    return calls


def test_pictures_are_whole_and_made_once(monkeypatch):
    calls = made(monkeypatch)
    images = cache_images(SCENES, Cut())
    assert len(images) == 6 and [image.shape[-1] for image in images] == [40, 41, 42] * 2
    assert all(torch.equal(images[i], to_uint8(scene(40, 40 + i % 3, i))) for i in range(6))
    assert torch.equal(cache_images(SCENES, Cut())[5], images[5]) and len(calls) == 6


def test_squares_are_cut_and_reduced():
    image = cache_images(SCENES, Cut(side=16))[2]
    assert torch.equal(image, resize(to_uint8(scene(40, 42, 2))[:, :, 1:41], (16, 16)))


def test_parts_and_pickles_show_the_same_pictures():
    images = cache_images(SCENES, Cut())
    part = pickle.loads(pickle.dumps(images[-2:]))
    assert len(part) == 2 and torch.equal(part[0], images[4]) and len(pickle.dumps(images)) < 2000


@pytest.mark.parametrize("other", ["training_toys:scenes?n=6&side=40&seed=1", "training_toys:scenes?n=5&side=40"])
def test_other_pictures_have_another_file(home, other):
    first, second = cache_images(SCENES, Cut()), cache_images(other, Cut())
    assert first.path != second.path and first.fingerprint != second.fingerprint


def test_damaged_file_is_made_again(monkeypatch, home):
    images = cache_images(SCENES, Cut())
    good = images[3].clone()
    content = bytearray(images.path.read_bytes())
    content[20_000] ^= 1
    images.path.write_bytes(content)
    calls = made(monkeypatch)
    assert torch.equal(cache_images(SCENES, Cut())[3], good) and len(calls) == 6


@pytest.mark.parametrize("cut", [-1, 10])
def test_file_of_another_length_is_made_again(monkeypatch, cut):
    images = cache_images(SCENES, Cut())
    content = images.path.read_bytes()
    images.path.write_bytes(content[:cut] if cut < 0 else content + b"\0" * cut)
    calls = made(monkeypatch)
    assert len(cache_images(SCENES, Cut())) == 6 == len(calls)


def test_workers_make_the_same_file():
    reference = "training_toys:scenes?n=52&side=33"
    seen = []
    first = cache_images(reference, Cut(16), workers=2, report=lambda done, total: seen.append((done, total)))
    content = first.path.read_bytes()
    first.path.unlink()
    assert cache_images(reference, Cut(16)).path.read_bytes() == content
    assert seen[0] == (1, 52) and seen[-1] == (52, 52)


def test_unreadable_pictures_are_named_and_few():
    images = cache_images("training_toys:scenes?n=40&broken=2", Cut())
    assert len(images) == 38 and images.skipped[1] == "s001: s001.png is damaged."
    with pytest.raises(CasarbiError, match="3 of 40 pictures .* cannot be trained on: s000: s000.png is damaged"):
        cache_images("training_toys:scenes?n=40&broken=3", Cut())


def test_too_small_pictures_are_refused(home):
    with pytest.raises(CasarbiError, match="40x40 px are too small, wanted at least 64 px"):
        cache_images(SCENES, Cut(least=64))
    assert not [path for path in home.iterdir() if path.suffix != ".lock"]


def test_full_disk_is_a_sentence(monkeypatch, home):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "replacing", full)
    with pytest.raises(CasarbiError, match="No space left on device.*CASARBI_HOME"):
        cache_images(SCENES, Cut())


def test_unknown_data_set_is_a_sentence():
    with pytest.raises(CasarbiError, match="no data set 'portrait'.*portraits"):
        cache_images("portrait", Cut())


def test_two_trainers_make_the_pictures_once(tmp_path):
    """Started together, the second process waits for the first one's file."""
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from casarbi.training import cache\n"
        "made, real = [], cache._make\n"
        "cache._make = lambda *rest: made.append(1) or real(*rest)\n"
        "print(len(cache.cache_images('training_toys:scenes?n=40&side=200', cache.Cut())), len(made))"
    )
    command, project = [sys.executable, "-c", code], Path(__file__).parents[2]
    both = [subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=120)[0].strip() for process in both)
    assert said == ["40 0", "40 1"]
