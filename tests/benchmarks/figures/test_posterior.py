import numpy as np
import pytest

from benchmarks.figures.posterior import Posterior, _top_of_scale


def test_mean_and_deviation_are_over_seeds_pixel_by_pixel():
    samples = np.zeros((3, 2, 2, 3), np.uint8)
    samples[:, 0, 0] = [[10, 0, 0], [20, 0, 0], [60, 0, 0]]  # of red alone: mean 30, deviation sqrt(700)
    found = Posterior.of(samples)
    assert found.mean[0, 0].tolist() == [30, 0, 0] and found.mean[1, 1].tolist() == [0, 0, 0]
    assert found.spread[0, 0] == pytest.approx(700**0.5 / 3) and found.spread[0, 1] == 0


def test_deviations_do_not_wrap_in_8_bits():
    found = Posterior.of(np.stack([np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)]))
    assert found.spread[0, 0] == pytest.approx(255 / 2**0.5) and found.mean[0, 0, 0] == 127.5


def test_one_scale_of_colours_holds_nearly_all_pixels_of_all_maps():
    maps = [np.full((10, 100), 3.0), np.full((10, 100), 17.0)]
    assert _top_of_scale(maps) == 20 and _top_of_scale([np.zeros((4, 4))]) == _top_of_scale([]) == 5
