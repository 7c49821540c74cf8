"""How a scale is cut into the factors of stages (Eq. 5, 6), and which stages training sees (Eq. 7).

    s = s_1 · s_2 · … · s_N                                                                    (Eq. 5)
    s_1 = … = s_{N-1} = s_fix,  s_N = s / s_fix^(N-1)                                          (Eq. 6)
    s_i = s_fix with probability p, else uniform on (1, s_fix)                                 (Eq. 7)

A strategy is one entry of `STRATEGIES`: a function that cuts, and one that draws. Only the law of s_i under
remainder-last is the paper's. Which stage is trained (uniform over those within max_scale: inputs 16, 32 and 64 for
faces), and the laws of the other strategies, are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch

from casarbi.errors import CasarbiError
from casarbi.scales import Size
from casarbi.settings import Choices, Option, check_choices

Factors = tuple[float, ...]

LEAST_FACTOR = 1.01
"""A smaller s_fix would give stages that add no pixel, and nearly endless cascades."""
EXACT = 1e-9
"""If log_{s_fix} s is this close to a whole number, it is that number: log 243 / log 3 is above 5 in floating point."""


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
        small = (round_half_up(base[0] * self.before), round_half_up(base[1] * self.before))
        after = self.before * self.scale
        height, width = (round_half_up(n * after) for n in base)
        # A factor near 1 may round to no pixel at all.
        return small, (max(height, small[0] + 1), max(width, small[1] + 1))


def _remainder_last(scale: float, s_fix: float, n: int) -> Factors:
    """Eq. 6."""
    return (*[s_fix] * (n - 1), scale / s_fix ** (n - 1))


def _draw_remainder_last(config: CascadeConfig, generator: torch.Generator) -> TrainingStage:
    """Eq. 7; the input is any s_fix^k."""
    return _any_stage(config, config.draw_fixed(generator), generator)


def _remainder_first(scale: float, s_fix: float, n: int) -> Factors:
    return (scale / s_fix ** (n - 1), *[s_fix] * (n - 1))


def _draw_remainder_first(config: CascadeConfig, generator: torch.Generator) -> TrainingStage:
    """Draw a stage of remainder-first.

    With probability 1 - p it is the first stage, whose factor is a remainder. Else it is a later one of factor s_fix,
    whose input is a remainder times s_fix^k.
    """
    fixed, later = config.draw_fixed(generator), config.stages - 1
    if not fixed:
        return TrainingStage(1.0, _uniform(config.largest(1.0), generator))
    # A cascade of a single stage has no later one.
    if not later:
        return _any_stage(config, fixed, generator)
    # The remainder is bounded so that the stage, which ends at remainder · s_fix^(k+1), stays within max_scale.
    part, k = torch.rand((), generator=generator).item(), _index(later, generator)
    return TrainingStage(_up_to(config.largest(config.s_fix ** (k + 1)), part) * config.s_fix**k, config.s_fix)


def _uniform_stages(scale: float, s_fix: float, n: int) -> Factors:
    return (scale ** (1 / n),) * n


def _draw_uniform_stages(config: CascadeConfig, generator: torch.Generator) -> TrainingStage:
    """Draw a stage of uniform scaling.

    With probability 1 - p it is one of the N equal stages of a scale uniform on (1, max_scale]. Else it has the factor
    s_fix, as with remainder-last.
    """
    if config.draw_fixed(generator):
        return _any_stage(config, True, generator)
    # N comes from the drawn scale, as it does in inference.
    scale = _uniform(config.max_scale, generator)
    n = stage_count(scale, config.s_fix)
    factor = _uniform_stages(scale, config.s_fix, n)[0]
    return TrainingStage(factor ** _index(n, generator), factor)


def _single(scale: float, s_fix: float, n: int) -> Factors:
    return (scale,)


def _draw_single(config: CascadeConfig, generator: torch.Generator) -> TrainingStage:
    """A scale uniform on (1, max_scale] from the original LR; p is not used."""
    return TrainingStage(1.0, _uniform(config.max_scale, generator))


@dataclass(frozen=True)
class Strategy:
    """A way to cut a scale into stages.

    Attributes:
        about: one line for readers.
        factors: (scale, s_fix, N) to s_1 … s_N, whose product is the scale; no factor is above s_fix.
        draw: draws a stage to train on, from a generator on the CPU and nothing else.
    """

    about: str
    factors: Callable[[float, float, int], Factors]
    draw: Callable[[CascadeConfig, torch.Generator], TrainingStage]


STRATEGIES = {
    "rl": Strategy("remainder last (Eq. 6, the paper's choice)", _remainder_last, _draw_remainder_last),
    "rf": Strategy("remainder first (Table IX)", _remainder_first, _draw_remainder_first),
    "us": Strategy("uniform: s^(1/N) at every stage (Table IX)", _uniform_stages, _draw_uniform_stages),
    "single": Strategy("one stage for the whole scale (Table VII)", _single, _draw_single),
}


@dataclass(frozen=True)
class CascadeConfig:
    """How the cascade runs, and the distribution of stages it is trained on.

    Attributes:
        p: probability of s_fix in Eq. 7; the paper gives 0.5 (faces) and 0.8 (scenes) for remainder-last, and says
            only that the other strategies use other values.
        max_scale: largest scale of training (8 for faces, 4 for scenes in the paper).
        scale_input: whether the network is told the `nominal` factor s_i or the `achieved` ratio of the rounded sizes.
            The paper does not say; nominal is our default. A model is asked for sizes, so its s is that of the size
            (85/16 = 5.3125, not 5.3): the two differ in training, and before the last stage of rf and us.
    """

    strategy: Annotated[
        str,
        Choices(*STRATEGIES),
        Option("how the scale is cut: " + "; ".join(s.about for s in STRATEGIES.values()), name="schedule"),
    ] = "rl"
    s_fix: Annotated[float, Option("the fixed factor of the stages; 2 in the paper")] = 2.0
    p: float = 0.5
    max_scale: float = 8.0
    scale_input: Annotated[str, Choices("nominal", "achieved")] = "nominal"

    def __post_init__(self) -> None:
        """Refuse what no cascade can be made of."""
        check_choices(self)
        check_factor(self.s_fix)
        if not 0 <= self.p <= 1 or not self.max_scale > 1:
            raise CasarbiError(f"p={self.p} must be in 0..1 and max_scale={self.max_scale} above 1.")

    @property
    def stages(self) -> int:
        """N of the largest scale."""
        return stage_count(self.max_scale, self.s_fix)

    def draw(self, generator: torch.Generator) -> TrainingStage:
        """Draw a stage from the mixed-scale distribution of the strategy (Eq. 7).

        No stage ends beyond max_scale, for which there would be no HR image: if max_scale is no power of s_fix, the
        factors towards it are uniform up to what is left.
        """
        return STRATEGIES[self.strategy].draw(self, generator)

    def draw_fixed(self, generator: torch.Generator) -> bool:
        """Draw whether the factor is s_fix."""
        return torch.rand((), generator=generator).item() < self.p

    def largest(self, before: float) -> float:
        """Largest factor of a stage whose input is `before` times the original LR image."""
        return min(self.s_fix, self.max_scale / before)


def check_factor(s_fix: float) -> None:
    """Refuse an s_fix with which a cascade would never end."""
    if not LEAST_FACTOR <= s_fix < math.inf:
        raise CasarbiError(f"s_fix={s_fix} must be a finite number above 1, of at least {LEAST_FACTOR}.")


def stage_count(scale: float, s_fix: float = 2.0) -> int:
    """N, the least number of stages of at most s_fix that reach a scale: ceil(log_{s_fix} s).

    Example:
        >>> [stage_count(s) for s in (1.5, 2, 5.3, 8, 12)], stage_count(243, 3)
        ([1, 1, 3, 3, 4], 5)
    """
    return max(1, math.ceil(math.log(scale) / math.log(s_fix) - EXACT))


def stage_factors(scale: float, strategy: str = "rl", s_fix: float = 2.0) -> Factors:
    """Cut a scale into the factors s_1 … s_N of its stages (Eq. 5, 6); none if the scale is 1 or less.

    Example:
        >>> stage_factors(5.3), stage_factors(5.3, "rf")
        ((2.0, 2.0, 1.325), (1.325, 2.0, 2.0))
    """
    check_factor(s_fix)
    if scale <= 1:
        return ()
    return STRATEGIES[strategy].factors(float(scale), float(s_fix), stage_count(scale, s_fix))


def round_half_up(value: float) -> int:
    """Round to the nearest whole number, halves upwards, as sizes are rounded everywhere."""
    return math.floor(value + 0.5)


def _any_stage(config: CascadeConfig, fixed: bool, generator: torch.Generator) -> TrainingStage:
    """A stage from any s_fix^k: by s_fix if that is drawn and stays within max_scale, else by a uniform factor."""
    # Inputs of all stages are equally likely: 16, 32 and 64 px for faces.
    before = config.s_fix ** _index(config.stages, generator)
    largest = config.largest(before)
    # Near max_scale there may be no room for s_fix: then the factor is uniform up to what is left.
    if fixed and largest > config.s_fix - EXACT:
        return TrainingStage(before, config.s_fix)
    return TrainingStage(before, _uniform(largest, generator))


def _uniform(high: float, generator: torch.Generator) -> float:
    return _up_to(high, torch.rand((), generator=generator).item())


def _up_to(high: float, part: float) -> float:
    """Map a part in [0, 1) to (1, high], so that a factor of exactly 1 cannot occur."""
    return high - (high - 1) * part


def _index(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
