"""The IDM network (Gao et al., CVPR 2023; Ree1s/IDM), of any width (docs/idm.md §3, §4).

Parameters carry the published names, so that official checkpoints load as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.idm.layers import (
    BiasedActivation,
    Block,
    ConvBlock,
    Downsample,
    EqualConv,
    NoiseLevel,
    pyramid_step,
)
from baselines.idm.upsampling import ImplicitUpsampling, Upsampling
from baselines.liif.encoders import EDSRBaseline
from casarbi.checkpoints.bounds import without_values
from casarbi.errors import CasarbiError
from casarbi.layers import conv3
from casarbi.plain import quote
from casarbi.scales import Size


@dataclass(frozen=True)
class NetworkConfig:
    """Widths. The defaults are those of the published network, without its never-used parameters.

    Attributes:
        channels: width of each level, the finest first.
        blocks: residual blocks per level going down; there is one more going up.
        attention: levels with attention, 0 being the finest. The published code decides them once, for pictures of
            128 px, and keeps them at any size; the first block of the middle has attention always.
        groups: of every group normalisation; must divide the channels of every level.
        hidden: inner width of the implicit functions.
        encoder_blocks: residual blocks of the encoder.
        encoder_features: its width.
        dropout: in training only.
        cell_decode: implicit functions are told the size of a pixel (the published DF2K checkpoint).
        unused: carry the parameters that official files hold and no output depends on.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    blocks: int = 2
    attention: tuple[int, ...] = (3,)
    groups: int = 32
    hidden: int = 256
    encoder_blocks: int = 16
    encoder_features: int = 64
    dropout: float = 0.2
    cell_decode: bool = False
    unused: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        counts = (self.blocks, self.groups, self.hidden, self.encoder_blocks, self.encoder_features, *self.channels)
        if len(self.channels) < 2 or min(counts) < 1 or not 0 <= self.dropout < 1:
            raise CasarbiError(
                f"An IDM network has channels of two levels or more and all numbers of at least 1, not {quote(counts)}."
            )
        if any(width % self.groups or width % 2 for width in self.channels):
            raise CasarbiError(
                f"IDM's channels {quote(self.channels)} must all be even and multiples of its groups={self.groups}."
            )
        if not all(0 <= level < len(self.channels) for level in self.attention):
            raise CasarbiError(
                f"IDM's attention {quote(self.attention)} must name levels from 0 to {len(self.channels) - 1}."
            )


PUBLISHED = NetworkConfig(unused=True)
"""The network of the released files: 116,590,885 parameters; 46 of its tensors are never used."""


@dataclass(frozen=True)
class Condition:
    """All that the denoiser needs beside x_t and the noise level, computed once per image, size and scale number.

    Attributes:
        image: (B, 3, H, W), the encoder's output; no picture by construction, and not clamped.
        upsamplings: from the coarsest level to the finest.
    """

    image: Tensor
    upsamplings: tuple[Upsampling, ...]


class ConditionEncoder(EDSRBaseline):
    """EDSR-baseline whose features are enlarged by nearest neighbour and then brought to 3 channels."""

    def __init__(self, blocks: int, features: int, unused: bool) -> None:
        super().__init__(blocks, features)
        if not unused:
            del self.sub_mean, self.add_mean
        self.tail = nn.Sequential(conv3(features, 3))

    def render(self, features: Tensor, size: Size) -> Tensor:
        """Condition (B, 3, H, W) from the features (B, C, h, w) of an LR image, which `forward` gives."""
        # The legacy nearest of the published code: source index floor(i * in / out).
        return self.tail(F.interpolate(features, size=size, mode="nearest"))


class UnusedMLP(nn.Module):
    """The decoder that the published code kept from LIIF and never calls."""

    def __init__(self) -> None:
        super().__init__()
        linears = [nn.Linear(m, n) for m, n in pairwise((66, 256, 256, 256, 256, 3))]
        self.layers = nn.Sequential(*(piece for linear in linears for piece in (linear, nn.ReLU())))


class Denoiser(nn.Module):
    """U-Net that predicts the noise in x_t; children in the published order."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels, width = config.channels, config.channels[0]
        self.noise_level_mlp = nn.Sequential(
            NoiseLevel(width), nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
        )
        # Children in the published order, because the keys of a file have that order.
        self._make_condition(config)
        self.downs = nn.ModuleList(_downs(config))
        last = channels[-1]
        # Parameters that official files hold and the published forward pass never calls.
        if config.unused:
            self.final_down1 = nn.Sequential(EqualConv(last, last), BiasedActivation(last))
            self.final_down2 = pyramid_step(last, last // 2)
            self.final_linear = nn.Linear(2 * last, 4 * last)
            self.final_styleconv = nn.Sequential(EqualConv(last, last), BiasedActivation(last))
        self.mid = nn.ModuleList(_block(config, last, last, attention) for attention in (True, False))
        self.ups = nn.ModuleList(_ups(config))
        self.final_conv = ConvBlock(width, 3, config.groups)

    def _make_condition(self, config: NetworkConfig) -> None:
        channels = config.channels
        self.levels = tuple(range(0 if config.unused else 1, len(channels)))
        # Feature f_j has the width of level j - 1 (f_0 of level 0), shift_j that of level j.
        features = (channels[0], *channels[:-1])
        self.conv_body_first = nn.Sequential(EqualConv(3, channels[0]), BiasedActivation(channels[0]))
        steps = [*pairwise(features), *([(channels[-2], channels[-1])] if config.unused else [])]
        self.conv_body_down = nn.ModuleList(pyramid_step(m, n) for m, n in steps)
        self.condition_scale1, self.condition_scale2 = (
            nn.ModuleDict({str(j): _scale_layer(channels[j]) for j in self.levels}) for _ in range(2)
        )
        self.condition_shift = nn.ModuleDict(
            {str(j): nn.Sequential(EqualConv(features[j], channels[j], bias=True)) for j in self.levels}
        )

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """Features f_0, f_1, … of the condition (B, 3, H, W), each with the size of the U-Net's level."""
        found = [self.conv_body_first(image)]
        for step in self.conv_body_down[: self.levels[-1]]:
            found.append(step(found[-1]))
        return found

    def prepare(self, image: Tensor, p: float) -> Condition:
        """Compute what does not depend on t; differentiable.

        Args:
            image: (B, 3, H, W), the encoder's output.
            p: scale number, one for the batch (`baselines.idm.scale`).
        """
        features = self.pyramid(image)

        # Each upsampling leads to the size of the next finer level.
        number = image.new_tensor([p])
        upsamplings = []
        for j, block in zip(range(len(features) - 1, 0, -1), self.upsampling_blocks(), strict=True):
            finer = features[j - 1]
            upsamplings.append(
                block.prepare(
                    self.condition_scale1[str(j)](number),
                    self.condition_scale2[str(j)](number),
                    self.condition_shift[str(j)](features[j]),
                    (finer.shape[-2], finer.shape[-1]),
                )
            )
        return Condition(image, tuple(upsamplings))

    def upsampling_blocks(self) -> Iterator[ImplicitUpsampling]:
        """The implicit functions, from the coarsest level to the finest."""
        return (block for block in self.ups if isinstance(block, ImplicitUpsampling))

    def forward(self, x: Tensor, level: Tensor, condition: Condition) -> Tensor:
        """Predict the noise in x_t.

        Args:
            x: (B, 3, H, W).
            level: (B,) noise levels sqrt(alpha_bar).
            condition: of the same images and size.
        """
        embedding = self.noise_level_mlp(level)
        x = torch.cat((condition.image, x), dim=1)
        # Down: the output of every layer is a skip connection.
        skips = []
        for layer in self.downs:
            x = layer(x, embedding) if isinstance(layer, Block) else layer(x)
            skips.append(x)
        for layer in self.mid:
            x = layer(x, embedding)
        # Up: each block takes the last skip that is left; implicit functions lead to the next finer level.
        upsamplings = iter(condition.upsamplings)
        for layer in self.ups:
            if isinstance(layer, ImplicitUpsampling):
                x = layer(x, next(upsamplings))
            else:
                x = layer(torch.cat((x, skips.pop()), dim=1), embedding)
        return self.final_conv(x)


class IDMNetwork(nn.Module):
    """Everything that a checkpoint holds but the schedule."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ConditionEncoder(config.encoder_blocks, config.encoder_features, config.unused)
        if config.unused:
            self.imnet = UnusedMLP()
        self.denoise_fn = Denoiser(config)

    def condition(self, features: Tensor, size: Size, p: float) -> Condition:
        """Prepare for one output size from the encoder's features (B, C, h, w) of the LR images."""
        return self.denoise_fn.prepare(self.encoder.render(features, size), p)

    def forward(self, lr: Tensor, x: Tensor, level: Tensor, p: float) -> Tensor:
        """Predict the noise in one go, as training does.

        Args:
            lr: (B, 3, h, w) in [-1, 1].
            x: (B, 3, H, W), x_t.
            level: (B,) noise levels.
            p: scale number of the batch.
        """
        return self.denoise_fn(x, level, self.condition(self.encoder(lr), (x.shape[-2], x.shape[-1]), p))


def never_used(config: NetworkConfig) -> tuple[str, ...]:
    """Keys of the parameters that no output depends on, in the order of the state dict."""
    # Only the keys count, so the networks are made without values.
    with without_values():
        whole, lean = (IDMNetwork(replace(config, unused=unused)).state_dict() for unused in (True, False))
    return tuple(key for key in whole if key not in lean)


def used_parameters(network: IDMNetwork) -> int:
    """Numbers that a forward pass uses."""
    unused = set(never_used(network.config)) if network.config.unused else set()
    return sum(parameter.numel() for key, parameter in network.named_parameters() if key not in unused)


def orthogonal_start(network: IDMNetwork) -> None:
    """Initialise as the published training does: orthogonal matrices, biases 0 (docs/idm.md §6).

    This overwrites the initial values that the layers choose for themselves, as the published code does. The bias of
    `condition_scale` becomes 0 instead of 1, so at first the modulation does not depend on p. The equalised weights
    shrink twice, so the condition pyramid starts almost at zero.
    """
    # Parameters that are frozen, as LIIF's mean shifts are, keep their values.
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | EqualConv) and module.weight.requires_grad:
            nn.init.orthogonal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _scale_layer(channels: int) -> nn.Linear:
    """Linear map of p whose bias starts at 1, as the published code means it; see `orthogonal_start`."""
    layer = nn.Linear(1, channels)
    nn.init.normal_(layer.weight)
    nn.init.ones_(layer.bias)
    return layer


def _block(config: NetworkConfig, inputs: int, outputs: int, attention: bool) -> Block:
    return Block(
        inputs,
        outputs,
        embedding=config.channels[0],
        groups=config.groups,
        dropout=config.dropout,
        attention=attention,
    )


def _downs(config: NetworkConfig) -> Iterator[nn.Module]:
    """First convolution, then the blocks of each level, with a halving after every level but the last."""
    channels = config.channels
    yield conv3(6, channels[0])
    before = channels[0]
    for level, width in enumerate(channels):
        for _ in range(config.blocks):
            yield _block(config, before, width, level in config.attention)
            before = width
        if level < len(channels) - 1:
            yield Downsample(width)


def _skip_widths(config: NetworkConfig) -> Iterator[int]:
    """Width of the output of each layer of `_downs`."""
    channels = config.channels
    yield channels[0]
    for level, width in enumerate(channels):
        yield from [width] * (config.blocks + (level < len(channels) - 1))


def _ups(config: NetworkConfig) -> Iterator[nn.Module]:
    """Blocks of each level from the coarsest, each taking a skip, with implicit functions between the levels."""
    # The widths of the way down, taken from the end: the two halves of the U-Net mirror each other.
    skips = list(_skip_widths(config))
    before = config.channels[-1]
    for level in range(len(config.channels) - 1, -1, -1):
        width = config.channels[level]
        for _ in range(config.blocks + 1):
            yield _block(config, before + skips.pop(), width, level in config.attention)
            before = width
        if level > 0:
            yield ImplicitUpsampling(width, config.hidden, config.cell_decode, config.unused)
