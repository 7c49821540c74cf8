import pytest
import torch

from casarbi.tiles import blend, cut_up, even_spans, rectangles


@pytest.mark.parametrize(("size", "side", "overlap", "multiple"), [((42, 20), 8, 4, 2), ((5, 9), 8, 2, 1)])
def test_blended_tiles_are_the_whole(size, side, overlap, multiple):
    values, tiles = torch.rand(2, *size), cut_up(size, side, overlap, multiple)
    torch.testing.assert_close(blend(tiles, size, lambda i: tiles[i].cut(values)), values)
    assert all(start % multiple == 0 for tile in tiles for start in (tile.y[0], tile.x[0]))


@pytest.mark.parametrize(("height", "width", "area"), [(7, 100, 50), (100, 1, 8), (3, 3, 1), (5, 6, 1000)])
def test_tiles_cover_everything_once(height, width, area):
    seen = torch.zeros(height, width)
    for (y0, y1), (x0, x1) in rectangles((height, width), area):
        assert (y1 - y0) * (x1 - x0) <= area
        seen[y0:y1, x0:x1] += 1
    assert (seen == 1).all()


def test_spans_are_few_and_even():
    assert even_spans(10, 4) == [(0, 3), (3, 6), (6, 10)]
    assert even_spans(4, 4) == [(0, 4)]
