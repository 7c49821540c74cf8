"""IDM's noise schedule, the chains through it, and the noise levels of its training (docs/idm.md §5, §6).

Steps are counted from 0 to T - 1, as the published code does. The samplers are those of `baselines.ddpm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from baselines.ddpm import LONGEST_SCHEDULE, Step, chain, ddpm_tables
from casarbi.errors import CasarbiError
from casarbi.sampling import spaced_steps

PUBLISHED_DDIM_INDICES = 200


@dataclass(frozen=True)
class ScheduleConfig:
    """Linear betas in float64; the defaults are all released configurations' (docs/idm.md §5).

    Attributes:
        T: number of steps.
        start: beta of the first one.
        end: beta of the last one.
    """

    T: int = 2000
    start: float = 1e-6
    end: float = 1e-2

    def __post_init__(self) -> None:
        """Refuse what is no schedule."""
        given = f"not T={self.T}, start={self.start}, end={self.end}"
        if not 1 <= self.T <= LONGEST_SCHEDULE or not 0 < self.start <= self.end < 1:
            raise CasarbiError(
                f"A noise schedule has T of at least 1 and at most {LONGEST_SCHEDULE:,}, and 0 < start <= end < 1, "
                f"{given}."
            )
        if not 0 < self.alpha_bar[-1] <= self.alpha_bar[0] < 1:
            raise CasarbiError(f"A noise schedule has noise at its first step and a picture left at its end, {given}.")

    @cached_property
    def alpha_bar(self) -> tuple[float, ...]:
        """abar_0 … abar_{T-1}."""
        return tuple(np.cumprod(1 - self._betas).tolist())

    @property
    def _betas(self) -> np.ndarray:
        return np.linspace(self.start, self.end, self.T, dtype=np.float64)

    def buffers(self) -> dict[str, Tensor]:
        """Return the tensors (T,) that official files hold beside the weights, in their order (docs/idm.md §2)."""
        # IDM stores one table more than Kim: the deviation of the posterior (docs/idm.md §2).
        tables = ddpm_tables(self._betas)
        return tables | {"ddim_c1": tables["posterior_variance"].sqrt()}


def whole_chain(alpha_bar: Sequence[float]) -> list[Step]:
    """Every step, as the published ancestral sampler takes them."""
    return chain(alpha_bar, range(len(alpha_bar) - 1, -1, -1))


def spaced_chain(alpha_bar: Sequence[float], steps: int) -> list[Step]:
    """Evenly spaced steps of the trained schedule, from its last on, to the image.

    The published code cannot do this. For fewer steps it builds another schedule, of that many betas between the same
    ends. If they are few, its last state is far from pure noise.

    Raises:
        CasarbiError: if there are more steps than the schedule has.
    """
    return chain(alpha_bar, [t - 1 for t in spaced_steps(len(alpha_bar), steps)])


def published_ddim_chain(alpha_bar: Sequence[float]) -> list[Step]:
    """Steps of the published `-use_ddim`: indices 0, 10, …, 1990 of 2000, from the last on.

    The published loop stops at index 0 instead of taking the step from there: 199 steps for 200 indices, and the result
    is the state at abar_0 = 1 - 1e-6. It starts at 1990 as if that were pure noise.

    Raises:
        CasarbiError: if the schedule has fewer than 200 steps, for which the published code has no stride.
    """
    stride = len(alpha_bar) // PUBLISHED_DDIM_INDICES
    if stride < 1:
        raise CasarbiError(
            f"The published DDIM sampler needs a schedule of at least {PUBLISHED_DDIM_INDICES} steps, this one has "
            f"{len(alpha_bar)}: give a number with steps=N."
        )
    # [:0:-1] is backwards without index 0, the step that the published loop leaves out.
    indices = range(0, len(alpha_bar), stride)
    return chain(alpha_bar, indices[:0:-1], last=alpha_bar[0])


def noise_to_level(x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Return level x_0 + sqrt(1 - level²) noise, for levels (B,), which are sqrt(abar), and images (B, 3, H, W)."""
    level = level.view(-1, 1, 1, 1)
    return level * x0 + (1 - level.square()).sqrt() * noise


def draw_levels(
    alpha_bar: Sequence[float], count: int, generator: torch.Generator, *, shared_step: bool = True
) -> Tensor:
    """Draw noise levels for training: a step, then a level between it and the step before.

    Args:
        alpha_bar: of the schedule.
        count: images.
        generator: of everything drawn.
        shared_step: one step for the batch, as published with batches of 32 on four GPUs; else one per image, which is
            the same distribution with less noise in the gradient.

    Returns:
        (count,) float32 on the generator's device, uniform between sqrt(abar) of two neighbouring steps, the image
        itself being the first.
    """
    device = generator.device
    # T + 1 levels, the image itself (1.0) first: step t lies between levels t and t + 1.
    levels = torch.tensor([1.0, *alpha_bar], device=device).sqrt()
    step = torch.randint(len(alpha_bar), (1 if shared_step else count,), generator=generator, device=device)
    # With one step for the batch, (1,) broadcasts: the step is shared, the level within it is not.
    low, high = levels[step + 1], levels[step]
    return low + (high - low) * torch.rand(count, generator=generator, device=device)
