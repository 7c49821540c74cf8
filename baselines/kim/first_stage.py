"""Kim's first stage: an autoencoder whose decoder ends in an implicit function (docs/kim.md §3).

Images are RGB in [-1, 1]; nothing clamps the output. Parameters carry the published names.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.kim.config import FirstStageConfig
from baselines.liif.encoders import FeatureMap
from baselines.liif.network import LIIFNetwork
from casarbi.layers import conv3
from casarbi.scales import Size

EPSILON = 1e-6
LOG_VARIANCE_RANGE = (-30.0, 20.0)
TRAINING_CHUNK = 2**18
"""Predictions of the implicit function at once in training, where gradients keep all of them in memory anyway."""


class ResidualBlock(nn.Module):
    """x + conv(SiLU(norm(conv(SiLU(norm(x)))))), with a 1x1 shortcut if the width changes."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, inputs, EPSILON), conv3(inputs, outputs)
        self.norm2, self.conv2 = nn.GroupNorm(groups, outputs, EPSILON), conv3(outputs, outputs)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    """Self-attention of all cells with one head, added to its input."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, EPSILON)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        h = self.norm(x)
        # Cells as a sequence (B, H W, C); the scale of the products is 1 / sqrt(C).
        query, key, value = (layer(h).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(query, key, value)
        return x + self.proj_out(mixed.transpose(1, 2).unflatten(2, x.shape[-2:]))


class Middle(nn.Module):
    """Residual block, attention, residual block. The only attention of encoder and decoder.

    The published `attn_resolutions: [16]` has no effect: no level of a 128 px image is 16 px wide.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels, groups)
        self.attn_1 = Attention(channels, groups)
        self.block_2 = ResidualBlock(channels, channels, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return self.block_2(self.attn_1(self.block_1(x)))


class Downsample(nn.Module):
    """Half the sides by a strided convolution, padded at the right and bottom only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H / 2, W / 2)."""
        # Left, right, top, bottom (docs/kim.md §3.1).
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Level(nn.Module):
    """Residual blocks of one width, then a downsampling unless it is the last."""

    def __init__(self, inputs: int, outputs: int, blocks: int, groups: int, *, last: bool = True) -> None:
        super().__init__()
        # Made one by one, so that counting them stops before a header's number of blocks fills the memory.
        self.block = nn.ModuleList(ResidualBlock(outputs if i else inputs, outputs, groups) for i in range(blocks))
        if not last:
            self.downsample = Downsample(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W), or to half the sides."""
        for block in self.block:
            x = block(x)
        return self.downsample(x) if hasattr(self, "downsample") else x


class Encoder(nn.Module):
    """(B, 3, H, W) to (B, outputs, H / reduction, W / reduction)."""

    def __init__(self, config: FirstStageConfig, outputs: int) -> None:
        super().__init__()
        widths, groups = [config.channels * m for m in config.multipliers], config.groups
        self.conv_in = conv3(3, config.channels)
        self.down = nn.ModuleList(
            Level(inputs, width, config.blocks, groups, last=i == len(widths) - 1)
            for i, (inputs, width) in enumerate(zip([config.channels, *widths[:-1]], widths, strict=True))
        )
        self.mid = Middle(widths[-1], groups)
        self.norm_out = nn.GroupNorm(groups, widths[-1], EPSILON)
        self.conv_out = conv3(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Encode; sides must be multiples of the reduction."""
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """Latent (B, latent, h, w) to features (B, channels, h, w): nothing upsamples, and no norm or layer ends it."""

    def __init__(self, config: FirstStageConfig) -> None:
        super().__init__()
        widths, groups = [config.channels * m for m in config.multipliers], config.groups
        self.conv_in = conv3(config.latent, widths[-1])
        self.mid = Middle(widths[-1], groups)
        # `up.0` is the finest level and comes last.
        self.up = nn.ModuleList(
            Level(inputs, width, config.blocks + 1, groups)
            for inputs, width in zip([*widths[1:], widths[-1]], widths, strict=True)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Decode to features."""
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        return x


class ImplicitDecoder(nn.Module):
    """Convolutional decoder and implicit function; the latter is LIIF's decoder without feature unfolding.

    Its coordinates, ensemble, areas and cells are LIIF's, including the 1e-6 that is added for both signs of a shift.
    Official code knows one output side; here each axis has its own, by the same formulas.
    """

    def __init__(self, config: FirstStageConfig) -> None:
        super().__init__()
        self.decoder = nn.Sequential(nn.Conv2d(config.latent, config.latent, 1), Decoder(config))
        channels = config.channels * config.multipliers[0]
        # The feature map comes from `decoder`, so LIIF's own encoder is an identity (docs/kim.md §3.3).
        self.inr = LIIFNetwork(FeatureMap(channels), config.hidden, feat_unfold=False)


class FirstStage(nn.Module):
    """The autoencoder."""

    def __init__(self, config: FirstStageConfig) -> None:
        super().__init__()
        self.config = config
        outputs = config.latent * (2 if config.gaussian else 1)
        self.encoder = nn.Sequential(Encoder(config, outputs), nn.Conv2d(outputs, outputs, 1))
        self.decoder = ImplicitDecoder(config)

    def moments(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean and standard deviation of the latent's posterior, each (B, latent, h, w).

        Args:
            images: (B, 3, H, W) in [-1, 1], sides multiples of the reduction.

        Returns:
            Mean and deviation; without a Gaussian posterior the latent and None.
        """
        encoded = self.encoder(images)
        if not self.config.gaussian:
            return encoded, None
        # Official code clamps the log-variance, too.
        mean, log_variance = encoded.chunk(2, dim=1)
        return mean, (log_variance.clamp(*LOG_VARIANCE_RANGE) / 2).exp()

    def encode(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Encode (B, 3, H, W) in [-1, 1] to a latent (B, latent, h, w).

        Args:
            images: sides multiples of the reduction.
            noise: standard normal, of the latent's shape, for a sample of a Gaussian posterior; without it the mean is
                taken. A first stage without Gaussian does not use it.
        """
        mean, deviation = self.moments(images)
        return mean if noise is None or deviation is None else mean + deviation * noise

    def features(self, z: Tensor) -> Tensor:
        """Feature map (B, channels, h, w) of a latent (B, latent, h, w)."""
        return self.decoder.decoder(z)

    def render(
        self,
        features: Tensor,
        size: Size,
        chunk: int = TRAINING_CHUNK,
        report: Callable[[float], None] | None = None,
    ) -> Tensor:
        """Images (B, 3, H, W) of any size from feature maps; differentiable.

        Args:
            features: (B, channels, h, w).
            size: (H, W).
            chunk: predictions at once, which bounds memory if no gradients are kept.
            report: told the share of an image that has just been painted.
        """
        return torch.stack([self.decoder.inr.render(each, [size], chunk, report=report)[0] for each in features])

    def decode(self, z: Tensor, size: Size, chunk: int = TRAINING_CHUNK) -> Tensor:
        """Images (B, 3, H, W), about in [-1, 1], from a latent (B, latent, h, w); differentiable."""
        return self.render(self.features(z), size, chunk)
