"""The stages of a cascade: the sizes of an image on its way to a target size.

Everything here is arithmetic: no image, no network. `casarbi.method.strategies` cuts the scale into factors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from casarbi.method.strategies import round_half_up, stage_factors
from casarbi.scales import Size


@dataclass(frozen=True)
class Stage:
    """One stage of a cascade.

    Attributes:
        scale: the nominal factor s_i.
        size: (height, width) of the stage's output u_i.
    """

    scale: float
    size: Size

    def achieved(self, before: Size) -> float:
        """The ratio of sides from the stage's input to its output, whose sizes are rounded."""
        return (self.size[0] * self.size[1] / (before[0] * before[1])) ** 0.5


def stage_sizes(base: Size, scale: float, strategy: str = "rl", s_fix: float = 2.0) -> list[Size]:
    """Sizes after each stage towards `base` times `scale`: the cumulative factor times the base, rounded once.

    Rounding stage by stage would drift: remainder-first to 5.3x would end at 84 instead of 85 (docs/method.md §5).

    Example:
        >>> stage_sizes((16, 16), 10.7)
        [(32, 32), (64, 64), (128, 128), (171, 171)]
    """
    size = (round_half_up(base[0] * scale), round_half_up(base[1] * scale))
    return [stage.size for stage in _plan(base, size, scale, strategy, s_fix)]


def plan_stages(base: Size, size: Size, strategy: str = "rl", s_fix: float = 2.0) -> tuple[Stage, ...]:
    """Plan the stages from a base to one exact target size.

    A target need not be a multiple of the base, nor have its shape. Decisions of ours, as the paper has squares only:

    - The scale is that of the axis enlarged most, so that no axis grows by more than a stage's factor.
    - If one scale explains both sides (they differ by rounding alone, the usual case), the sizes on the way are the
      cumulative factor times the base. If the shape changes, each axis covers the same fraction of its own way,
      counted in logarithms.
    - A stage that would change no pixel count, or reach the target before the last stage does, is left out and its
      factor goes to the next one: no stage has a factor of 1.
    - A target not larger than the base on any axis has no stages.

    Args:
        base: (h, w) of the LR image.
        size: (H, W) to reach; the last stage has exactly this size.
        strategy: one of `casarbi.method.strategies.STRATEGIES`.
        s_fix: the fixed factor.

    Example:
        >>> [stage.size for stage in plan_stages((16, 16), (85, 85))]
        [(32, 32), (64, 64), (85, 85)]
    """
    return _plan(base, size, max(size[0] / base[0], size[1] / base[1]), strategy, s_fix)


def _plan(base: Size, size: Size, scale: float, strategy: str, s_fix: float) -> tuple[Stage, ...]:
    factors = stage_factors(scale, strategy, s_fix)
    keeps_shape = _one_scale(base, size)
    stages: list[Stage] = []
    # `cumulative` is the factor from the base; `pending` that since the last stage that was kept.
    before, cumulative, pending = base, 1.0, 1.0
    for i, factor in enumerate(factors):
        cumulative *= factor
        pending *= factor
        # Rounded from the base each time: stage by stage, roundings would add up (84 px instead of 85 for rf at 5.3x).
        if i < len(factors) - 1:
            done = math.log(cumulative) / math.log(scale)
            reached = (
                _side(base[0], size[0], cumulative, done, keeps_shape),
                _side(base[1], size[1], cumulative, done, keeps_shape),
            )
            if reached in (before, size):
                continue  # its factor stays in `pending`, for the next stage
        else:
            reached = size
        if reached != before:
            stages.append(Stage(pending, reached))
            before, pending = reached, 1.0
    return tuple(stages)


def _one_scale(base: Size, size: Size) -> bool:
    """Whether some scale, rounded half up, takes both sides of the base to the size."""
    # round(n s) = side for s in [(side - 0.5) / n, (side + 0.5) / n): the two intervals must meet.
    least = max((side - 0.5) / n for side, n in zip(size, base, strict=True))
    above = min((side + 0.5) / n for side, n in zip(size, base, strict=True))
    return least < above


def _side(n: int, target: int, cumulative: float, done: float, keeps_shape: bool) -> int:
    """Side after the cumulative factor, never past the target.

    `done` is the fraction of the way in logarithms, for an image whose shape changes (docs/method.md §5).
    """
    reached = round_half_up(n * (cumulative if keeps_shape else (target / n) ** done))
    return min(reached, target) if target >= n else max(reached, target)
