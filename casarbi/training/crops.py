"""Square patches of pictures, for recipes that do not train on whole ones."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def random_crop(image: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """Cut a square from anywhere in a picture (C, H, W) whose sides are at least `side`."""
    top, left = (int(rng.integers(0, length - side + 1)) for length in image.shape[-2:])
    return image[:, top : top + side, left : left + side]


def random_patch(image: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """Cut a square as `random_crop` does and turn it by 0, 90, 180 or 270 degrees."""
    return random_crop(image, side, rng).rot90(int(rng.integers(4)), (-2, -1)).contiguous()
