"""The UNet of Kim's latent diffusion, that of CompVis/latent-diffusion (docs/kim.md §5.2), with the published names."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.kim.config import UNetConfig


def time_embedding(t: Tensor, channels: int) -> Tensor:
    """Cosines, then sines, of (B,) steps at `channels` / 2 frequencies from 1 down: (B, channels)."""
    half = channels // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t.float()[:, None] * frequencies
    # Cosines first, as in latent diffusion; `casarbi.layers.sinusoids` has sines first.
    return torch.cat((angles.cos(), angles.sin()), dim=1)


class ResidualBlock(nn.Module):
    """Two normalised convolutions with the time embedding added between, and a skip."""

    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int) -> None:
        super().__init__()
        first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.in_layers = nn.Sequential(nn.GroupNorm(groups, inputs), nn.SiLU(), first)
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outputs))
        # Place 2 is a dropout of 0 in official code: it has no parameters, but counts in the names.
        last = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.out_layers = nn.Sequential(nn.GroupNorm(groups, outputs), nn.SiLU(), nn.Identity(), last)
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map (B, inputs, H, W) and (B, embedding) to (B, outputs, H, W)."""
        h = self.in_layers(x) + self.emb_layers(embedding)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Attention(nn.Module):
    """Self-attention of all cells, added to its input."""

    def __init__(self, channels: int, head_channels: int, groups: int) -> None:
        super().__init__()
        self.heads = channels // head_channels
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv, self.proj_out = nn.Conv1d(channels, 3 * channels, 1), nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        cells = x.flatten(2)
        # Split into heads first, then into query, key and value.
        split = self.qkv(self.norm(cells)).unflatten(1, (self.heads, 3, -1)).transpose(-1, -2)
        mixed = F.scaled_dot_product_attention(*split.unbind(2))
        return (cells + self.proj_out(mixed.transpose(-1, -2).flatten(1, 2))).view_as(x)


class Downsample(nn.Module):
    """Half the sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H / 2, W / 2)."""
        return self.op(x)


class Upsample(nn.Module):
    """Twice the sides, by nearest neighbour and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, 2 H, 2 W)."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Layers(nn.ModuleList):
    """Layers one after another; residual blocks among them are given the embedding."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Run the layers."""
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, ResidualBlock) else layer(x)
        return x


class UNet(nn.Module):
    """Predicts the noise of a latent.

    Args:
        config: widths and attention.
        latent: channels of the latent; the input has twice as many, the noisy latent and then the condition.
    """

    def __init__(self, config: UNetConfig, latent: int) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.time_embed = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.SiLU(), nn.Linear(4 * channels, 4 * channels)
        )
        # The numbers of the blocks are part of the published keys, so convolution and downsamplings take one each.
        self.input_blocks = nn.ModuleList([Layers([nn.Conv2d(2 * latent, channels, 3, padding=1)])])
        skips = self._build_down()
        width = skips[-1]
        self.middle_block = Layers([self._block(width, width), self._attention(width), self._block(width, width)])
        self.output_blocks = nn.ModuleList()
        self._build_up(skips)
        last = nn.Conv2d(channels, latent, 3, padding=1)
        self.out = nn.Sequential(nn.GroupNorm(config.groups, channels), nn.SiLU(), last)

    def _build_down(self) -> list[int]:
        """Fill `input_blocks`; returns the widths of their outputs."""
        config, widths = self.config, [self.config.channels]
        for level, multiplier in enumerate(config.multipliers):
            for _ in range(config.blocks):
                width = multiplier * config.channels
                self.input_blocks.append(Layers([self._block(widths[-1], width), *self._attention_at(level, width)]))
                widths.append(width)
            if level < len(config.multipliers) - 1:
                self.input_blocks.append(Layers([Downsample(widths[-1])]))
                widths.append(widths[-1])
        return widths

    def _build_up(self, skips: list[int]) -> None:
        """Fill `output_blocks`, each of which takes one of the widths `skips` from its end."""
        config, width = self.config, skips[-1]
        for level, multiplier in reversed(list(enumerate(config.multipliers))):
            # One block more than on the way down: the level's input (a downsampling or the first convolution) is a
            # skip, too.
            for i in range(config.blocks + 1):
                inputs, width = width + skips.pop(), multiplier * config.channels
                layers: list[nn.Module] = [self._block(inputs, width), *self._attention_at(level, width)]
                if level and i == config.blocks:
                    layers.append(Upsample(width))
                self.output_blocks.append(Layers(layers))

    def _block(self, inputs: int, outputs: int) -> ResidualBlock:
        return ResidualBlock(inputs, outputs, 4 * self.config.channels, self.config.groups)

    def _attention(self, channels: int) -> Attention:
        return Attention(channels, self.config.head_channels, self.config.groups)

    def _attention_at(self, level: int, channels: int) -> list[nn.Module]:
        return [self._attention(channels)] if 2**level in self.config.attention else []

    def forward(self, x: Tensor, condition: Tensor, t: Tensor) -> Tensor:
        """Predict the noise.

        Args:
            x: (B, latent, h, w), noisy; sides multiples of the reduction.
            condition: (B, latent, h, w).
            t: (B,), in 0..timesteps - 1.

        Returns:
            (B, latent, h, w).
        """
        embedding = self.time_embed(time_embedding(t, self.config.channels))
        h, skips = torch.cat((x, condition), dim=1), []
        # Down, keeping every output for the way up.
        for block in self.input_blocks:
            h = block(h, embedding)
            skips.append(h)
        h = self.middle_block(h, embedding)
        for block in self.output_blocks:
            h = block(torch.cat((h, skips.pop()), dim=1), embedding)
        return self.out(h)
