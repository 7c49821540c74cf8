"""The configuration of Kim's latent diffusion, and the published ones (arXiv 2403.10255; docs/kim.md §2)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from baselines.ddpm import LONGEST_SCHEDULE
from casarbi.errors import CasarbiError
from casarbi.plain import quote
from casarbi.scales import Size
from casarbi.settings import Choices, Option, check_choices

MOST_ENLARGED = 64
"""Far above the published 8 and 4. The side of the latent grows with it, so memory grows with its square."""


@dataclass(frozen=True)
class FirstStageConfig:
    """The autoencoder with its implicit decoder.

    Attributes:
        channels: of its finest level, and of the feature map that the implicit function is asked at.
        multipliers: channels of each level in units of `channels`; every further level halves the sides.
        blocks: residual blocks per level of the encoder; the decoder has one more.
        latent: channels of the latent.
        gaussian: the encoder gives mean and log-variance (`double_z`), else the latent itself.
        groups: of the group normalisation.
        hidden: widths of the implicit function's layers.
    """

    channels: int = 128
    multipliers: tuple[int, ...] = (1, 2, 4)
    blocks: int = 2
    latent: int = 32
    gaussian: bool = True
    groups: int = 32
    hidden: tuple[int, ...] = (256, 256, 256, 256)

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        _check_widths("first_stage", self.channels, self.multipliers, self.groups)
        if min(self.blocks, self.latent, *self.hidden, 1) < 1 or not self.hidden:
            raise CasarbiError("first_stage must have blocks, latent and hidden of at least 1.")

    @property
    def reduction(self) -> int:
        """How many times the encoder makes an axis shorter."""
        return 2 ** (len(self.multipliers) - 1)


@dataclass(frozen=True)
class UNetConfig:
    """The denoiser of the latent.

    Attributes:
        channels: of its finest level; the time embedding has four times as many.
        multipliers: channels of each level in units of `channels`; every further level halves the sides.
        blocks: residual blocks per level.
        attention: downsampling factors (1, 2, 4, …) with self-attention. Official code calls them
            `attention_resolutions` but compares them to factors, so DF2K's [12, 6], probably meant as sides, match
            none; the middle always has attention.
        head_channels: channels of an attention head.
        groups: of the group normalisation.
    """

    channels: int = 256
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 2
    attention: tuple[int, ...] = (4, 2, 1)
    head_channels: int = 32
    groups: int = 32

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        _check_widths("unet", self.channels, self.multipliers, self.groups)
        heads = self.head_channels
        if self.blocks < 1 or heads < 1 or any(self.channels * m % heads for m in self.multipliers):
            raise CasarbiError(f"unet must have blocks of at least 1 and widths that head_channels = {heads} divides.")

    @property
    def reduction(self) -> int:
        """The sides of what it takes must be multiples of this."""
        return 2 ** (len(self.multipliers) - 1)


@dataclass(frozen=True)
class DiffusionConfig:
    """Noise schedule: beta = linspace(sqrt(start), sqrt(end), timesteps)² (docs/kim.md §5.1)."""

    linear_start: float = 1e-4
    linear_end: float = 0.015
    timesteps: int = 1000

    def __post_init__(self) -> None:
        """Refuse an impossible schedule."""
        given = f"got {self.linear_start}, {self.linear_end} and {self.timesteps}"
        if not 0 < self.linear_start <= self.linear_end < 1 or not 1 <= self.timesteps <= LONGEST_SCHEDULE:
            raise CasarbiError(
                f"diffusion must have 0 < linear_start <= linear_end < 1 and timesteps of at least 1 and at most "
                f"{LONGEST_SCHEDULE:,}, {given}."
            )
        # The last alpha-bar, in float32 as files store it: 0 divides by zero in x0, and 1 is no noise at all.
        left = np.float32(np.prod(1 - self.betas()))
        if not 0 < left < 1:
            raise CasarbiError(f"diffusion must have a schedule that leaves some of the latent, but not all, {given}.")

    def betas(self) -> np.ndarray:
        """beta_t, (T,) float64: squares of evenly spaced roots."""
        return np.linspace(self.linear_start**0.5, self.linear_end**0.5, self.timesteps) ** 2


@dataclass(frozen=True)
class KimSampling:
    """How the chain is run; nothing of it is trained. The defaults are the published evaluation (docs/kim.md §5.3)."""

    steps: Annotated[int, Option("S: DDIM walks every (timesteps // S)-th step; published 200")] = 200
    eta: Annotated[float, Option("1 for the published, fully stochastic DDIM, 0 for the deterministic one")] = 1.0
    drop_noisiest: Annotated[
        bool,
        Option(
            "leave the noisiest step out and start pure noise at the one below, as published: 199 network calls at "
            "S = 200"
        ),
    ] = True
    last_noise: Annotated[bool, Option("add noise after the last step too, as published")] = True
    last_alpha: Annotated[
        str,
        Choices("first", "one"),
        Option("alpha-bar that the last step leads to: that of step 0, as published, or 1, which is no noise"),
    ] = "first"
    posterior: Annotated[
        str,
        Choices("sample", "mean"),
        Option("what the condition of a Gaussian first stage is; published: a sample"),
    ] = "sample"
    start: Annotated[
        int,
        Option(
            "0 to start from noise, as published; or the step below which all of the chain lies, which then starts "
            "from the LR image's latent with the noise of its first step"
        ),
    ] = 0
    """For a start see Chung et al., CVPR 2022, arXiv 2112.05146, and docs/choices.md."""

    def __post_init__(self) -> None:
        """Refuse unknown words and impossible numbers."""
        check_choices(self)
        if not 0 <= self.eta <= 1:
            raise CasarbiError(f"eta={self.eta} must be from 0 (deterministic) to 1 (as published).")


@dataclass(frozen=True)
class KimConfig:
    """Everything that makes a Kim: two networks, the noise schedule, and the sides that it was trained on.

    Attributes:
        first_stage: the autoencoder.
        unet: the denoiser.
        diffusion: the noise schedule.
        sampling: how the chain is run.
        lr_side: side of the LR images in training.
        hr_side: side of the HR images that the encoder sees; an LR image is enlarged by hr_side / lr_side before it
            is encoded as the condition.
        sizes: smallest and largest side that the implicit decoder was trained for.
    """

    first_stage: FirstStageConfig = field(default_factory=FirstStageConfig)
    unet: UNetConfig = field(default_factory=UNetConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    sampling: KimSampling = field(default_factory=KimSampling)
    lr_side: int = 16
    hr_side: int = 128
    sizes: tuple[int, ...] = (32, 128)
    tile: Annotated[int, Option("side of tiles in latent cells; 0 for that of training")] = 0
    overlap: Annotated[int, Option("latent cells that tiles share at least; 0 for a quarter of a tile")] = 0

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        reduction = self.first_stage.reduction
        lr, hr = self.lr_side, self.hr_side
        if not 1 <= lr <= hr or hr % lr or (hr // lr) % reduction or hr // lr > MOST_ENLARGED:
            raise CasarbiError(
                f"hr_side={hr} must be lr_side={lr} times a multiple of {reduction}, by which the encoder divides, of "
                f"at most {MOST_ENLARGED}: a latent cell never covers more than an LR pixel."
            )
        # The UNet halves the latent, and a tile holds whole LR pixels.
        multiple, trained = self.multiple, hr // reduction
        if trained % multiple:
            raise CasarbiError(
                f"The latent's side, hr_side / {reduction} = {trained}, must be a multiple of {multiple}."
            )
        if len(self.sizes) != 2 or not 1 <= self.sizes[0] <= self.sizes[1]:
            raise CasarbiError(f"sizes={quote(self.sizes)} must be the smallest and largest side, like [32, 128].")
        side, shared = self.tile_side, self.shared
        if self.tile < 0 or side % multiple or not 0 < shared <= side // 2 or side - shared < multiple:
            raise CasarbiError(
                f"Tiles of {side} latent cells that share {shared} cannot be: tile must be a multiple of {multiple}, "
                f"and overlap at most half of it and so small that tiles advance by {multiple} cells."
            )

    @property
    def enlargement(self) -> int:
        """How many times an LR image is enlarged before it is encoded."""
        return self.hr_side // self.lr_side

    @property
    def cells(self) -> int:
        """Latent cells along the side of an LR pixel."""
        return self.enlargement // self.first_stage.reduction

    @property
    def multiple(self) -> int:
        """The denoiser's latents, and where their tiles begin, are multiples of this: whole LR pixels too."""
        return math.lcm(self.unet.reduction, self.cells)

    @property
    def tile_side(self) -> int:
        """Side of a tile in latent cells."""
        return self.tile or self.hr_side // self.first_stage.reduction

    @property
    def shared(self) -> int:
        """Cells that neighbouring tiles share at least."""
        return self.overlap or self.tile_side // 4

    def latent_size(self, lr_size: Size) -> Size:
        """Size of the latent that the chain runs on: of the LR image, padded to what the denoiser can halve."""
        height, width = (math.ceil(side * self.cells / self.multiple) * self.multiple for side in lr_size)
        return height, width

    @property
    def trained_scales(self) -> tuple[float, float]:
        """Smallest and largest scale of training."""
        return self.sizes[0] / self.lr_side, self.sizes[1] / self.lr_side


def _check_widths(name: str, channels: int, multipliers: tuple[int, ...], groups: int) -> None:
    if channels < 1 or groups < 1 or not multipliers or min(multipliers) < 1 or channels % groups:
        raise CasarbiError(
            f"{name} must have channels that are a multiple of groups, and multipliers of at least 1, not channels = "
            f"{channels}, groups = {groups} and multipliers = {quote(multipliers)}."
        )


PAPER_FACE = KimConfig()
"""FFHQ, 16 to 128."""

PAPER_DIV2K = KimConfig(
    first_stage=FirstStageConfig(latent=3, gaussian=False),
    unet=UNetConfig(channels=160, multipliers=(1, 2, 2, 4), attention=(16, 8)),
    diffusion=DiffusionConfig(linear_start=0.0015, linear_end=0.0155),
    lr_side=48,
    hr_side=192,
    sizes=(48, 192),
)
"""DIV2K, 48 to 192."""

PAPER_DF2K = dataclasses.replace(PAPER_DIV2K, unet=dataclasses.replace(PAPER_DIV2K.unet, attention=(12, 6)))
"""DIV2K and Flickr2K: as DIV2K, but without attention outside the middle."""

PUBLISHED = {"FFHQ": PAPER_FACE, "DIV2K": PAPER_DIV2K, "DF2K": PAPER_DF2K}
"""Configurations by the data that they are published for."""
