"""What stored values say of a claim: effects with their error, one-sided p values, conjunctions, Holm's correction.

The definitions, with the reasons for them, are in docs/claims.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

LEVEL = 0.05
"""Chance of any wrong verdict in the whole ledger, if it is as wrong as it can be."""

POWER = 0.8
"""Chance of a verdict after as many images as an undecided claim asks for, if its differences stay as observed."""

FEWEST = 8
"""Images below which nothing is tested: resampling so few says little of the tails."""

RESAMPLES = 9999
"""Bootstrap samples of a mean: the smallest p value is one in 10,000."""

MANY = 500
"""Images from which on a mean needs no bootstrap: Student's t and the bootstrap then agree."""


@dataclass(frozen=True)
class Effect:
    """An estimated difference, and how far resampling says that it may be off.

    Attributes:
        estimate: the difference.
        error: its standard error.
        n: images behind it.
        freedom: degrees of freedom of Student's t, which stands for the distribution of the studentised error if there
            are no `errors`.
        errors: studentised errors of bootstrap samples, (estimate* - estimate) / error*, sorted.
    """

    estimate: float
    error: float
    n: int
    freedom: int = 0
    errors: np.ndarray = field(default_factory=lambda: np.empty(0))

    def above(self, bound: float) -> float:
        """P value of the hypothesis that the true difference is at most a bound; small if it lies above."""
        score = self._score(bound)
        if not self.errors.size:
            return float(student.sf(score, self.freedom))
        count = self.errors.size - np.searchsorted(self.errors, score, side="left")
        return (1 + int(count)) / (1 + self.errors.size)

    def below(self, bound: float) -> float:
        """P value of the hypothesis that the true difference is at least a bound; small if it lies below."""
        score = self._score(bound)
        if not self.errors.size:
            return float(student.cdf(score, self.freedom))
        return (1 + int(np.searchsorted(self.errors, score, side="right"))) / (1 + self.errors.size)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Ends of the interval that belongs to these p values."""
        tails = (1 + level) / 2, (1 - level) / 2
        if self.errors.size:
            # A value that occurs: between an infinite error and another there is none.
            high, low = np.quantile(self.errors, tails, method="nearest")
        else:
            high, low = student.ppf(tails, self.freedom)
        # Nothing times an infinite error is nothing: all values were equal.
        ends = [self.estimate - tail * self.error if self.error else self.estimate for tail in (high, low)]
        return float(ends[0]), float(ends[1])

    def _score(self, bound: float) -> float:
        distance = self.estimate - bound
        return distance / self.error if self.error else math.copysign(math.inf, distance) if distance else 0.0


def mean_effect(differences: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> Effect:
    """The mean of differences per image, with the studentised bootstrap (Efron 1982, Hall 1988): images are resampled.

    Unlike the percentile bootstrap and Student's t it follows the skewness of the differences into the tails, which
    decide after Holm's correction. Equal values and seed give equal bits, in whatever order the images come.

    Args:
        differences: (n,) finite, one per image, n at least 2.
        resamples: bootstrap samples.
        seed: seed of the resampling.
    """
    # Sorted, so that the order of images changes nothing; fsum, so that the mean of equal values is that value.
    values = np.sort(np.asarray(differences, dtype=np.float64))
    n = values.size
    mean = math.fsum(values) / n
    error = 0.0 if values[0] == values[-1] else float(values.std(ddof=1)) / math.sqrt(n)
    if n >= MANY:
        return Effect(mean, error, n, n - 1)
    drawn = (values - mean)[np.random.default_rng(seed).integers(0, n, (resamples, n))]
    means, errors = drawn.mean(axis=1), drawn.std(axis=1, ddof=1) / math.sqrt(n)
    # A sample of one image, drawn n times, has no error: it counts as infinitely far off, to the side where it lies.
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(errors > 1e-12 * np.abs(means), means / errors, np.sign(means) * np.inf)
    return Effect(mean, error, n, n - 1, np.sort(np.nan_to_num(scores, nan=0.0, posinf=np.inf, neginf=-np.inf)))


def set_effect(estimate: float, draws: np.ndarray, n: int) -> Effect:
    """A difference of distances between sets, whose error is the spread over resampled sets.

    Resampled sets repeat images, which shifts a distance but not the spread of a difference, so only the spread is
    taken, with Student's t.

    Args:
        estimate: the difference over the n images.
        draws: (R,) the same over resampled images, R at least 2.
        n: images.
    """
    draws = np.asarray(draws, dtype=np.float64)
    # A count has no error, not even that of rounding.
    error = float(draws.std(ddof=1)) if np.ptp(draws) else 0.0
    return Effect(estimate, error, n, min(n, draws.size) - 1)


@dataclass(frozen=True)
class Region:
    """Where a claim says that a difference lies: between two ends, of which one may be infinite."""

    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, ...]:
        """The finite ends."""
        return tuple(end for end in (self.low, self.high) if math.isfinite(end))

    def holds(self, value: float) -> bool:
        """Whether a value lies inside; the ends do not."""
        return self.low < value < self.high

    def supports(self, effect: Effect) -> float:
        """P value of the hypothesis that the true difference lies outside; with two ends, of two one-sided tests."""
        above = effect.above(self.low) if math.isfinite(self.low) else 0.0
        below = effect.below(self.high) if math.isfinite(self.high) else 0.0
        return max(above, below)

    def refutes(self, effect: Effect) -> float:
        """P value of the hypothesis that the true difference lies inside, by Bonferroni if there are two ends."""
        below = effect.below(self.low) if math.isfinite(self.low) else 1.0
        above = effect.above(self.high) if math.isfinite(self.high) else 1.0
        return min(1.0, len(self.bounds) * min(below, above))


def conjunction(parts: Sequence[tuple[Region, Effect | None]]) -> tuple[float, float]:
    """P values for and against a claim that holds only if all its parts do; None is a part that was not measured.

    For it, the largest of the parts' (the intersection-union test, which needs no correction); against it, the smallest
    of the parts' by Bonferroni, because one part that fails is enough.
    """
    for_it = max(region.supports(effect) if effect else 1.0 for region, effect in parts)
    against = min(region.refutes(effect) if effect else 1.0 for region, effect in parts)
    return for_it, min(1.0, len(parts) * against)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values after Holm's correction (1979): the chance of any false rejection stays below the level.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def images_to_decide(parts: Sequence[tuple[Region, Effect]], claims: int) -> float:
    """Images with which a claim would be decided with a chance of `POWER`, if every difference stays as observed.

    With s the spread of the differences (error times root n) and d the distance to the nearest end that decides, n =
    ((z(1 - a) + z(1 - b)) s / d)². The level a is the strictest that Holm's correction may ask for, LEVEL / (2 claims).
    If all parts lie inside their regions all of them must be shown, each with b = (1 - POWER) / parts; otherwise one
    outside, at a Bonferroni level of its own.

    Args:
        parts: where each part's difference is claimed to lie, and the effect.
        claims: claims of the ledger.

    Returns:
        The number, infinite if a difference lies on an end.
    """
    level = LEVEL / (2 * claims)
    outside = [(region, effect) for region, effect in parts if not region.holds(effect.estimate)]
    if not outside:
        miss = (1 - POWER) / len(parts)
        return max(_images(effect, region, level, miss) for region, effect in parts)
    return min(
        _images(effect, region, level / (len(parts) * len(region.bounds)), 1 - POWER) for region, effect in outside
    )


def _images(effect: Effect, region: Region, level: float, miss: float) -> float:
    distance = min(abs(effect.estimate - end) for end in region.bounds)
    spread = effect.error * math.sqrt(effect.n)
    if not distance:
        return math.inf
    return float((norm.isf(level) + norm.isf(miss)) * spread / distance) ** 2
