"""The cache of training pictures: made when needed, right pixels, never stale, never damaged."""

import errno
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scenes import scene

from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import to_uint8
from casarbi.pictures.resize import resize
from casarbi.pictures.writing import write_image
from casarbi.training import cache, pixel_files
from casarbi.training.cache import Cut, UnusablePicture, check_disk, open_images

SCENES = "training_toys:scenes?n=6&side=40"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CASARBI_HOME", str(tmp_path / "home"))
    cache._open.cache_clear()
    return tmp_path / "training"


@pytest.fixture
def made(monkeypatch):
    """Names of the pictures that are made."""
    names = []
    real = cache.CachedImages._make

    def make(images, index):
        names.append(images.names[index])
        return real(images, index)

    monkeypatch.setattr(cache.CachedImages, "_make", make)
    return names


def test_a_picture_is_made_when_it_is_first_asked_for_and_kept(made):
    images = open_images(SCENES, Cut())
    assert len(images) == 6 and made == [] and len(images.missing()) == 6
    assert torch.equal(images[4], to_uint8(scene(40, 41, 4)))
    assert torch.equal(open_images(SCENES, Cut())[4], images[4])
    assert made == ["s004"] and images.missing() == [0, 1, 2, 3, 5]


def test_pictures_are_whole(made):
    images = open_images(SCENES, Cut())
    assert [image.shape[-1] for image in images] == [40, 41, 42] * 2
    assert all(torch.equal(images[i], to_uint8(scene(40, 40 + i % 3, i))) for i in range(6))
    assert len(made) == 6


def test_squares_are_cut_and_reduced():
    image = open_images(SCENES, Cut(side=16))[2]
    assert torch.equal(image, resize(to_uint8(scene(40, 42, 2))[:, :, 1:41], (16, 16)))


def test_parts_and_pickles_show_the_same_pictures():
    images = open_images(SCENES, Cut())
    part = pickle.loads(pickle.dumps(images[-2:]))
    assert len(part) == 2 and torch.equal(part[0], images[4]) and len(pickle.dumps(images)) < 2000


def test_data_sets_share_the_files_of_pictures_that_are_the_same(made):
    list(open_images(SCENES, Cut()))
    more = open_images("training_toys:scenes?n=8&side=40", Cut())
    assert more.missing() == [6, 7] and len(list(more)) == 8 and len(made) == 8
    assert open_images(SCENES, Cut(least=20)).missing() == []
    assert len(open_images(SCENES, Cut(side=16)).missing()) == 6


@pytest.mark.parametrize("other", ["training_toys:scenes?n=6&side=40&seed=1", "training_toys:scenes?n=6&side=41"])
def test_other_pictures_have_other_files(other):
    first, second = open_images(SCENES, Cut()), open_images(other, Cut())
    assert first.fingerprint != second.fingerprint
    assert not {first.file(i) for i in range(6)} & {second.file(i) for i in range(6)}


def pictures(folder, count=3, seed=0):
    for i in range(count):
        write_image(folder / f"p{i}.bmp", to_uint8(scene(40, 40, seed + i)))


def test_changed_files_are_read_again(tmp_path):
    """Equal names and sizes, other pixels."""
    pictures(tmp_path / "in")
    before = [image.clone() for image in open_images(f"folder:{tmp_path / 'in'}", Cut())]
    pictures(tmp_path / "in", seed=7)
    cache._open.cache_clear()
    after = open_images(f"folder:{tmp_path / 'in'}", Cut())
    assert [torch.equal(a, to_uint8(scene(40, 40, 7 + i))) for i, a in enumerate(after)] == [True] * 3
    assert not any(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_a_file_that_changes_during_a_run_is_refused(tmp_path):
    pictures(tmp_path / "in")
    images = open_images(f"folder:{tmp_path / 'in'}", Cut())
    kept = images[0].clone()
    pictures(tmp_path / "in", seed=7)
    assert torch.equal(images[0], kept)
    with pytest.raises(CasarbiError, match="p1 of folder:.* has changed since training began") as caught:
        images[1]
    assert not isinstance(caught.value, UnusablePicture)


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c + b"\0", lambda c: c[:9], lambda c: b"", None])
def test_a_damaged_file_is_made_again(made, damage):
    images = open_images(SCENES, Cut())
    good, path = images[3].clone(), images.file(3)
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(damage(content) if damage else content)
    pixel_files._VERIFIED.clear()  # a file is verified once by each process
    assert torch.equal(open_images(SCENES, Cut())[3], good) and made == ["s003", "s003"]


def test_a_killed_process_leaves_no_half_picture(tmp_path):
    code = (
        "import os, sys; sys.path.insert(0, 'tests')\n"
        "from casarbi.training import cache\n"
        "real = os.fsync\n"
        "os.fsync = lambda file: os.kill(os.getpid(), 9)\n"
        f"cache.open_images('{SCENES}', cache.Cut())[3]"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    assert done.returncode == -9
    images = open_images(SCENES, Cut())
    drafts = list(images.file(3).parent.iterdir())
    assert len(drafts) == 1 and len(images.missing()) == 6
    assert check_disk(images) == "" and not drafts[0].exists()


def test_two_processes_that_make_the_same_pictures_harm_neither():
    code = (
        "import sys, zlib; sys.path.insert(0, 'tests')\n"
        "from casarbi.training import cache\n"
        "images = cache.open_images('training_toys:scenes?n=40&side=200', cache.Cut())\n"
        "print([zlib.crc32(image.numpy()) for image in images])"
    )
    command, project = [sys.executable, "-c", code], Path(__file__).parents[2]
    both = [subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (process.communicate(timeout=120)[0] for process in both)
    assert first == second and first.count(",") == 39


def test_pictures_that_cannot_be_read_are_named_when_they_are_made():
    images = open_images("training_toys:scenes?n=40&broken=2", Cut())
    with pytest.raises(UnusablePicture, match=r"^s001: s001.png is damaged\.$"):
        images[1]
    assert len(images) == 40 and not images.file(1).exists()
    usable = images.usable()
    assert len(usable) == 38 and usable.skipped[1] == "s001: s001.png is damaged."
    with pytest.raises(CasarbiError, match="3 of 40 pictures .* cannot be trained on: s000: s000.png is damaged"):
        open_images("training_toys:scenes?n=40&broken=3", Cut()).usable()


def test_headers_tell_what_is_too_small_or_no_picture_at_all(tmp_path, made):
    pictures(tmp_path / "in", 40)
    write_image(tmp_path / "in" / "p2.bmp", to_uint8(scene(31, 60)))
    (tmp_path / "in" / "p3.bmp").write_text("<html>not found</html>")
    images = open_images(f"folder:{tmp_path / 'in'}", Cut(least=32))
    assert len(images) == 38 and made == []
    assert images.skipped[0] == "p2: 60x31 px are too small, expected at least 32 px."
    assert images.skipped[1].startswith("p3: ") and "p3.bmp" in images.skipped[1]
    with pytest.raises(CasarbiError, match=r"40 of 40 pictures .* p0: 40x40 px are too small, expected at least 64 px"):
        open_images(f"folder:{tmp_path / 'in'}", Cut(side=64))


def test_a_size_that_no_header_tells_is_found_when_the_picture_is_made(monkeypatch):
    monkeypatch.setattr("training_toys.Scenes.known_size", lambda dataset, name: None)
    images = open_images(SCENES, Cut(least=64))
    with pytest.raises(UnusablePicture, match="^s001: 41x40 px are too small, expected at least 64 px"):
        images[1]


def full(path, content):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_is_a_sentence_at_the_start_and_costs_only_time_later(monkeypatch, home):
    images = open_images(SCENES, Cut())
    monkeypatch.setattr(pixel_files, "write_file", full)
    with pytest.raises(CasarbiError, match="No space left on device.*CASARBI_HOME"):
        check_disk(images)
    assert torch.equal(images[2], to_uint8(scene(40, 42, 2))) and len(images.missing()) == 6


def test_a_disk_with_too_little_space_is_said_at_the_start(monkeypatch):
    monkeypatch.setattr(cache, "free_bytes", lambda folder: 5000)
    assert "take about 24,000 bytes more" in check_disk(open_images(SCENES, Cut()))


def test_unknown_data_set_is_a_sentence():
    with pytest.raises(CasarbiError, match="no data set 'portrait'.*portraits"):
        open_images("portrait", Cut())
