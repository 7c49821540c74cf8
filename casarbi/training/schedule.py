"""The learning rate as a pure function of the step: nothing to store, nothing that a resume could apply twice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LearningRate:
    """A constant rate with drops and a linear warm-up.

    Attributes:
        base: rate after the warm-up.
        iterations: length of the run in steps.
        drops: parts of the run after which the rate is multiplied by `factor`, such as (0.5,).
        factor: of each drop.
        warmup: steps over which the rate rises from near 0.
    """

    base: float
    iterations: int
    drops: tuple[float, ...] = ()
    factor: float = 1.0
    warmup: int = 0

    def at(self, step: int) -> float:
        """Rate of a step, counted from 0.

        Example:
            >>> rate = LearningRate(1e-4, 10, drops=(0.5,), factor=0.1)
            >>> rate.at(4), rate.at(5)
            (0.0001, 1e-05)
        """
        # From the step alone: a resumed run cannot drop twice, nor forget a drop.
        rate = self.base
        for drop in self.drops:
            if step >= round(drop * self.iterations):
                rate *= self.factor
        return rate * min(1.0, (step + 1) / self.warmup) if self.warmup else rate
