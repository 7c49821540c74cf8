"""SelfSSIM: the tiny example of docs/protocol.md §3.3, and what holds for any outputs."""

import math

import numpy as np
import pytest
import torch

from benchmarks.metrics.selfssim import selfssim_pair
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.pictures.resize import resize

TINY = {"bicubic": (0.9996, 0.9998), "bilinear": (0.9960, 0.9970), "nearest": (0.9424, 0.9872)}


def waves(n):
    """The example's image of size n: (1, 3, n, n)."""
    u = (np.arange(n) + 0.5) / n
    v = u[:, None]
    colours = (
        0.5 + 0.25 * np.sin(6 * np.pi * u) + 0.2 * np.cos(10 * np.pi * v),
        0.5 + 0.4 * np.cos(2 * np.pi * (2 * u + v)),
        0.5 + 0.3 * np.sin(8 * np.pi * u * v),
    )
    levels = np.rint(255 * np.clip(np.stack([np.broadcast_to(c, (n, n)) for c in colours]), 0, 1))
    return torch.from_numpy(levels.astype(np.uint8))[None] / 255


@pytest.mark.parametrize("resizer", TINY)
def test_tiny_example(resizer):
    small, large = waves(24), waves(36)
    matrix = [selfssim_pair(a, b, resizer)[0] for a in (small, large) for b in (small, large)]
    assert matrix == pytest.approx([1, TINY[resizer][0], TINY[resizer][1], 1], abs=6e-5)
    assert matrix[0] == matrix[3] == 1


def test_enlargement_agrees_with_its_source_only_upwards():
    small = waves(24)
    large = from_uint8(resize(to_uint8(small), (36, 36)))
    assert selfssim_pair(small, large) == [1.0]
    assert selfssim_pair(large, small) == pytest.approx([0.9995], abs=6e-5)


@pytest.mark.parametrize("variant", ["ssim-uniform7", "ssim-zeropad", "ssim-y"])
def test_variants_give_other_values(variant):
    value = selfssim_pair(waves(36), waves(24), "nearest", variant)[0]
    assert 0.9 < value < 1 and abs(value - TINY["nearest"][1]) > 1e-4


def test_outputs_are_rounded_before_they_are_resized():
    small, large = waves(24), waves(36)
    assert selfssim_pair((small + 0.3 / 255).clamp(0, 1), large) == selfssim_pair(small, large)


def test_nan_is_not_scored_and_not_spread():
    a, b = waves(24).repeat(2, 1, 1, 1), waves(36).repeat(2, 1, 1, 1)
    a[0, 2, 5, 5] = math.nan
    first, second = selfssim_pair(a, b)
    assert math.isnan(first) and second == selfssim_pair(waves(24), waves(36))[0]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"resizer": "bicubc"}, "no resizer 'bicubc': did you mean bicubic"),
        ({"variant": "sim"}, "no SSIM variant 'sim': did you mean"),
        ({"variant": "ms-ssim"}, "at least 176 px"),
    ],
)
def test_unusable_options_are_named(options, message):
    with pytest.raises(CasarbiError, match=message):
        selfssim_pair(waves(24), waves(36), **options)


def test_other_images_are_refused():
    with pytest.raises(CasarbiError, match="outputs of the same images, found 1 and 2"):
        selfssim_pair(waves(24), waves(36).repeat(2, 1, 1, 1))
