"""From light to pixels: exposure, tone, sharpening, grain and rounding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from casarbi.data.drawn.portrait.exact import Array, Draw


def halve(picture: Array) -> Array:
    """Average 2 x 2 pixels of (3, 2n, 2n) linear light."""
    picture = picture[:, ::2] + picture[:, 1::2]
    return (picture[:, :, ::2] + picture[:, :, 1::2]) * np.float32(0.25)


def develop(picture: Array, exposure: float) -> Array:
    """Expose, compress highlights, encode as sRGB (within 0.003, square roots only), deepen the contrast."""
    x = np.maximum(picture, 0) * np.float32(exposure)
    x = np.minimum(x * (1 + x * 0.16) / (1 + 0.55 * x), 1)
    s1 = np.sqrt(x)
    s2 = np.sqrt(s1)
    s3 = np.sqrt(s2)
    a, b, c, d = (np.float32(k) for k in (0.66200269, 0.68412206, 0.3235836, 0.02254115))
    y = a * s1 + b * s2 - c * s3 - d * x
    return y + (y * y * (3 - 2 * y) - y) * np.float32(0.35)


def sharpen(picture: Array, strength: float) -> Array:
    """Sharpen as cameras do: add the difference to a 3 x 3 binomial blur."""
    wide = np.pad(picture, ((0, 0), (1, 1), (1, 1)), mode="edge")
    wide = (wide[:, :-2] + wide[:, 2:]) * np.float32(0.25) + wide[:, 1:-1] * np.float32(0.5)
    blur = (wide[:, :, :-2] + wide[:, :, 2:]) * np.float32(0.25) + wide[:, :, 1:-1] * np.float32(0.5)
    return picture + (picture - blur) * np.float32(strength)


def quantise(picture: Array, seed: int) -> NDArray[np.uint8]:
    """Add grain of half a level's spread and round (3, n, n) to bytes (n, n, 3)."""
    picture = picture + Draw(seed, 3).field(*picture.shape[1:]) * np.float32(0.004)
    picture = np.floor(np.clip(picture, 0, 1) * 255 + np.float32(0.5))
    return np.ascontiguousarray(picture.transpose(1, 2, 0).astype(np.uint8))
