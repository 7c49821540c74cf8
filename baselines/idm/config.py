"""The configuration of an IDM (docs/idm.md §4, §5): network, noise schedule, sampling and the scale of training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

from baselines.idm.diffusion import ScheduleConfig
from baselines.idm.network import NetworkConfig
from casarbi.errors import CasarbiError
from casarbi.settings import Choices, Option, check_choices


@dataclass(frozen=True)
class IDMSampling:
    """How the chain is run. Nothing of it is trained."""

    sampler: Annotated[str, Choices("ancestral", "ddim"), Option("of the two published ones")] = "ancestral"
    steps: Annotated[
        int,
        Option(
            "evenly spaced steps of the schedule; 0 for the published ones: all of it (2000 in official files), or of "
            "DDIM 199 at every tenth index of 2000"
        ),
    ] = 0
    clamp: Annotated[
        str,
        Choices("published", "on", "off"),
        Option("keep predicted images in [-1, 1]; published: ancestral does, DDIM does not"),
    ] = "published"
    start: Annotated[
        int,
        Option(
            "0 to start from noise, as published; or how many steps of the schedule the chain lies in, the noisiest "
            "of which adds its noise to the bicubic enlargement of the LR image"
        ),
    ] = 0
    """A start (Chung et al., CVPR 2022, arXiv 2112.05146) leaves out the noisiest steps, which decide little but the
    colours of the whole image; a short training does not learn those (docs/choices.md)."""

    def __post_init__(self) -> None:
        """Refuse unknown words and negative numbers."""
        check_choices(self)
        if self.steps < 0:
            raise CasarbiError(f"IDM's steps={self.steps} must be at least 1, or 0 for the published ones.")
        if self.start < 0:
            raise CasarbiError(f"IDM's start={self.start} must be at least 1, or 0 to start from noise.")

    @property
    def clamps(self) -> bool:
        """Whether predicted images are kept in [-1, 1]."""
        return self.sampler == "ancestral" if self.clamp == "published" else self.clamp == "on"


SCALE_OF_FACES, SCALE_OF_DF2K = 8.0, 4.0
"""Largest scale of training of the two published layouts."""


@dataclass(frozen=True)
class IDMConfig:
    """Everything that makes an IDM.

    Attributes:
        network: its widths.
        schedule: the noise that it was trained with.
        sampling: may be changed when a model is opened.
        max_scale: largest scale of training, at which p = 1.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    sampling: IDMSampling = field(default_factory=IDMSampling)
    max_scale: float = SCALE_OF_FACES

    def __post_init__(self) -> None:
        """Refuse a scale at which p means nothing."""
        if not 1 < self.max_scale < math.inf:
            raise CasarbiError(f"IDM's max_scale={self.max_scale:g} must be a number above 1, where p is 0.")
