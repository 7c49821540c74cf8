"""Images in [0, 1], as everywhere between parts, and in [-1, 1], as networks take them."""

from __future__ import annotations

from torch import Tensor


def to_signed(images: Tensor) -> Tensor:
    """[0, 1] to [-1, 1]."""
    return images * 2 - 1


def from_signed(images: Tensor) -> Tensor:
    """[-1, 1] to [0, 1]."""
    return (images + 1) / 2
