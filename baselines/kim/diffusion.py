"""Noise schedule and sampler of Kim's latent diffusion (docs/kim.md §5; DDIM: Song et al., ICLR 2021): pure functions.

alpha-bar_t is how much of the latent is left at step t, 0 the least noisy and T - 1 the most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from baselines.kim.config import DiffusionConfig, SamplingConfig
from casarbi.errors import CasarbiError

Predictor = Callable[[Tensor, int], Tensor]
"""x_t and t to the predicted noise."""


def alpha_bars(config: DiffusionConfig) -> Tensor:
    """alpha-bar_t, (T,) float32: products of 1 - beta, made in float64 and stored as published."""
    return torch.from_numpy(np.cumprod(1 - config.betas())).float()


def add_noise(z: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """z_t = sqrt(a) z + sqrt(1 - a) noise.

    Args:
        z: (B, C, h, w).
        noise: of the same shape.
        alpha_bar: (B,), a of each item.
    """
    a = alpha_bar[:, None, None, None]
    return a.sqrt() * z + (1 - a).sqrt() * noise


def estimate(z_t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """z_0 = (z_t - sqrt(1 - a) noise) / sqrt(a), not clipped; arguments as in `add_noise`."""
    a = alpha_bar[:, None, None, None]
    return (z_t - (1 - a).sqrt() * noise) / a.sqrt()


@dataclass(frozen=True)
class Step:
    """One step of the chain.

    Attributes:
        t: the step that the denoiser is told.
        alpha: alpha-bar there.
        alpha_next: alpha-bar where it leads to.
        sigma: deviation of the noise added.
    """

    t: int
    alpha: float
    alpha_next: float
    sigma: float


def plan_steps(config: DiffusionConfig, sampling: SamplingConfig) -> tuple[Step, ...]:
    """The chain, noisiest step first.

    With S steps asked for, t = 1, 1 + c, 1 + 2c, … with c = T // S, as published: S = 200 has 200 of them, S = 7 has 8,
    and the noisiest is dropped where `drop_noisiest` says so. Official code fails where a t reaches T (S = 3, 300,
    1000); here only where that t is kept. Where there is a `start`, it stands for T.

    Raises:
        CasarbiError: where S gives no chain.
    """
    if not 0 <= sampling.start <= config.timesteps:
        raise CasarbiError(f"start={sampling.start} is no step of {config.timesteps}; 0 starts from noise.")
    total = sampling.start or config.timesteps
    times = _times(sampling.steps, total, sampling.drop_noisiest)
    if not times:
        able = [steps for steps in range(1, total + 1) if _times(steps, total, sampling.drop_noisiest)]
        nearest = min(able, key=lambda steps: abs(steps - sampling.steps), default=0)
        raise CasarbiError(
            f"steps={sampling.steps} gives no chain within {total} step{'s' * (total != 1)}"
            f"{', the noisiest of which is dropped' if sampling.drop_noisiest else ''}: "
            + (f"steps={nearest} does, and is nearest." if able else "start higher.")
        )
    alpha_bar = alpha_bars(config).double().tolist()
    before = [alpha_bar[0] if sampling.last_alpha == "first" else 1.0, *(alpha_bar[t] for t in times[:-1])]
    steps = [_step(t, alpha_bar[t], a_next, sampling.eta) for t, a_next in zip(times, before, strict=True)]
    return tuple(reversed(steps))


def _times(steps: int, total: int, drop_noisiest: bool) -> range:
    """Rising t of a chain; none where there is no such chain."""
    times = range(1, total + 1, total // steps) if 1 <= steps <= total else range(0)
    if drop_noisiest:
        times = times[:-1]
    return times if times and times[-1] < total else range(0)


def _step(t: int, alpha: float, alpha_next: float, eta: float) -> Step:
    sigma = eta * math.sqrt((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next))
    return Step(t, alpha, alpha_next, sigma)


def sample(
    predict: Predictor,
    noise: Callable[[], Tensor],
    steps: tuple[Step, ...],
    *,
    last_noise: bool,
    start: Tensor | None = None,
) -> Tensor:
    """Run the chain.

    Args:
        predict: the denoiser.
        noise: draws x_T first, then the noise of each step.
        steps: from `plan_steps`.
        last_noise: whether the last step too adds noise, so that a little of it stays in the result.
        start: latent to start from, with the noise of the first step; by default pure noise, whatever the first step,
            as published.

    Returns:
        The scaled latent, of the shape that `noise` draws.
    """
    x = noise()
    if start is not None:
        x = add_noise(start, x, x.new_tensor([steps[0].alpha]))
    for step in steps:
        e = predict(x, step.t)
        x0 = (x - math.sqrt(1 - step.alpha) * e) / math.sqrt(step.alpha)
        x = math.sqrt(step.alpha_next) * x0 + math.sqrt(1 - step.alpha_next - step.sigma**2) * e
        if step is not steps[-1] or last_noise:
            x = x + step.sigma * noise()
    return x
