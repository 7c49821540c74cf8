"""Kim's noise schedule, and the chain that its DDIM walks through it (docs/kim.md §5).

Steps are counted from 0, the least noisy, to T - 1. The sampler is that of `baselines.ddpm`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from baselines.ddpm import Step, chain
from baselines.kim.config import DiffusionConfig, KimSampling
from casarbi.errors import CasarbiError


def alpha_bars(config: DiffusionConfig) -> Tensor:
    """alpha-bar_t, (T,) float32: products of 1 - beta, made in float64 and stored as published."""
    return torch.from_numpy(np.cumprod(1 - config.betas())).float()


def plan_steps(config: DiffusionConfig, sampling: KimSampling) -> tuple[Step, ...]:
    """The chain, noisiest step first.

    For S steps the chain visits t = 1, 1 + c, 1 + 2c, … with c = T // S, as published: S = 200 gives 200 of them and
    S = 7 gives 8. Then `drop_noisiest` drops the noisiest. Official code fails if a t reaches T (S = 3, 300, 1000);
    here that is an error only if this t is kept. If `start` is given, it takes the place of T.

    Raises:
        CasarbiError: if S gives no chain.
    """
    if not 0 <= sampling.start <= config.timesteps:
        raise CasarbiError(f"start={sampling.start} is no step of {config.timesteps}; 0 starts from noise.")
    total = sampling.start or config.timesteps
    times = _times(sampling.steps, total, sampling.drop_noisiest)
    # Name the nearest number of steps that works.
    if not times:
        able = [steps for steps in range(1, total + 1) if _times(steps, total, sampling.drop_noisiest)]
        nearest = min(able, key=lambda steps: abs(steps - sampling.steps), default=0)
        raise CasarbiError(
            f"steps={sampling.steps} gives no chain within {total} step{'s' * (total != 1)}"
            f"{', the noisiest of which is dropped' if sampling.drop_noisiest else ''}: "
            + (f"steps={nearest} does, and is nearest." if able else "start higher.")
        )
    alpha_bar = alpha_bars(config).double().tolist()
    # The published chain ends a step before the image.
    last = alpha_bar[0] if sampling.last_alpha == "first" else 1.0
    # Published DDIM draws noise after its last step, too (docs/kim.md §5.3).
    steps = chain(alpha_bar, times[::-1], last, sampling.eta)
    return (*steps[:-1], replace(steps[-1], draws=sampling.last_noise))


def _times(steps: int, total: int, drop_noisiest: bool) -> range:
    """Rising t of a chain; none if there is no such chain."""
    times = range(1, total + 1, total // steps) if 1 <= steps <= total else range(0)
    if drop_noisiest:
        times = times[:-1]
    return times if times and times[-1] < total else range(0)
