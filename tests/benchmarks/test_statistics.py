"""Means, bootstrap intervals and paired differences."""

import math

import numpy as np
import pytest

from benchmarks.statistics import mean_interval, paired_difference


def test_interval_of_a_normal_sample_is_near_the_closed_form():
    values = np.random.default_rng(1).normal(25, 2, 400)
    interval = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean(), abs=1e-12)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.02)


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    intervals = [mean_interval(rng.normal(0, 1, 50), resamples=400, seed=k) for k in range(300)]
    covered = sum(i.low <= 0 <= i.high for i in intervals) / len(intervals)
    assert 0.90 <= covered <= 0.98


def test_interval_is_the_same_in_any_order_and_changes_with_the_seed():
    values = np.random.default_rng(2).normal(size=33)
    assert mean_interval(values) == mean_interval(values[::-1]) == mean_interval(list(values))
    assert mean_interval(values, seed=1) != mean_interval(values)


def test_interval_narrows_with_a_lower_level():
    values = np.arange(20.0)
    wide, narrow = mean_interval(values, level=0.95), mean_interval(values, level=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_interval_does_not_depend_on_the_size_of_the_chunks(monkeypatch):
    values = np.random.default_rng(3).normal(size=37)
    whole = mean_interval(values)
    monkeypatch.setattr("benchmarks.statistics.DRAWS_AT_ONCE", 100)
    assert mean_interval(values) == whole


def test_infinite_and_missing_values_are_counted_and_left_out():
    interval = mean_interval([24.0, math.inf, math.nan, 26.0, math.inf])
    assert (interval.mean, interval.n, interval.n_infinite, interval.n_missing) == (25.0, 2, 2, 1)
    assert 24.0 <= interval.low <= interval.high <= 26.0


@pytest.mark.parametrize(
    ("values", "mean"),
    [([], math.nan), ([math.nan], math.nan), ([math.inf, math.inf], math.inf), ([math.inf, -math.inf], math.nan)],
)
def test_without_a_finite_value_there_is_no_interval(values, mean):
    interval = mean_interval(values)
    assert interval.mean == mean or (math.isnan(mean) and math.isnan(interval.mean))
    assert interval.n == 0 and math.isnan(interval.low) and math.isnan(interval.high)
    assert not interval.excludes(0)


def test_one_value_has_a_mean_and_no_interval():
    interval = mean_interval([3.5])
    assert interval.mean == 3.5 and interval.n == 1 and math.isnan(interval.low)


def test_equal_values_give_an_interval_without_width():
    interval = mean_interval([0.1] * 7)
    assert interval.mean == interval.low == interval.high == 0.1


@pytest.mark.parametrize("options", [{"level": 0}, {"level": 1}, {"resamples": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="level"):
        mean_interval([1.0, 2.0], **options)


def test_pairing_sees_a_small_gain_that_the_spread_of_images_hides():
    rng = np.random.default_rng(4)
    base = rng.normal(25, 4, 60)
    better = base + rng.normal(0.2, 0.1, 60)
    difference = paired_difference(better, base)
    assert difference.mean == pytest.approx(0.2, abs=0.05) and difference.excludes(0)
    assert mean_interval(better).low < mean_interval(base).mean


def test_pairs_with_a_gap_are_dropped_on_both_sides():
    difference = paired_difference([1.0, math.nan, math.inf, 4.0], [0.0, 1.0, math.inf, math.nan])
    assert (difference.mean, difference.n, difference.n_infinite, difference.n_missing) == (1.0, 1, 1, 2)


def test_unequal_lengths_cannot_be_paired():
    with pytest.raises(ValueError, match="3 values with 2"):
        paired_difference([1.0, 2.0, 3.0], [1.0, 2.0])


def test_kept_draws_are_the_draws(monkeypatch):
    values = np.random.default_rng(0).normal(size=50)
    kept = [mean_interval(values), mean_interval(values[::-1])]
    monkeypatch.setattr("benchmarks.statistics.DRAWS_KEPT", 0)
    assert kept == [mean_interval(values)] * 2
