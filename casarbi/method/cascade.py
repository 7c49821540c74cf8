"""The cascade: how a scale is cut into stages (Eq. 5, 6), and which stages training sees (Eq. 7).

    s = s_1 · s_2 · … · s_N                                                                    (Eq. 5)
    s_1 = … = s_{N-1} = s_fix,  s_N = s / s_fix^(N-1)                                          (Eq. 6)
    s_i = s_fix with probability p, else uniform on (1, s_fix)                                 (Eq. 7)

Everything here is arithmetic on numbers: no image, no network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote
from casarbi.scales import Size

STRATEGIES = {
    "rl": "remainder last: s_fix at every stage but the last (Eq. 6, the paper's choice)",
    "rf": "remainder first: the remainder, then s_fix at every stage (Table IX)",
    "us": "uniform: s^(1/N) at every stage (Table IX)",
    "single": "one stage for the whole scale (Table VII)",
}

LEAST_FACTOR = 1.01
"""Smaller ones would give stages that add no pixel, and nearly endless cascades."""
_EXACT = 1e-9
"""log_{s_fix} s this close to a whole number is that number: log 243 / log 3 is above 5 in some floating point."""


@dataclass(frozen=True)
class CascadeConfig:
    """How the cascade runs, and the distribution of stages it is trained on.

    Attributes:
        strategy: one of `STRATEGIES`.
        s_fix: the fixed factor; 2 in the paper.
        p: probability of s_fix in Eq. 7; the paper gives 0.5 (faces) and 0.8 (scenes) for remainder-last, and says
            only that the other strategies use other values.
        max_scale: largest scale of training (8 for faces, 4 for scenes in the paper).
        scale_input: whether the network is told the `nominal` factor s_i or the `achieved` ratio of the rounded sizes.
            The paper does not say; nominal is our default. A model is asked for sizes, so its s is that of the size
            (85/16 = 5.3125, not 5.3): the two differ in training, and before the last stage of rf and us.
    """

    strategy: str = "rl"
    s_fix: float = 2.0
    p: float = 0.5
    max_scale: float = 8.0
    scale_input: str = "nominal"

    def __post_init__(self) -> None:
        """Refuse what no cascade can be made of."""
        check_strategy(self.strategy, self.s_fix)
        if self.scale_input not in ("nominal", "achieved"):
            raise CasarbiError(f"scale_input is {quote(self.scale_input)}, wanted nominal or achieved.")
        if not 0 <= self.p <= 1 or not self.max_scale > 1:
            raise CasarbiError(f"p={self.p} must be in 0..1 and max_scale={self.max_scale} above 1.")


@dataclass(frozen=True)
class Stage:
    """One stage of a cascade.

    Attributes:
        scale: the nominal factor s_i.
        size: (height, width) of the stage's output u_i.
    """

    scale: float
    size: Size


def check_strategy(strategy: str, s_fix: float) -> None:
    """Refuse an unknown strategy, or an s_fix with which a cascade would never end."""
    if strategy not in STRATEGIES:
        raise CasarbiError(f"There is no cascade strategy {quote(strategy)}: {near_names(strategy, STRATEGIES)}")
    if not LEAST_FACTOR <= s_fix < math.inf:
        raise CasarbiError(f"s_fix={s_fix} must be a finite number above 1, of at least {LEAST_FACTOR}.")


def stage_count(scale: float, s_fix: float = 2.0) -> int:
    """N, the least number of stages of at most s_fix that reach a scale: ceil(log_{s_fix} s).

    Example:
        >>> [stage_count(s) for s in (1.5, 2, 5.3, 8, 12)], stage_count(243, 3)
        ([1, 1, 3, 3, 4], 5)
    """
    return max(1, math.ceil(math.log(scale) / math.log(s_fix) - _EXACT))


def stage_factors(scale: float, strategy: str = "rl", s_fix: float = 2.0) -> tuple[float, ...]:
    """Cut a scale into the factors s_1 … s_N of its stages (Eq. 5, 6); none where the scale is 1 or less.

    Example:
        >>> stage_factors(5.3), stage_factors(5.3, "rf")
        ((2.0, 2.0, 1.325), (1.325, 2.0, 2.0))
    """
    check_strategy(strategy, s_fix)
    if scale <= 1:
        return ()
    n = stage_count(scale, s_fix)
    if strategy == "single":
        return (float(scale),)
    if strategy == "us":
        return (scale ** (1 / n),) * n
    fixed, remainder = (float(s_fix),) * (n - 1), scale / s_fix ** (n - 1)
    return (*fixed, remainder) if strategy == "rl" else (remainder, *fixed)


def stage_sizes(base: Size, scale: float, strategy: str = "rl", s_fix: float = 2.0) -> list[Size]:
    """Sizes after each stage towards `base` times `scale`: the cumulative factor times the base, rounded once.

    Rounding stage by stage would drift: remainder-first to 5.3x would end at 84 instead of 85 (docs/method.md §5).

    Example:
        >>> stage_sizes((16, 16), 10.7)
        [(32, 32), (64, 64), (128, 128), (171, 171)]
    """
    size = (_round_half_up(base[0] * scale), _round_half_up(base[1] * scale))
    return [stage.size for stage in _plan(base, size, scale, strategy, s_fix)]


def plan_stages(base: Size, size: Size, strategy: str = "rl", s_fix: float = 2.0) -> tuple[Stage, ...]:
    """Plan the stages from a base to one exact target size.

    A target need not be a multiple of the base, nor have its shape. Decisions of ours, as the paper has squares only:

    - The scale is that of the axis enlarged most, so that no axis grows by more than a stage's factor.
    - Where one scale explains both sides (they differ by rounding alone, the usual case), the sizes on the way are the
      cumulative factor times the base. Where the shape changes, each axis covers the same fraction of its own way,
      counted in logarithms.
    - A stage that would change no pixel count, or reach the target before the last stage does, is left out and its
      factor goes to the next one: no stage has a factor of 1.
    - A target not larger than the base on any axis has no stages.

    Args:
        base: (h, w) of the LR image.
        size: (H, W) wanted; the last stage has exactly this size.
        strategy: one of `STRATEGIES`.
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
    before, cumulative, pending = base, 1.0, 1.0
    for i, factor in enumerate(factors):
        cumulative *= factor
        pending *= factor
        if i < len(factors) - 1:
            done = math.log(cumulative) / math.log(scale)
            reached = (
                _side(base[0], size[0], cumulative, done, keeps_shape),
                _side(base[1], size[1], cumulative, done, keeps_shape),
            )
            if reached in (before, size):
                continue
        else:
            reached = size
        if reached != before:
            stages.append(Stage(pending, reached))
            before, pending = reached, 1.0
    return tuple(stages)


def _one_scale(base: Size, size: Size) -> bool:
    """Whether some scale, rounded half up, takes both sides of the base to the size."""
    least = max((side - 0.5) / n for side, n in zip(size, base, strict=True))
    above = min((side + 0.5) / n for side, n in zip(size, base, strict=True))
    return least < above


def _side(n: int, target: int, cumulative: float, done: float, keeps_shape: bool) -> int:
    """Side after the cumulative factor, never past the target."""
    reached = _round_half_up(n * (cumulative if keeps_shape else (target / n) ** done))
    return min(reached, target) if target >= n else max(reached, target)


def _round_half_up(value: float) -> int:
    return math.floor(value + 0.5)


@dataclass(frozen=True)
class TrainingStage:
    """One draw of a stage to train on, for a batch.

    Attributes:
        before: cumulative factor from the original LR image to this stage's input u_{i-1}; 1 for the first stage.
        scale: the stage's factor s_i.
    """

    before: float
    scale: float

    def sizes(self, base: Size) -> tuple[Size, Size]:
        """Sizes of the stage's input and output for an original LR image of size `base`: at least one pixel larger."""
        small = (_round_half_up(base[0] * self.before), _round_half_up(base[1] * self.before))
        after = self.before * self.scale
        height, width = (_round_half_up(n * after) for n in base)
        return small, (max(height, small[0] + 1), max(width, small[1] + 1))


def draw_stage(config: CascadeConfig, generator: torch.Generator) -> TrainingStage:
    """Draw a stage from the mixed-scale distribution (Eq. 7) of the configured strategy.

    Only the law of s_i under remainder-last is the paper's; which stage is trained (uniform over those within
    max_scale: inputs 16, 32 and 64 for faces) and the laws for the other strategies are ours:

    - rl: s_i = s_fix with probability p, else uniform on (1, s_fix]; the input is any s_fix^k.
    - rf: with probability 1 - p the first stage, a remainder uniform on (1, s_fix]; else s_fix at a later stage, whose
      input is such a remainder times s_fix^k.
    - us: a scale uniform on (1, max_scale], and one of its N equal stages; p is the share of s_fix stages, as in rl.
    - single: a scale uniform on (1, max_scale] from the original LR; p is not used.

    No stage ends beyond max_scale, for which there would be no HR picture: where max_scale is no power of s_fix, the
    factors towards it are uniform up to what is left.

    Args:
        config: strategy, s_fix, p and max_scale.
        generator: on the CPU; nothing else is drawn from.
    """
    s_fix, last = config.s_fix, stage_count(config.max_scale, config.s_fix) - 1

    def most(before: float) -> float:
        return min(s_fix, config.max_scale / before)

    if config.strategy == "single":
        return TrainingStage(1.0, _uniform(config.max_scale, generator))
    fixed = torch.rand((), generator=generator).item() < config.p
    if config.strategy == "us" and not fixed:
        factors = stage_factors(_uniform(config.max_scale, generator), "us", s_fix)
        return TrainingStage(factors[0] ** _index(len(factors), generator), factors[0])
    if config.strategy == "rf" and not fixed:
        return TrainingStage(1.0, _uniform(most(1.0), generator))
    if config.strategy == "rf" and last:
        part, index = torch.rand((), generator=generator).item(), _index(last, generator)
        return TrainingStage(_up_to(most(s_fix ** (index + 1)), part) * s_fix**index, s_fix)
    before = s_fix ** _index(last + 1, generator)
    fixed = fixed and most(before) > s_fix - _EXACT
    return TrainingStage(before, s_fix if fixed else _uniform(most(before), generator))


def _uniform(high: float, generator: torch.Generator) -> float:
    return _up_to(high, torch.rand((), generator=generator).item())


def _up_to(high: float, part: float) -> float:
    """Uniform on (1, high] for a part in [0, 1): end points have no weight, but a factor of 1 must not occur."""
    return high - (high - 1) * part


def _index(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
