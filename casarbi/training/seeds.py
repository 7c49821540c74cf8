"""Randomness of a training run: every draw is a function of (seed, purpose, step, …), so no generator has a state.

A resumed run draws what an unbroken one would have drawn without anything being stored, and the pictures of a step do
not depend on how many workers or GPUs share it.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a draw is for; the numbers are part of every run's identity, so never change one."""

    ORDER = 1
    BATCH = 2
    ITEM = 3
    LOSS = 4
    LAYERS = 5
    WEIGHTS = 6


def numpy_generator(seed: int, purpose: Purpose, *path: int) -> np.random.Generator:
    """Generator of one draw; `path` holds non-negative integers such as (step, item)."""
    return np.random.Generator(np.random.PCG64([seed, purpose, *path]))


def torch_seed(seed: int, purpose: Purpose, *path: int) -> int:
    """A seed for torch, from 0 to 2^63 - 1.

    Example:
        >>> torch_seed(0, Purpose.LOSS, 7, 0) == torch_seed(0, Purpose.LOSS, 7, 0) != torch_seed(0, Purpose.LOSS, 8, 0)
        True
    """
    return int(np.random.SeedSequence([seed, purpose, *path]).generate_state(1, np.uint64)[0]) >> 1


def torch_generator(device: torch.device | str, seed: int, purpose: Purpose, *path: int) -> torch.Generator:
    """Generator on a device for one draw."""
    return torch.Generator(device).manual_seed(torch_seed(seed, purpose, *path))
