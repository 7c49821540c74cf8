"""Residual shifting (Eq. 1, 2; the process of ResShift): schedule, forward process and posterior.

With x_0 the clean image, y the low-quality one, e_0 = y - x_0, and 0 = eta_0 < eta_1 < … < eta_T:

    q(x_t | x_0, y)  = N( x_0 + eta_t e_0 ,  kappa² eta_t I )                                  (from Eq. 1)
    p(x_{t-1} | x_t) = N( (eta_{t-1} x_t + alpha_t x̂_0) / eta_t ,  kappa² (eta_{t-1} / eta_t) alpha_t I )     (Eq. 2)

where alpha_t = eta_t - eta_{t-1}. The network predicts x̂_0 directly. Plain functions of tensors: x_0 and y may be
images, or the residual images of `casarbi.method.residuals`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.sampling import spaced_steps

LONGEST_CHAIN = 10_000
"""Far longer than any chain in use. A file that asks for more is damaged."""


@dataclass(frozen=True)
class ShiftConfig:
    """The process. The paper refers to ResShift and gives no value: these are ResShift's, the defaults are ours.

    Attributes:
        T: number of steps.
        kappa: strength of the noise; tune it together with the residual gain.
        m: minimum noise level; ResShift has 0.04 with T = 15 and 0.2 with T = 4.
        p: exponent of the schedule; small values spend more steps at low noise.
        sqrt_eta_T: end of the schedule, near 1.
    """

    RETIRED: ClassVar[Mapping[str, Any]] = {"input_scaling": "unit_variance"}

    T: int = 15
    kappa: float = 2.0
    m: float = 0.04
    p: float = 0.3
    sqrt_eta_T: float = 0.99

    def __post_init__(self) -> None:
        """Refuse values that give no increasing schedule."""
        if not 1 <= self.T <= LONGEST_CHAIN:
            raise CasarbiError(f"T={self.T} must be from 1 to {LONGEST_CHAIN:,} sampling steps.")
        first = min(self.m / self.kappa, self.m) if self.kappa > 0 else 0.0
        if not 0 < first < self.sqrt_eta_T <= 1 or not self.p > 0:
            raise CasarbiError(
                f"kappa={self.kappa}, m={self.m}, p={self.p} and sqrt_eta_T={self.sqrt_eta_T} give no increasing "
                f"schedule: all must be positive, and min(m/kappa, m) below sqrt_eta_T, which is at most 1."
            )

    @cached_property
    def eta(self) -> tuple[float, ...]:
        """eta_0 = 0, eta_1, …, eta_T."""
        return (0.0, *(root**2 for root in sqrt_eta(self)))

    @property
    def noise_levels(self) -> tuple[float, ...]:
        """Kappa sqrt(eta_1) … kappa sqrt(eta_T), the standard deviations of the chain's noise."""
        return tuple(self.kappa * root for root in sqrt_eta(self))


def sqrt_eta(config: ShiftConfig) -> list[float]:
    """sqrt(eta_1) … sqrt(eta_T) of ResShift's schedule (docs/method.md §2).

    sqrt(eta_t) = sqrt(eta_1) · r^(((t-1) / (T-1))^p) with r = sqrt(eta_T) / sqrt(eta_1), sqrt(eta_1) = min(m/kappa, m).
    With T = 1 the only step is the last.
    """
    first, last, steps = min(config.m / config.kappa, config.m), config.sqrt_eta_T, config.T
    if steps == 1:
        return [last]
    return [first * (last / first) ** (((t - 1) / (steps - 1)) ** config.p) for t in range(1, steps + 1)]


def shift(x0: Tensor, y: Tensor, t: Tensor, eps: Tensor, config: ShiftConfig) -> Tensor:
    """Draw x_t from q(x_t | x_0, y), the marginal of Eq. 1.

    Args:
        x0: clean images (B, 3, H, W).
        y: low-quality images, same shape.
        t: (B,) integers in 1..T.
        eps: standard normal noise, same shape as x0.
        config: the process.

    Returns:
        x_0 + eta_t (y - x_0) + kappa sqrt(eta_t) eps.
    """
    # eta is indexed by t itself, 0 … T; (B, 1, 1, 1) broadcasts over an image.
    eta = torch.tensor(config.eta, dtype=x0.dtype, device=x0.device)[t.to(x0.device)].view(-1, 1, 1, 1)
    return x0 + eta * (y - x0) + config.kappa * eta.sqrt() * eps


def scale_input(x_t: Tensor, t: Tensor, config: ShiftConfig) -> Tensor:
    """Bring x_t, whose spread grows with t, to the range that the network gets; `t` is (B,) in 1..T.

    The paper does not say how; this is ResShift's way in latent space: x_t / sqrt(1 + kappa² eta_t).
    """
    variance = config.kappa**2 * torch.tensor(config.eta, dtype=x_t.dtype, device=x_t.device)[t.to(x_t.device)]
    return x_t / (1 + variance).sqrt().view(-1, 1, 1, 1)


@dataclass(frozen=True)
class Posterior:
    """One reverse step (Eq. 2): mean = of_x_t · x_t + of_x0 · x̂_0, and the variance."""

    of_x_t: float
    of_x0: float
    variance: float


def posterior(config: ShiftConfig, t: int, before: int | None = None) -> Posterior:
    """Coefficients of p(x_before | x_t, x̂_0, y) (Eq. 2).

    Args:
        config: the process.
        t: step in 1..T.
        before: the step that comes next, t - 1 by default. Eq. 2 holds for any earlier one with
            alpha = eta_t - eta_before, because the steps of Eq. 1 add up; so a chain may leave steps out.
    """
    # The mean is an average of x_t and x̂_0: its two weights, eta_before / eta_t and alpha / eta_t, add up to 1.
    eta_t, eta_before = config.eta[t], config.eta[t - 1 if before is None else before]
    # alpha_t of Eq. 2 for neighbours; for a chain that leaves steps out, the sum of the alphas between.
    alpha = eta_t - eta_before
    return Posterior(eta_before / eta_t, alpha / eta_t, config.kappa**2 * (eta_before / eta_t) * alpha)


def timesteps(config: ShiftConfig, steps: int | None = None) -> list[int]:
    """Steps T … 1 of a chain, or `steps` of them, evenly spaced from T on.

    Example:
        >>> timesteps(ShiftConfig(T=15), 4)
        [15, 12, 8, 4]
    """
    return spaced_steps(config.T, config.T if steps is None else steps)
