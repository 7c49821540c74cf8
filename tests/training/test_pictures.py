"""Training pictures that are small, damaged, changed or on a poor disk: said, counted, and in no way of a run."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from scenes import scene
from training_toys import Crops

from casarbi.checkpoints import read_checkpoint
from casarbi.data.files import FileDataset
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import to_uint8
from casarbi.pictures.writing import write_image
from casarbi.training import cache
from casarbi.training import pictures as opening
from casarbi.training.batches import UNUSABLE, Batches
from casarbi.training.cache import Cut, open_images
from casarbi.training.header import KEY
from casarbi.training.presets import DataSettings
from casarbi.training.snapshots import read_snapshot

ONE_BROKEN = DataSettings("training_toys:scenes?n=24&broken=1", "training_toys:scenes?n=3&seed=1")


@pytest.fixture(autouse=True)
def fresh():
    cache._open.cache_clear()


def folder(place, count):
    for i in range(count):
        write_image(place / f"p{i:02d}.bmp", to_uint8(scene(48, 48 + i % 3, i)))
    return f"folder:{place}"


def weights(outcome):
    return read_checkpoint(outcome.weights).content


def test_the_next_picture_takes_the_place_of_one_that_is_no_good(runs):
    runs("home")  # sets CASARBI_HOME
    broken = Batches(open_images("training_toys:scenes?n=24&broken=1", Cut()), Crops(), 0, 24)
    whole = Batches(list(open_images("training_toys:scenes?n=24", Cut())), Crops(), 0, 24)
    made, place = broken[0], [whole.picture_index(i) for i in range(24)].index(0)
    assert made.pop(UNUSABLE).tolist() == [0]
    same = [torch.equal(a, b) for a, b in zip(made["hr"], whole[0]["hr"], strict=True)]
    assert same == [i != place for i in range(24)]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unusable_picture_is_named_once_counted_and_changes_no_resume(runs, workers):
    unbroken = runs("unbroken", data=ONE_BROKEN, workers=0)
    (note,) = [note for note in runs.listener.notes if "no good" in note]
    assert note == "another picture takes the place of one that is no good: s000: s000.png is damaged."
    assert json.loads(read_checkpoint(unbroken.weights).metadata[KEY])["unusable_pictures"] == 1
    assert read_snapshot(runs.snapshot("unbroken")).state.unusable == [0]
    runs("broken", data=ONE_BROKEN, workers=workers, toy={"interrupt_at": 8})
    runs.listener.notes.clear()
    after = weights(runs.resume("broken", data=ONE_BROKEN, workers=workers))
    assert all(torch.equal(tensor, after[name]) for name, tensor in weights(unbroken).items())
    assert not [note for note in runs.listener.notes if "no good" in note]  # it is in the snapshot


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_unusable_pictures_stop_a_run_in_one_sentence(runs, workers):
    data = DataSettings("training_toys:scenes?n=40&broken=3", "training_toys:scenes?n=3&seed=1")
    with pytest.raises(CasarbiError, match=r"^3 of 40 pictures of .* cannot be trained on: s00\d: s00\d.png is damag"):
        runs("run", data=data, workers=workers)


def test_what_is_left_out_is_said_at_the_start_and_in_the_header(runs, tmp_path):
    reference = folder(tmp_path / "in", 60)
    write_image(tmp_path / "in" / "p07.bmp", to_uint8(scene(20, 48)))
    (tmp_path / "in" / "p09.bmp").write_text("no picture")
    done = runs("run", data=DataSettings(reference, least=32, held_out=3), iterations=2)
    said = runs.listener.notes[0]
    assert said.startswith(f"2 of 60 pictures of {reference} are left out: p07: 48x20 px are too small")
    pictures = json.loads(read_checkpoint(done.weights).metadata[KEY])["pictures"]
    assert (pictures["train"]["count"], pictures["train"]["left_out"]) == (55, 2)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_changes_during_a_run_stops_it_and_loses_nothing(runs, tmp_path, monkeypatch, workers):
    data = DataSettings(folder(tmp_path / "in", 32), held_out=2)
    real = FileDataset.digest_now
    images = open_images(data.train, Cut())[:-2]
    changed = images.names[Batches(images, Crops(), 0, 4).picture_index(13)]  # of the fourth batch
    monkeypatch.setattr(FileDataset, "digest_now", lambda d, name: "" if name == changed else real(d, name))
    with pytest.raises(CasarbiError, match=f"^{changed} of {data.train} has changed since training began") as caught:
        runs("run", data=data, workers=workers)
    assert "\n" not in str(caught.value)
    assert read_snapshot(runs.snapshot("run")).state.step == 3


def test_other_pictures_on_resume_are_one_sentence(runs, tmp_path):
    reference = folder(tmp_path / "in", 12)
    runs("run", data=DataSettings(reference, held_out=2), toy={"interrupt_at": 3})
    cache._open.cache_clear()
    write_image(tmp_path / "in" / "p00.bmp", to_uint8(scene(48, 48, 99)))
    with pytest.raises(CasarbiError, match="The train pictures are not those .*10 then, 10 now, or other pixels"):
        runs.resume("run", data=DataSettings(reference, held_out=2))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_a_warning(runs, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*rest):
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert runs("run", iterations=1).weights
    assert any("has no locks, so nothing keeps two trainings" in note for note in runs.listener.notes)


def test_a_folder_that_cannot_be_written_is_said_before_any_picture_is_made(runs, monkeypatch):
    (runs.place / "file").write_text("")
    monkeypatch.setattr(opening, "open_images", lambda *rest: pytest.fail("pictures were opened first"))
    with pytest.raises(CasarbiError, match="file/run cannot be written .*: choose another --out"):
        runs("file/run")


def test_a_run_that_never_began_leaves_no_folder(runs):
    with pytest.raises(CasarbiError, match="n=0"):
        runs("run", data=DataSettings("portraits?n=0"))
    assert not (runs.place / "run").exists()


def test_snapshots_of_before_resume_too(runs):
    """Their state knows no unusable pictures, and their header no method."""
    from safetensors.torch import save_file

    unbroken = runs("unbroken")
    runs("run", toy={"interrupt_at": 7})
    path = runs.snapshot("run")
    old = read_checkpoint(path)
    state = {name: value for name, value in json.loads(old.metadata["state"]).items() if name != "unusable"}
    kept = {"format": old.metadata["format"], "identity": old.metadata["identity"], "state": json.dumps(state)}
    save_file(old.content, path, metadata=kept)
    after = weights(runs.resume("run"))
    assert all(torch.equal(tensor, after[name]) for name, tensor in weights(unbroken).items())


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there alone")
def test_names_that_are_not_utf8_train_stop_and_resume(runs, tmp_path):
    place = os.fsencode(tmp_path) + b"/caf\xe9"
    folder(Path(os.fsdecode(place)), 12)
    for i in range(12):
        os.rename(place + b"/p%02d.bmp" % i, place + b"/\xe9%02d.bmp" % i)
    data = DataSettings(os.fsdecode(b"folder:" + place), held_out=2)
    runs("run", data=data, toy={"interrupt_at": 3})
    done = runs.resume("run", data=data)
    assert json.loads(read_checkpoint(done.weights).metadata[KEY])["pictures"]["train"]["reference"] == data.train
