"""Small pictures that many tests use."""

import numpy as np
import torch

from casarbi.pictures.pixels import from_uint8


def scene(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """A colour picture (3, H, W) with smooth, edged and noisy parts, 8-bit values."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(2 * np.pi * (rng.uniform(1, 6) * x + rng.uniform(1, 6) * y)) for _ in range(3)]
    image = 0.5 + 0.25 * np.stack(waves) + rng.normal(0, 0.03, (3, height, width))
    image[:, (x - 0.4) ** 2 + (y - 0.3) ** 2 < 0.03] = rng.uniform(0, 1, (3, 1))
    return from_uint8(torch.from_numpy((image.clip(0, 1) * 255).round().astype(np.uint8)))
