import dataclasses

import pytest

from casarbi.data import photos as module
from casarbi.data.photos import MIN_SIDE, PHOTOS, photos
from casarbi.errors import CasarbiError


def test_every_photograph_has_the_listed_size_and_is_in_colour():
    data = photos()
    sizes = {photo.id: photo.size for photo in PHOTOS}
    assert len(data.ids) >= 8 and list(data.ids) == sorted(data.ids)
    for image_id in data.ids:
        image = data.image(image_id)
        assert tuple(image.shape[1:]) == sizes[image_id] and min(sizes[image_id]) >= MIN_SIDE
        assert (image[0] - image[2]).abs().mean() > 0.01


def test_changed_or_missing_files_are_left_out_and_named(monkeypatch):
    changed = dataclasses.replace(PHOTOS[0], sha256="0" * 64)
    missing = dataclasses.replace(PHOTOS[1], file="data/none.png")
    monkeypatch.setattr(module, "PHOTOS", (changed, missing, *PHOTOS[2:4]))
    data = photos()
    assert data.ids == (PHOTOS[2].id, PHOTOS[3].id)
    assert f"{changed.id} (another file" in data.notes[0] and f"{missing.id} (not installed)" in data.notes[0]


def test_no_photograph_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "PHOTOS", (dataclasses.replace(PHOTOS[0], package="no_such_package"),))
    with pytest.raises(CasarbiError, match="install these packages"):
        photos()


def test_first_n():
    assert photos(n=2).ids == photos().ids[:2]


def test_only_photographs_of_a_size():
    large = photos(min_side=432)
    assert 1 < len(large.ids) < len(photos().ids)
    assert all(min(large.image(name).shape[-2:]) >= 432 for name in large.ids)
    assert photos(min_side=432, n=2).ids == large.ids[:2]
    with pytest.raises(CasarbiError, match="No photograph has 5000 px on its shorter side"):
        photos(min_side=5000)
