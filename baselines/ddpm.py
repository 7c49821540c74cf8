"""Diffusion with a network that predicts the noise: the tables of a schedule, one step, and its two samplers.

With abar_t the product of (1 - beta_s) up to t, x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise (Ho et al., NeurIPS
2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from casarbi.sampling import Noise

LONGEST_SCHEDULE = 100_000
"""Far longer than any schedule in use. A file that asks for more is damaged."""


def ddpm_tables(betas: np.ndarray) -> dict[str, Tensor]:
    """Make the twelve tables of Ho et al. (NeurIPS 2020) under the names that IDM's and Kim's code have in common.

    Args:
        betas: beta_t, (T,) float64.

    Returns:
        Tables (T,) by name in the published order: made in float64, stored as float32.
    """
    abar = np.cumprod(1 - betas)
    # abar_{t-1}: 1 before the first step, where the image has no noise.
    before = np.append(1.0, abar[:-1])
    # Variance of the posterior q(x_{t-1} | x_t, x_0) (equation 7).
    variance = betas * (1 - before) / (1 - abar)
    arrays = {
        "betas": betas,
        "alphas_cumprod": abar,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": np.sqrt(abar),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - abar),
        "log_one_minus_alphas_cumprod": np.log(1 - abar),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / abar),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / abar - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.maximum(variance, 1e-20)),
        "posterior_mean_coef1": betas * np.sqrt(before) / (1 - abar),
        "posterior_mean_coef2": (1 - before) * np.sqrt(1 - betas) / (1 - abar),
    }
    return {name: torch.from_numpy(array).float() for name, array in arrays.items()}


TABLES = tuple(ddpm_tables(np.array([0.5])))
"""Their names, in the published order."""


def differing(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Names of the stored tables that are not as expected, rounding apart; their precision may be half."""
    return [name for name, table in found.items() if not _is_nearly(table, expected[name])]


def _is_nearly(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape or not found.is_floating_point():
        return False
    tolerance = max(1e-4, 2 * torch.finfo(found.dtype).eps)
    return torch.allclose(found.float(), expected.to(found.dtype).float(), rtol=tolerance, atol=1e-7)


@dataclass(frozen=True)
class Step:
    """One step of a chain, from a noise level to a lower one.

    Attributes:
        t: index in the trained schedule.
        alpha_bar: of the state that goes in.
        after: of the state that comes out, 1 if that is the image.
        sigma: deviation of the fresh noise that replaces a part of the old one in a DDIM step.
        draws: whether the fresh noise is added; if not, only the old one is taken away.
    """

    t: int
    alpha_bar: float
    after: float
    sigma: float = 0.0
    draws: bool = True

    @property
    def level(self) -> float:
        """How much of the image is left: sqrt(abar)."""
        return math.sqrt(self.alpha_bar)


def chain(alpha_bar: Sequence[float], indices: Sequence[int], last: float = 1.0, eta: float = 0.0) -> list[Step]:
    """Steps through decreasing indices of a schedule; the last step leads to `last`.

    Args:
        alpha_bar: of the schedule.
        indices: of its steps.
        last: abar of the result.
        eta: for DDIM: 0 draws nothing, 1 as much as DDPM (Song et al., equation 16).
    """
    # abar along the chain, its result included. Sigma is that of equation 16 with a = abar_t, b = abar after it.
    levels = [*(alpha_bar[t] for t in indices), last]
    return [
        Step(t, a, b, sigma=eta * math.sqrt((1 - b) / (1 - a) * (1 - a / b)))
        for t, (a, b) in zip(indices, pairwise(levels), strict=True)
    ]


Predict = Callable[[Tensor, Step], Tensor]
"""A state (B, C, H, W) and the step from it to the noise that the network finds in the state."""


def add_noise(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return x_t = sqrt(abar) x_0 + sqrt(1 - abar) noise, with abar (B,) and the others (B, C, H, W)."""
    a = alpha_bar[:, None, None, None]
    return a.sqrt() * x0 + (1 - a).sqrt() * noise


def estimate_x0(x_t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Undo `add_noise`: x_0 = (x_t - sqrt(1 - abar) noise) / sqrt(abar), not clamped."""
    a = alpha_bar[:, None, None, None]
    return (x_t - (1 - a).sqrt() * noise) / a.sqrt()


def ancestral(x: Tensor, predict: Predict, steps: Sequence[Step], noise: Noise, *, clamp: bool = True) -> Tensor:
    """Run a chain whose every state is drawn from its posterior (DDPM: Ho et al., equations 6 and 7).

    Any two levels may follow each other; for neighbours the coefficients are the published ones. `casarbi.sampling`
    explains the arguments.

    Args:
        x: noisiest state.
        predict: the network.
        steps: noisiest first.
        noise: drawn by every step but the one to the image.
        clamp: keep predicted images in [-1, 1]; in the first steps nearly all of them is cut.
    """
    for step in steps:
        a, b = step.alpha_bar, step.after
        # The clean image that the predicted noise implies.
        eps = predict(x, step)
        x0 = x / math.sqrt(a) - math.sqrt(1 / a - 1) * eps
        if clamp:
            x0 = x0.clamp(-1, 1)
        # Draw the next state from its posterior, given this state and the predicted image (equation 7).
        alpha = a / b
        x = (math.sqrt(b) * (1 - alpha) * x0 + math.sqrt(alpha) * (1 - b) * x) / (1 - a)
        if b < 1:
            x = x + math.sqrt((1 - alpha) * (1 - b) / (1 - a)) * noise()
    return x


def ddim(x: Tensor, predict: Predict, steps: Sequence[Step], noise: Noise, *, clamp: bool = False) -> Tensor:
    """Run a chain along the predicted noise (DDIM: Song et al., ICLR 2021, equation 12, whose sigma is the step's).

    Args:
        x: noisiest state.
        predict: the network.
        steps: noisiest first.
        noise: drawn by every step with a sigma.
        clamp: keep predicted images in [-1, 1]; the noise is then taken from what was clamped.
    """
    for step in steps:
        a, b = step.alpha_bar, step.after
        eps = predict(x, step)
        x0 = (x - math.sqrt(1 - a) * eps) / math.sqrt(a)
        # If x_0 is clamped, the noise has to be that which leads from it to x_t.
        if clamp:
            x0 = x0.clamp(-1, 1)
            eps = (x - math.sqrt(a) * x0) / math.sqrt(1 - a)
        # The next level: x_0, the predicted noise, and fresh noise in place of the part that sigma takes away.
        x = math.sqrt(b) * x0 + math.sqrt(1 - b - step.sigma**2) * eps
        if step.sigma and step.draws:
            x = x + step.sigma * noise()
    return x
