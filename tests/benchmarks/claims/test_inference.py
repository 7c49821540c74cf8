"""The statistics behind verdicts: how often they are wrong, and that they say what their definitions say."""

import math

import numpy as np
import pytest

from benchmarks.claims.inference import (
    LEVEL,
    Effect,
    Region,
    conjunction,
    holm,
    images_to_decide,
    mean_effect,
    set_effect,
)
from benchmarks.metrics.frechet import frechet_distance

ABOVE, BELOW, SMALL = Region(0, math.inf), Region(-math.inf, 0), Region(-1, 1)


def skewed(rng, n):
    """Differences with mean 0 and a long tail to one side."""
    return rng.exponential(size=n) - 1


def test_intervals_of_skewed_differences_cover_their_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    intervals = [mean_effect(skewed(rng, 40), resamples=999).interval() for _ in range(400)]
    assert 0.92 <= np.mean([low <= 0 <= high for low, high in intervals]) <= 0.98


def test_the_interval_is_the_set_of_bounds_that_the_p_values_do_not_reject():
    effect = mean_effect(skewed(np.random.default_rng(1), 30))
    low, high = effect.interval()
    assert effect.above(low) == pytest.approx(0.025, abs=0.001) and effect.below(high) == pytest.approx(
        0.025, abs=0.001
    )
    assert effect.above(low - 0.1) < 0.024 and effect.below(high + 0.1) < 0.024


def ledger_p_values(rng):
    """Two-sided p values of eight claims of which none holds: the data are what their worst part only just denies.

    Parts share their images, so they depend on each other; the last one of each claim has mean 0, the others hold.
    """
    images = skewed(rng, 24)
    p_values = []
    for parts in (1, 1, 1, 1, 2, 2, 3, 3):
        means = [0.5] * (parts - 1) + [0.0]
        found = [(ABOVE, mean_effect((images + skewed(rng, 24)) / 2 + m, resamples=1999)) for m in means]
        p_values.append(min(1.0, 2 * min(conjunction(found))))
    return p_values


def test_a_whole_ledger_of_claims_that_nothing_decides_has_a_verdict_about_as_rarely_as_it_says():
    rng = np.random.default_rng(2)
    ledgers = [ledger_p_values(rng) for _ in range(150)]
    wrong = np.mean([min(holm(p_values)) <= LEVEL for p_values in ledgers])
    assert wrong <= 0.1  # 0.05, and the error of 150 ledgers
    assert np.mean([min(p_values) <= LEVEL for p_values in ledgers]) > 0.15  # what Holm's correction prevents


def test_distances_of_sets_that_differ_by_chance_alone_are_told_apart_about_as_rarely_as_they_say():
    rng = np.random.default_rng(3)
    told = []
    for _ in range(80):
        gt, a, b = (rng.normal(size=(24, 3)) for _ in range(3))
        draws = rng.integers(0, 24, (30, 24))
        spread = np.array([frechet_distance(a[i], gt[i]) - frechet_distance(b[i], gt[i]) for i in draws])
        effect = set_effect(frechet_distance(a, gt) - frechet_distance(b, gt), spread, 24)
        told.append(min(effect.above(0), effect.below(0)) <= 0.05)
    assert np.mean(told) <= 0.2  # 0.10, and the error of 80 trials


def test_equal_values_give_equal_bits_in_whatever_order_images_come():
    values = skewed(np.random.default_rng(4), 33)
    shuffled = np.random.default_rng(5).permutation(values)
    one, two = mean_effect(values), mean_effect(shuffled)
    assert (one.estimate, one.error, one.interval(), one.above(0.1)) == (
        two.estimate,
        two.error,
        two.interval(),
        two.above(0.1),
    )


def test_many_images_need_no_bootstrap_and_agree_with_it():
    values = skewed(np.random.default_rng(6), 499)
    small, large = mean_effect(values), mean_effect(np.append(values, values.mean()))
    assert small.errors.size and not large.errors.size
    assert small.interval() == pytest.approx(large.interval(), abs=0.02)


@pytest.mark.parametrize(("value", "verdict"), [(0.0, (1.0, 1.0)), (0.3, (0.0, 1.0)), (-0.3, (1.0, 0.0))])
def test_differences_that_are_all_equal_decide_unless_they_are_nothing(value, verdict):
    effect = mean_effect(np.full(10, value))
    assert effect.estimate == value and effect.interval() == (value, value)
    assert (ABOVE.supports(effect), ABOVE.refutes(effect)) == pytest.approx(verdict, abs=1e-3)


def test_holm_as_computed_by_hand():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.7, 0.6]) == [1.0, 1.0]


def test_a_region_with_two_ends_takes_two_one_sided_tests():
    effect = Effect(estimate=0.4, error=0.2, n=50, freedom=49)
    assert SMALL.supports(effect) == max(effect.above(-1), effect.below(1)) == effect.below(1)
    assert SMALL.refutes(effect) > 0.9
    beyond = Effect(estimate=2.0, error=0.2, n=50, freedom=49)
    assert SMALL.refutes(beyond) == pytest.approx(2 * beyond.above(1)) and SMALL.supports(beyond) > 0.9


def test_a_conjunction_needs_all_its_parts_and_one_denies_it():
    good, bad = Effect(1.0, 0.1, 50, 49), Effect(-1.0, 0.1, 50, 49)
    for_it, against = conjunction([(ABOVE, good), (ABOVE, good)])
    assert for_it == good.above(0) and against == 1.0
    for_it, against = conjunction([(ABOVE, good), (ABOVE, bad), (BELOW, bad)])
    assert for_it > 0.99 and against == pytest.approx(3 * bad.below(0))


def test_what_is_not_measured_supports_nothing_and_hides_no_failure():
    good, bad = Effect(1.0, 0.1, 50, 49), Effect(-1.0, 0.1, 50, 49)
    assert conjunction([(ABOVE, good), (ABOVE, None)]) == (1.0, 1.0)
    assert conjunction([(ABOVE, bad), (ABOVE, None)])[1] < 0.001


def test_as_many_images_as_an_undecided_claim_asks_for_decide_it_four_times_of_five():
    rng = np.random.default_rng(7)
    mean, spread, claims = 0.35, 1.0, 5
    pilot = Effect(mean, spread / math.sqrt(20), 20, 19)
    n = math.ceil(images_to_decide([(ABOVE, pilot)], claims))
    decided = [
        2 * claims * ABOVE.supports(mean_effect(rng.normal(mean, spread, n), resamples=1999)) <= LEVEL
        for _ in range(200)
    ]
    assert 0.7 <= np.mean(decided) <= 0.9


def test_images_that_would_decide_follow_the_worst_part_and_the_side_that_it_falls_on():
    near, far, wrong = Effect(0.1, 0.1, 25, 24), Effect(1.0, 0.1, 25, 24), Effect(-0.2, 0.1, 25, 24)
    both = images_to_decide([(ABOVE, near), (ABOVE, far)], 10)
    assert both > images_to_decide([(ABOVE, near)], 10) > images_to_decide([(ABOVE, far)], 10)
    assert images_to_decide([(ABOVE, near), (ABOVE, wrong)], 10) < both
    assert images_to_decide([(ABOVE, Effect(0.0, 0.1, 25, 24))], 10) == math.inf
