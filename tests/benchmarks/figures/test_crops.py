import numpy as np
import pytest

from benchmarks.figures.crops import Part, declared_parts, most_detailed_parts
from benchmarks.figures.declaration import ComparisonPanel, Window


def picture(*corners, size=(64, 64)):
    """A grey picture with a checkerboard of 16 px at each (top, left)."""
    made = np.full((*size, 3), 128, np.uint8)
    for top, left in corners:
        board = (np.indices((16, 16)).sum(0) % 2 * 255).astype(np.uint8)
        made[top : top + 16, left : left + 16] = board[..., None]
    return made


def test_the_part_of_most_detail_is_found_on_the_grid_of_the_lr():
    (part,) = most_detailed_parts(picture((32, 16)), (16, 16), 0.25, 1)
    assert part == Part(left=4, top=8, side=4, lr_size=(16, 16)) and part.box((64, 64)) == (16, 32, 32, 48)
    assert np.array_equal(part.cut(picture((32, 16))), picture((32, 16))[32:48, 16:32])


def test_two_parts_do_not_touch_and_come_in_the_order_of_their_detail():
    first, second = most_detailed_parts(picture((0, 0), (44, 44)), (16, 16), 0.25, 2)
    assert not first.touches(second) and {(p.left, p.top) for p in (first, second)} == {(0, 0), (11, 11)}
    assert len(most_detailed_parts(picture((0, 0)), (4, 4), 0.5, 9)) == 1  # no room for another


@pytest.mark.parametrize("scale", [1, 2, 3.3, 5.3, 7, 12])
def test_a_part_shows_the_same_region_at_every_scale(scale):
    part, side = Part(3, 5, 4, (16, 16)), round(16 * scale)
    left, top, right, bottom = part.box((side, side))
    for edge, pixels in ((left, 3), (top, 5), (right, 7), (bottom, 9)):
        assert abs(edge - pixels * scale) <= 0.8  # half a pixel, and the rounding of the side


def test_parts_may_be_declared_and_stay_inside_the_picture():
    windows = (Window(0, 0.25, 0.5, 0.25), Window(1, 0.9, 0.9, 0.5))
    panel = ComparisonPanel("p", "photos", "face", (0, 1), windows=windows)
    assert declared_parts(panel, 0, (16, 32)) == [Part(8, 8, 4, (16, 32))]
    assert declared_parts(panel, 1, (16, 16)) == [Part(8, 8, 8, (16, 16))] and declared_parts(panel, 2, (16, 16)) == []
