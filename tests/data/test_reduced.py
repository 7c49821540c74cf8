"""`folder:DIR?reduce=F`: smaller images, named apart from the whole ones."""

import numpy as np
import pytest
import torch
from PIL import Image

from casarbi.data import create_dataset
from casarbi.errors import CasarbiError


@pytest.fixture
def place(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (31, 45, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    return tmp_path


def test_images_are_what_pillow_makes_of_them(place):
    made = create_dataset(f"folder:{place}?reduce=1.5")
    expected = np.asarray(Image.open(place / "a.png").resize((30, 21), Image.BICUBIC))
    image = made.image("a")
    assert image.shape == (3, 21, 30) == (3, *made.known_size("a"))
    assert torch.equal((image * 255).round().to(torch.uint8), torch.from_numpy(expected.copy()).permute(2, 0, 1))
    assert made.notes[-1] == "Images are reduced by 1.5."


def test_another_factor_is_another_data_set(place):
    made = {text: create_dataset(f"folder:{place}{text}") for text in ("", "?reduce=1.5", "?reduce=2")}
    assert len({dataset.fingerprint for dataset in made.values()}) == 3
    reduced, before = made["?reduce=2"], made["?reduce=2"].fingerprint
    Image.new("RGB", (45, 31)).save(place / "a.png")
    assert reduced.digest_now("a") != reduced.digest("a") and reduced.fingerprint == before


@pytest.mark.parametrize("factor", ["1", "0.5", "-2", "inf", "nan"])
def test_factors_that_do_not_reduce_are_refused(place, factor):
    with pytest.raises(CasarbiError, match="must be above 1"):
        create_dataset(f"folder:{place}?reduce={factor}")
