"""Noise on the LR condition in training: both readings of the paper's "several forward diffusion steps".

docs/method.md §7: three steps for faces and five for general scenes, of a chain the paper does not name. Reading A
takes the model's own chain (std = kappa sqrt(eta_tau), heavy), reading B a DDPM chain (light).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from casarbi.errors import CasarbiError, near_names

READINGS = ("none", "resshift_steps", "ddpm_steps", "sigma")


@dataclass(frozen=True)
class NoiseAugmentation:
    """Gaussian noise on LR images.

    Attributes:
        reading: "none", "resshift_steps" (A), "ddpm_steps" (B), or "sigma" for a plain standard deviation.
        amount: number of steps, or the standard deviation on the [-1, 1] scale.
        drawn: draw the number of steps from 1..amount (the deviation from 0..amount) for each image, not always the
            largest.
    """

    reading: str = "none"
    amount: float = 0.0
    drawn: bool = False

    def deviations(self, chain: Sequence[float] = ()) -> tuple[float, ...]:
        """Standard deviations on the [-1, 1] scale after 1, 2, … `amount` steps; for "sigma" the one value.

        Args:
            chain: kappa sqrt(eta_t) of the model's own chain, t = 1..T; needed by reading A alone.

        Raises:
            CasarbiError: on an unknown reading, or more steps than the chain has.
        """
        if self.reading not in READINGS:
            raise CasarbiError(
                f"The noise augmentation '{self.reading}' is unknown: {near_names(self.reading, READINGS)}"
            )
        if self.reading == "none":
            return ()
        if self.reading == "sigma":
            return (float(self.amount),)
        steps = int(self.amount)
        table = tuple(chain) if self.reading == "resshift_steps" else ddpm_deviations()
        if steps != self.amount or not 1 <= steps <= len(table):
            raise CasarbiError(
                f"Noise of {self.amount:g} steps of {self.reading} is not possible: the chain has {len(table)} steps."
            )
        return table[:steps]

    def apply(self, lr: Tensor, generator: torch.Generator, chain: Sequence[float] = ()) -> Tensor:
        """Add noise to LR images; the result is not clamped.

        Args:
            lr: (B, 3, h, w) in [0, 1].
            generator: on the device of `lr`.
            chain: see `deviations`.
        """
        table = lr.new_tensor(self.deviations(chain)) / 2  # [-1, 1] has twice the range of [0, 1]
        if not len(table):
            return lr
        deviation = table[-1].expand(len(lr))
        if self.drawn and self.reading == "sigma":
            deviation = deviation * torch.rand(len(lr), generator=generator, device=lr.device)
        elif self.drawn:
            deviation = table[torch.randint(len(table), (len(lr),), generator=generator, device=lr.device)]
        noise = torch.randn(lr.shape, generator=generator, device=lr.device, dtype=lr.dtype)
        return lr + deviation.view(-1, 1, 1, 1) * noise


def ddpm_deviations() -> tuple[float, ...]:
    """Standard deviation sqrt(1 - prod(1 - beta)) after each step of DDPM's chain: 1000 steps, beta 1e-4 to 0.02.

    Example:
        >>> [round(sigma, 4) for sigma in ddpm_deviations()[2:5:2]]
        [0.019, 0.0264]
    """
    steps, first, last = 1000, 1e-4, 0.02
    kept, deviations = 1.0, []
    for step in range(steps):
        kept *= 1 - (first + (last - first) * step / (steps - 1))
        deviations.append(math.sqrt(1 - kept))
    return tuple(deviations)
