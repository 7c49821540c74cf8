import hashlib

import numpy as np
import pytest

from casarbi.data.drawn.deadleaves import VERSION, deadleaves, render
from casarbi.data.drawn.leaves.masks import BOX, ELLIPSE, Leaves, paint, paint_strokes
from casarbi.data.drawn.procedural import SPLITS

TEST = SPLITS["test"][0]


def spectrum_slope(grey):
    """Slope of log power against log frequency, from 4 cycles an image to 0.35 cycles a pixel."""
    size = len(grey)
    window = np.hanning(size)[:, None] * np.hanning(size)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(size) * size] * 2))
    rings = np.arange(4, int(0.35 * size))
    radial = [power[np.abs(frequency - ring) < 0.5].mean() for ring in rings]
    return np.polyfit(np.log(rings), np.log(radial), 1)[0]


def test_bytes_never_change_within_a_version():
    digest = hashlib.sha256(render(TEST, 96).tobytes()).hexdigest()
    assert (VERSION, digest) == ("deadleaves-1", "646f33af8395e4feada8e23e94ebab5b770f5b897776db07c56f7238fe0f6bc0")


def test_render_is_pure():
    first = render(7, 64)
    render(8, 64)
    assert np.array_equal(first, render(7, 64)) and not np.array_equal(first, render(8, 64))


@pytest.mark.parametrize("size", [32, 45, 512])
def test_any_size(size):
    image = deadleaves(n=1, size=size).image("test-00000")
    assert image.shape == (3, size, size) and image.std() > 0.05


def test_spectrum_falls_like_that_of_photographs():
    """The photographs of `photos` give -2.6 on average, single ones from -3.5 to -1.8."""
    slopes = [spectrum_slope(render(TEST + seed, 192).mean(2)) for seed in range(12)]
    assert -3.0 < np.mean(slopes) < -2.2 and min(slopes) > -3.6 and max(slopes) < -1.7


def test_scenes_vary_in_light_and_colour():
    images = np.stack([render(TEST + seed, 48) for seed in range(16)]) / 255
    assert images.mean((1, 2, 3)).std() > 0.06 and images.mean((1, 2)).std(0).min() > 0.06
    assert 0.3 < images.mean() < 0.6 and (images > 0.99).mean() < 0.05


def one_leaf_each(*leaves):
    """Leaves of (x, y, radius, shape), back to front, the first being the background."""
    x, y, radius = (np.array(column, np.float32) for column in list(zip(*leaves, strict=True))[:3])
    ones, zeros = np.ones_like(x), np.zeros_like(x)
    shape = np.array([leaf[3] for leaf in leaves])
    return Leaves(x, y, radius, ones, ones, zeros, shape, zeros, np.zeros((len(x), 5, 2), np.float32))


@pytest.mark.parametrize("radius", [10, 30])
def test_front_leaf_hides_the_others(radius):
    depth = np.zeros((80, 80), np.int32)
    leaves = [(0, 0, 0.1, BOX), (40, 40, radius, ELLIPSE), (40 + radius, 40, radius, ELLIPSE), (40, 40, 2, ELLIPSE)]
    still = (np.zeros((80, 80), np.float32),) * 2
    paint(one_leaf_each(*leaves), depth, still)
    assert depth[40, 40] == 3 and depth[40, 40 - radius + 2] == 1 and depth[40, 40 + radius - 2] == 2
    assert (depth == 1).sum() + (depth == 3).sum() == pytest.approx(0.609 * np.pi * radius**2, rel=0.05)


def test_stroke_tapers_and_stays_on_the_canvas():
    depth = np.zeros((40, 60), np.int32)
    strokes = np.array([[5, 20, 50, 0, 0, 0, 4], [50, 5, 100, -100, 0, 0, 1]])
    paint_strokes(strokes, np.array([1, 2]), depth)
    thickness = (depth == 1).sum(0)
    assert thickness[6] > 2 * thickness[52] > 0 and (depth == 2).any()
