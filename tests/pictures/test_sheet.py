"""Contact sheets."""

import io

import numpy as np
import pytest
from PIL import Image

from casarbi.pictures.sheet import contact_sheet, nearest

RED = np.full((10, 12, 3), (200, 0, 0), np.uint8)


def test_contact_sheet_keeps_every_pixel():
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet([("LR", RED), ("GT", RED[:6])], 2))))
    assert (sheet == (200, 0, 0)).all(-1).sum() == 10 * 12 + 6 * 12
    assert (sheet[8:18, 8:20] == (200, 0, 0)).all()


def test_contact_sheet_breaks_rows_and_is_the_same_each_time():
    images = [(f"image {k} with a long label", RED) for k in range(5)]
    wide, tall = (Image.open(io.BytesIO(contact_sheet(images, columns))) for columns in (9, 2))
    assert wide.width > tall.width and wide.height < tall.height
    assert contact_sheet(images, 2) == contact_sheet(images, 2)


def test_rows_of_a_contact_sheet_are_as_high_as_their_images():
    tall, low = ("tall", np.repeat(RED, 4, axis=0)), ("low", RED)
    together, apart = (
        Image.open(io.BytesIO(contact_sheet(order, 2))) for order in ([tall, low] * 2, [tall, tall, low, low])
    )
    assert together.height - apart.height == 3 * len(RED)


@pytest.mark.parametrize(
    ("images", "columns"), [([], 2), ([("a", RED)], 0), ([("a", RED / 255)], 1), ([("a", RED[..., 0])], 1)]
)
def test_contact_sheet_refuses_what_it_cannot_show(images, columns):
    with pytest.raises(ValueError, match="empty|uint8"):
        contact_sheet(images, columns)


def test_nearest_repeats_pixels_at_any_size():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    large = nearest(image, (5, 7))
    assert large.shape == (5, 7, 3)
    assert (nearest(image, (4, 6)) == image.repeat(2, 0).repeat(2, 1)).all()
    assert (large[0, 0] == image[0, 0]).all() and (large[-1, -1] == image[-1, -1]).all()
