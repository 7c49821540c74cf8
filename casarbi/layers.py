"""Layers that networks of several methods share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution with zero padding: the same size, or with stride 2 half of it, rounded up."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1)


def sinusoids(values: Tensor, channels: int) -> Tensor:
    """Sines and cosines of (B,) values at `channels` / 2 frequencies from 1 down to 1 / 10,000: (B, channels)."""
    exponents = torch.arange(channels // 2, dtype=torch.float32, device=values.device) / (channels // 2)
    angles = values.float()[:, None] * 10_000.0**-exponents
    return torch.cat((angles.sin(), angles.cos()), dim=1)
