"""Building blocks of the IDM denoiser (docs/idm.md §4), under the published names of their parameters."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from casarbi.layers import conv3, sinusoids

STYLE_WIDTH = 512
"""Width of the style vector that the never-used modulated convolutions would take."""


def activate(v: Tensor) -> Tensor:
    """Return sqrt(2) LeakyReLU_0.2(v), which the published code computes in a fused CUDA operation with its bias."""
    return F.leaky_relu(v, 0.2) * math.sqrt(2)


class NoiseLevel(nn.Module):
    """Sines and cosines of the noise level sqrt(abar) itself, neither multiplied by 1000 nor as the index of a step."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, level: Tensor) -> Tensor:
        """Map (B,) levels in (0, 1] to (B, channels)."""
        return sinusoids(level, self.channels)


class ConvBlock(nn.Module):
    """GroupNorm, SiLU, dropout, 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int, groups: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.GroupNorm(groups, inputs), nn.SiLU(), nn.Dropout(dropout), conv3(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return self.block(x)


class NoiseShift(nn.Module):
    """What the noise level adds to every pixel of a block's features; there is no scale beside it."""

    def __init__(self, embedding: int, channels: int) -> None:
        super().__init__()
        self.noise_func = nn.Sequential(nn.Linear(embedding, channels))

    def forward(self, embedding: Tensor) -> Tensor:
        """Map (B, embedding) to (B, channels, 1, 1)."""
        return self.noise_func(embedding)[:, :, None, None]


class ResidualBlock(nn.Module):
    """x + block2(block1(x) + Linear(embedding)), with a 1x1 convolution on x if the width changes."""

    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.noise_func = NoiseShift(embedding, outputs)
        self.block1 = ConvBlock(inputs, outputs, groups)
        self.block2 = ConvBlock(outputs, outputs, groups, dropout)
        self.res_conv = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return self.block2(self.block1(x) + self.noise_func(embedding)) + self.res_conv(x)


class Attention(nn.Module):
    """Self-attention of all pixels with one head, added to its input."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        # (B, 3C, H, W) → (B, 1, H·W, 3C) → three times (B, 1, H·W, C): one head.
        # PyTorch's fused kernel never holds all H·W x H·W weights, which are 1 GB at this level of a megapixel. It
        # takes four axes only, the last without gaps.
        pixels = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).contiguous()[:, None]
        mixed = F.scaled_dot_product_attention(*pixels.chunk(3, dim=3))[:, 0]
        return x + self.out(mixed.transpose(1, 2).unflatten(2, x.shape[-2:]))


class Block(nn.Module):
    """A residual block of the U-Net, and attention after it if its level has it."""

    def __init__(
        self, inputs: int, outputs: int, *, embedding: int, groups: int, dropout: float, attention: bool
    ) -> None:
        super().__init__()
        self.res_block = ResidualBlock(inputs, outputs, embedding, groups, dropout)
        self.attn = Attention(outputs, groups) if attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return self.attn(self.res_block(x, embedding))


class Downsample(nn.Module):
    """3x3 convolution of stride 2: half the size, rounded up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv3(channels, channels, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, ceil(H/2), ceil(W/2))."""
        return self.conv(x)


class EqualConv(nn.Module):
    """3x3 convolution whose stored weight is multiplied by 1/sqrt(9 inputs) when used ("equalised learning rate")."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, bias: bool = False) -> None:
        super().__init__()
        # Stored at unit variance; the gain brings it to the usual spread at every use.
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.stride, self.gain = stride, 1 / math.sqrt(9 * inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W), or half the size."""
        return F.conv2d(x, self.weight * self.gain, self.bias, self.stride, padding=1)


class BiasedActivation(nn.Module):
    """`activate` after adding a bias to each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return activate(x + self.bias[:, None, None])


class Blur(nn.Module):
    """Smooth with the outer product of (1, 3, 1) by itself, divided by its sum of 25, zeros around the picture.

    These taps decide the output: the usual (1, 2, 1) moves it by 0.2 of its deviation (docs/idm.md §10).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        channels = x.shape[1]
        # (1, 3, 1) / 5, the same kernel for every channel.
        taps = x.new_tensor([0.2, 0.6, 0.2])
        kernel = torch.outer(taps, taps).expand(channels, 1, 3, 3)
        return F.conv2d(x, kernel, padding=1, groups=channels)


def pyramid_step(inputs: int, outputs: int) -> nn.Sequential:
    """One step down the condition pyramid: blur, convolution of stride 2, activation."""
    return nn.Sequential(Blur(), EqualConv(inputs, outputs, stride=2), BiasedActivation(outputs))


class UnusedModulatedConv(nn.Module):
    """Parameters of a modulated convolution that the published forward pass never calls."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, channels, channels, 3, 3))
        self.modulation = nn.Linear(STYLE_WIDTH, channels)


class Style(nn.Module):
    """Holds the bias of an upsampling block's modulation, and the never-used parameters stored beside it."""

    def __init__(self, channels: int, unused: bool) -> None:
        super().__init__()
        if unused:
            self.weight = nn.Parameter(torch.zeros(1))  # of the noise that is never added
            self.modulated_conv = UnusedModulatedConv(channels)
        self.activate = BiasedActivation(channels)
