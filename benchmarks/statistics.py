"""Means with bootstrap intervals, and paired comparisons: the only statistics a table prints."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

DRAWS_AT_ONCE = 2**21
"""Resampled values held at a time: 16 MiB of indices, whatever the number of images."""

DRAWS_KEPT = 2**24
"""Indices that are kept from one mean to the next at most: 128 MiB."""


@dataclass(frozen=True)
class Interval:
    """A mean and its percentile bootstrap interval.

    Attributes:
        mean: mean of the finite values; NaN if there is none, or the infinity if every value is that infinity (the PSNR
            of images that all equal their reference).
        low, high: ends of the interval; NaN for fewer than two finite values.
        n: finite values behind the mean.
        n_infinite: infinite values, left out of the mean.
        n_missing: NaN values, left out of the mean.
    """

    mean: float
    low: float
    high: float
    n: int
    n_infinite: int = 0
    n_missing: int = 0

    def excludes(self, value: float) -> bool:
        """Tell whether the interval lies wholly on one side of a value; False if there is no interval."""
        return self.low > value or self.high < value


def mean_interval(
    values: Sequence[float] | np.ndarray, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Mean with its percentile bootstrap interval (Efron 1979), resampling images.

    Equal values and seed give equal bits, in whatever order the values come.

    Args:
        values: one value per image; NaN means missing, infinities are counted apart.
        level: coverage of the interval, between 0 and 1.
        resamples: bootstrap samples.
        seed: seed of the resampling.

    Example:
        >>> mean_interval([24.0, 25.0, 26.0, float("nan")]).mean
        25.0

    Raises:
        ValueError: if level or resamples is out of range, or values are not one-dimensional.
    """
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level {level} must lie between 0 and 1, and resamples {resamples} be at least 1.")
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"Values have shape {array.shape}, expected one value per image.")
    infinite, missing = np.isinf(array), np.isnan(array)
    finite = np.sort(array[~infinite & ~missing])
    counts = (finite.size, int(infinite.sum()), int(missing.sum()))
    # Without finite values there is still an answer if all are the same infinity.
    if not finite.size:
        limit = _common_limit(array[infinite])
        return Interval(limit, math.nan, math.nan, *counts)
    # fsum rounds once, so that the mean of equal values is that value.
    mean = math.fsum(finite) / finite.size
    if finite.size == 1:
        return Interval(mean, math.nan, math.nan, *counts)
    # Sorted values and a seed of its own: the same bits in whatever order images were measured.
    tail = (1 - level) / 2
    low, high = np.quantile(_resampled_means(finite, resamples, seed), [tail, 1 - tail])
    return Interval(mean, float(low), float(high), *counts)


def paired_difference(
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean of a - b over the same images, with its bootstrap interval.

    `a` and `b` hold one value per image, in the same order; the rest is as in `mean_interval`. A pair with a NaN on
    either side counts as missing, any other pair with an infinity as infinite.

    Example:
        >>> difference = paired_difference([25.1, 24.3, 26.2], [24.0, 23.1, 25.0])
        >>> difference.excludes(0)
        True

    Raises:
        ValueError: if the two differ in length.
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.shape != right.shape:
        raise ValueError(f"Cannot pair {left.size} values with {right.size}: give both for the same images.")
    # By pair: one side without a finite value takes the other with it.
    infinite = np.isinf(left) | np.isinf(right)
    missing = np.isnan(left) | np.isnan(right)
    finite = left[~infinite & ~missing] - right[~infinite & ~missing]
    interval = mean_interval(finite, level=level, resamples=resamples, seed=seed)
    counts = (int((infinite & ~missing).sum()), int(missing.sum()))
    return Interval(interval.mean, interval.low, interval.high, interval.n, *counts)


def _common_limit(infinities: np.ndarray) -> float:
    signs = set(np.sign(infinities))
    return math.inf * signs.pop() if len(signs) == 1 else math.nan


def _resampled_means(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    # Deviations from the first value: the mean of equal values is then exact.
    deviations = values - values[0]
    # A table has a hundred means over the same number of images, whose draws are the same.
    draws = _kept_draws if values.size * resamples <= DRAWS_KEPT else _draws
    parts = [deviations[places].mean(axis=1) for places in draws(values.size, resamples, seed)]
    return values[0] + np.concatenate(parts)


def _draws(size: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Places of the resampled values, (rows, images) at a time, so that memory does not grow with the images."""
    rng = np.random.default_rng(seed)
    rows = max(1, DRAWS_AT_ONCE // size)
    return (rng.integers(0, size, (min(rows, resamples - start), size)) for start in range(0, resamples, rows))


@functools.lru_cache(maxsize=1)
def _kept_draws(size: int, resamples: int, seed: int) -> list[np.ndarray]:
    return list(_draws(size, resamples, seed))


class Median(NamedTuple):
    """A median of n values, and the ends of its interval; these are NaN if n is too small for one."""

    value: float
    low: float
    high: float
    n: int


def median_interval(values: Sequence[float] | np.ndarray, *, level: float = 0.95) -> Median:
    """Median with the interval between two order statistics, which holds for any distribution.

    Fewer than six values have no interval of 95 %: even their smallest and largest may both lie on one side.

    Example:
        >>> median_interval([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
        Median(value=3.5, low=1.0, high=6.0, n=6)
    """
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = ordered.size
    # Between the k-th smallest and the k-th largest: both miss the median with the tails of Bin(n, 1/2) below k.
    k = int(binom.ppf((1 - level) / 2, n, 0.5))
    low, high = (float(ordered[k - 1]), float(ordered[n - k])) if k else (math.nan, math.nan)
    return Median(float(np.median(ordered)), low, high, n)
