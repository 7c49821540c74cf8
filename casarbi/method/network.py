"""The coordinate-conditioned denoiser f_theta(x_t, y, t, s_i, c) (§IV-B, Figure 5): predicts x̂_0.

    u_{i-1} ── EDSR ── bicubic upsampling ─┐
    Up(u_{i-1}), B_i ──────────────────────┴─ context ──┐
    x_t ── first HR encoder (EDSR) ─────────────────────┴─ + ── h ─┬──── U-Net ── x̂_0
    c ── Fourier features ── shallow convolutions ─────────── + ───┴─ adapter ─┘ SFT at every resolution
    t, s_i ── sinusoids ── two-layer MLP ────────────────────────────────┘

`encode` computes once per stage what does not depend on t; `forward` is one evaluation.

Any size works, odd ones too. Going down, stride-2 convolutions halve the size and round up. Going up, each value is
repeated 2 x 2, and what exceeds the finer level is cut off. So pixel i of a level always covers pixels 2i and 2i + 1 of
the finer one: no padding to a multiple, and nothing to resample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from casarbi.errors import CasarbiError
from casarbi.layers import conv3
from casarbi.method.layers import EDSR, Embedding, ResidualBlock, zeroed
from casarbi.method.residuals import StageInputs
from casarbi.pictures.resize import resize
from casarbi.plain import quote
from casarbi.settings import Choices, check_choices


@dataclass(frozen=True)
class NetworkConfig:
    """Widths and variants. The paper names the parts and gives no number: every default is ours.

    The defaults train on two CPU cores: 1.4 million parameters, 4.5 GFLOPs per evaluation at 128 x 128.

    Attributes:
        width: channels of the finest level.
        levels: channels of each level in units of the width; the first is 1.
        blocks: residual blocks per level, in the U-Net's encoder, its decoder, and the adapter.
        middle_blocks: residual blocks between encoder and decoder.
        lr_blocks: EDSR blocks of the LR feature encoder.
        hr_blocks: EDSR blocks of the first HR encoder.
        embedding: channels of the embedding of time and scale.
        coordinates: `adapter` (the paper), or `none` (Table VIII's row without adapter): time and scale, which enter
            the adapter, then enter the U-Net.
        octaves: frequencies pi 2^k, k < octaves, of the Fourier features.
        dropout: share of features dropped in training.
    """

    RETIRED: ClassVar[Mapping[str, Any]] = {"embed_unet": False, "norm": "channel", "attention": []}

    width: int = 24
    levels: tuple[int, ...] = (1, 2, 3, 4)
    blocks: int = 1
    middle_blocks: int = 1
    lr_blocks: int = 4
    hr_blocks: int = 2
    embedding: int = 96
    coordinates: Annotated[str, Choices("adapter", "none")] = "adapter"
    octaves: int = 6
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        check_choices(self)
        counts = (self.width, self.blocks, self.embedding, self.octaves, *self.levels)
        if not self.levels or min(counts) < 1 or min(self.middle_blocks, self.lr_blocks, self.hr_blocks) < 0:
            raise CasarbiError(f"A network needs positive widths, levels and blocks, not {quote(counts)}.")
        if self.levels[0] != 1:
            raise CasarbiError(f"levels={quote(self.levels)} must begin with 1: the width is that of the finest level.")
        if self.embedding % 2:
            raise CasarbiError(f"embedding={self.embedding} must be even: sines and cosines share it.")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.width * level for level in self.levels)

    @property
    def multiple(self) -> int:
        """Pixels that one value of the coarsest level covers: where tiles must begin."""
        return 2 ** (len(self.levels) - 1)


@dataclass(frozen=True)
class StageFeatures:
    """What does not depend on t, computed once per stage.

    Attributes:
        context: (B, C, H, W), of u_{i-1}, Up and B.
        coordinates: (1 or B, C, H, W), or None if coordinates are not used.
        scale: (B,) s_i.
    """

    context: Tensor
    coordinates: Tensor | None
    scale: Tensor


class Encoder(nn.Module):
    """Encoding half of a U-Net: features of every level, finest first.

    The U-Net and its adapter are both made of it, the adapter "excluding the modulation layer" (§V-A2).
    """

    def __init__(self, config: NetworkConfig, *, embedded: bool, modulated: bool) -> None:
        super().__init__()
        channels = config.channels
        self.levels, self.downs = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(channels):
            self.levels.append(Level(config, level, embedded=embedded, modulated=modulated))
            if level:
                self.downs.append(conv3(channels[level - 1], width, stride=2))

    def forward(self, h: Tensor, embedding: Tensor | None, maps: list[Tensor] | None = None) -> list[Tensor]:
        """Encode (B, C, H, W), its blocks modulated by `maps` of every level, if given."""
        outputs: list[Tensor] = []
        for level, blocks in enumerate(self.levels):
            if level:
                h = self.downs[level - 1](h)
            h = blocks(h, embedding, maps[level] if maps else None)
            outputs.append(h)
        return outputs


class Level(nn.Module):
    """The residual blocks of one level."""

    def __init__(
        self, config: NetworkConfig, level: int, *, embedded: bool, modulated: bool, blocks: int | None = None
    ) -> None:
        super().__init__()
        width = config.channels[level]
        self.blocks = nn.ModuleList(
            ResidualBlock(
                width,
                embedding=config.embedding if embedded else 0,
                sft=width if modulated else 0,
                dropout=config.dropout,
            )
            for _ in range(config.blocks if blocks is None else blocks)
        )

    def forward(self, h: Tensor, embedding: Tensor | None, maps: Tensor | None) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        for block in self.blocks:
            h = block(h, embedding, maps)
        return h


class UNet(nn.Module):
    """The denoising U-Net on feature maps: (B, width, H, W) to the same shape.

    Skip connections are added, not concatenated: after the 1x1 convolution on the way up that is nearly as general, and
    the finest level, which costs most, has half the work.
    """

    def __init__(self, config: NetworkConfig, *, embedded: bool, modulated: bool) -> None:
        super().__init__()
        channels, last = config.channels, len(config.levels) - 1
        variant = {"embedded": embedded, "modulated": modulated}
        self.encoder = Encoder(config, **variant)
        self.middle = Level(config, last, blocks=config.middle_blocks, **variant)
        self.ups = nn.ModuleList(nn.Conv2d(channels[level + 1], channels[level], 1) for level in range(last))
        self.decoder = nn.ModuleList(Level(config, level, **variant) for level in range(last))

    def forward(self, h: Tensor, embedding: Tensor | None, maps: list[Tensor] | None) -> Tensor:
        """Run encoder and decoder, every block modulated by the maps of its level."""
        skips = self.encoder(h, embedding, maps)
        h = self.middle(skips[-1], embedding, maps[-1] if maps else None)
        for level in reversed(range(len(self.decoder))):
            skip = skips[level]
            # A 1x1 convolution commutes with nearest upsampling; done first it costs a quarter.
            h = F.interpolate(self.ups[level](h), scale_factor=2, mode="nearest")
            h = skip + h[..., : skip.shape[-2], : skip.shape[-1]]
            h = self.decoder[level](h, embedding, maps[level] if maps else None)
        return h


class CoordinateEncoder(nn.Module):
    """Fourier features of a coordinate map, then shallow convolutions: (B, 2, H, W) to (B, width, H, W)."""

    def __init__(self, width: int, octaves: int) -> None:
        super().__init__()
        self.octaves = octaves
        self.first, self.second = conv3(2 + 4 * octaves, width), conv3(width, width)

    def forward(self, coordinates: Tensor) -> Tensor:
        """Encode coordinates in [-1, 1]."""
        frequencies = torch.pi * 2.0 ** torch.arange(self.octaves, device=coordinates.device)
        # (B, 2, 1, H, W) · (octaves, 1, 1) → (B, 2 · octaves, H, W)
        angles = (coordinates[:, :, None] * frequencies[:, None, None]).flatten(1, 2)
        features = torch.cat((coordinates, angles.sin(), angles.cos()), dim=1)
        return self.second(F.silu(self.first(features)))


class Denoiser(nn.Module):
    """f_theta of Eq. 2 and 10.

    Example:
        >>> from casarbi.method.residuals import ResidualConfig, stage_inputs
        >>> network = Denoiser(NetworkConfig())
        >>> inputs = stage_inputs(torch.zeros(1, 3, 8, 8), (13, 13), 1.625, ResidualConfig())
        >>> features = network.encode(inputs)  # once per stage
        >>> network(torch.zeros(1, 3, 13, 13), torch.tensor([4]), features).shape  # once per step
        torch.Size([1, 3, 13, 13])
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width, adapted = config.width, config.coordinates == "adapter"
        self.lr_encoder = EDSR(3, width, config.lr_blocks)
        self.hr_encoder = EDSR(3, width, config.hr_blocks)
        # A convolution of concatenated maps is the sum of convolutions of each: that of the context is done once.
        self.fuse_context = conv3(width + 6, width)
        self.fuse_hr = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.coordinate_encoder = CoordinateEncoder(width, config.octaves) if adapted else None
        self.embedding = Embedding(config.embedding)
        self.adapter = Encoder(config, embedded=True, modulated=False) if adapted else None
        self.unet = UNet(config, embedded=not adapted, modulated=adapted)
        # Before training the prediction is x̂_0 = 0: the base image itself.
        self.out = zeroed(conv3(width, 3))
        self.to(memory_format=torch.channels_last)

    def encode(self, inputs: StageInputs, upsample: Callable[[Tensor], Tensor] | None = None) -> StageFeatures:
        """Compute what does not depend on t.

        Args:
            inputs: of the stage.
            upsample: feature maps of u_{i-1} to the stage's size; bicubic by default. Tiles, which hold a crop of
                u_{i-1}, give their own.
        """
        height, width = inputs.up.shape[-2:]
        features = self.lr_encoder(self._enter(inputs.u_prev))
        features = resize(features, (height, width)) if upsample is None else upsample(features)
        # Joined by Up and B_i: (B, width + 6, H, W).
        context = torch.cat((features, inputs.up, inputs.base), dim=1)
        context = self.fuse_context(self._enter(context))
        coordinates = None if self.coordinate_encoder is None else self.coordinate_encoder(inputs.coordinates)
        return StageFeatures(context, coordinates, inputs.scale)

    def forward(self, x_t: Tensor, t: Tensor, features: StageFeatures) -> Tensor:
        """Predict x̂_0.

        Args:
            x_t: (B, 3, H, W), already scaled by `casarbi.method.diffusion.scale_input`.
            t: (B,) in 1..T.
            features: from `encode`.

        Returns:
            (B, 3, H, W) in the type of x_t.
        """
        # Features of x_t, on the context that `encode` made.
        h = self.fuse_hr(self.hr_encoder(self._enter(x_t))) + features.context
        embedding = self.embedding(t, features.scale)
        # The adapter sees x_t through h, and t and s_i: it decides how much the coordinates count (§IV-B).
        maps = None
        if self.adapter is not None:
            maps = self.adapter(h + features.coordinates, embedding)
        return self.out(self.unet(h, embedding, maps)).to(x_t.dtype)

    def _enter(self, images: Tensor) -> Tensor:
        return images.to(memory_format=torch.channels_last)
