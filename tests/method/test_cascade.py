import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from casarbi.errors import CasarbiError
from casarbi.method.cascade import plan_stages, stage_sizes
from casarbi.method.strategies import STRATEGIES, CascadeConfig, stage_count, stage_factors

# docs/method.md §5: base 16, s_fix 2; scale, then sides under remainder-last, remainder-first, uniform.
WORKED = [
    (2, [32], [32], [32]),
    (3, [32, 48], [24, 48], [28, 48]),
    (4, [32, 64], [32, 64], [32, 64]),
    (5.3, [32, 64, 85], [21, 42, 85], [28, 49, 85]),
    (7, [32, 64, 112], [28, 56, 112], [31, 59, 112]),
    (8, [32, 64, 128], [32, 64, 128], [32, 64, 128]),
    (10, [32, 64, 128, 160], [20, 40, 80, 160], [28, 51, 90, 160]),
    (10.7, [32, 64, 128, 171], [21, 43, 86, 171], [29, 52, 95, 171]),
    (12, [32, 64, 128, 192], [24, 48, 96, 192], [30, 55, 103, 192]),
]
FACTORS = {
    5.3: ((2, 2, 1.325), (1.325, 2, 2), (1.7435,) * 3),
    10.7: ((2, 2, 2, 1.3375), (1.3375, 2, 2, 2), (1.8086,) * 4),
    12: ((2, 2, 2, 1.5), (1.5, 2, 2, 2), (1.8612,) * 4),
}

strategies = st.sampled_from(list(STRATEGIES))
scales = st.floats(1, 32, exclude_min=True)
fixed = st.floats(1.5, 4)
sides = st.tuples(st.integers(1, 300), st.integers(1, 300))


@pytest.mark.parametrize(("scale", "rl", "rf", "us"), WORKED)
def test_worked_sizes(scale, rl, rf, us):
    for strategy, expected in (("rl", rl), ("rf", rf), ("us", us), ("single", rl[-1:])):
        assert stage_sizes((16, 16), scale, strategy) == [(side, side) for side in expected]


@pytest.mark.parametrize("scale", FACTORS)
def test_worked_factors(scale):
    for strategy, expected in zip(("rl", "rf", "us"), FACTORS[scale], strict=True):
        assert stage_factors(scale, strategy) == pytest.approx(expected, abs=5e-5)


@settings(deadline=None)
@given(scales, strategies, fixed)
def test_factors_multiply_to_the_scale(scale, strategy, s_fix):
    factors = stage_factors(scale, strategy, s_fix)
    assert math.prod(factors) == pytest.approx(scale, rel=1e-12)
    assert all(factor > 1 for factor in factors) or scale < 1 + 1e-7
    if strategy != "single":
        assert len(factors) == stage_count(scale, s_fix)
        assert max(factors) <= s_fix * (1 + 1e-8)


@settings(deadline=None)
@given(sides, sides, strategies, fixed)
def test_stages_grow_to_the_exact_size_whatever_its_shape(base, size, strategy, s_fix):
    assume(max(size[0] / base[0], size[1] / base[1]) > 1)
    stages = plan_stages(base, size, strategy, s_fix)
    reached = [base, *(stage.size for stage in stages)]
    assert reached[-1] == size
    for before, after in zip(reached, reached[1:], strict=False):
        assert before != after
        for axis in (0, 1):
            steps = sorted((base[axis], before[axis], after[axis], size[axis]), reverse=size[axis] < base[axis])
            assert steps == [base[axis], before[axis], after[axis], size[axis]]


@settings(deadline=None)
@given(sides, scales, strategies, fixed)
def test_stages_of_one_scale(base, scale, strategy, s_fix):
    size = tuple(math.floor(side * scale + 0.5) for side in base)
    assume(size != base)
    stages = plan_stages(base, size, strategy, s_fix)
    largest = max(size[0] / base[0], size[1] / base[1])
    assert math.prod(stage.scale for stage in stages) == pytest.approx(largest, rel=1e-12)
    assert all(stage.scale > 1 for stage in stages)
    assert 1 <= len(stages) <= stage_count(largest, s_fix)
    assert [stage.size for stage in stages][-1] == size


@settings(deadline=None)
@given(st.integers(8, 300), st.lists(st.floats(2, 32), min_size=2, max_size=4), st.sampled_from([2.0, 3.0, 1.5]))
def test_remainder_last_shares_its_prefix(side, several, s_fix):
    """Stages of the smaller scale, but for its last, are those of the larger one."""
    plans = [plan_stages((side, side), (math.floor(side * s + 0.5),) * 2, "rl", s_fix) for s in sorted(several)]
    for smaller, larger in zip(plans, plans[1:], strict=False):
        assert smaller[:-1] == larger[: len(smaller) - 1]


def test_rounding_that_drifts_is_not_done():
    assert stage_sizes((16, 16), 5.3, "rf")[-1] == (85, 85)
    assert stage_count(243, 3) == 5 and stage_factors(243, "rl", 3) == (3,) * 5


def test_a_target_of_another_shape_grows_evenly():
    assert [stage.size for stage in plan_stages((10, 10), (160, 20))] == [(20, 12), (40, 14), (80, 17), (160, 20)]
    assert plan_stages((10, 10), (10, 10)) == plan_stages((10, 10), (7, 10)) == ()


def draws(strategy, p, n=4000):
    config = CascadeConfig(strategy=strategy, p=p)
    generator = torch.Generator().manual_seed(0)
    return [config.draw(generator) for _ in range(n)]


def test_mixed_scales_of_eq_7():
    stages = draws("rl", 0.5)
    others = torch.tensor([stage.scale for stage in stages if stage.scale != 2])
    assert len(others) / len(stages) == pytest.approx(0.5, abs=0.03)
    assert 1 < others.min() < 1.01 and 1.99 < others.max() <= 2
    assert others.mean() == pytest.approx(1.5, abs=0.02)
    assert {stage.sizes((16, 16))[0][0] for stage in stages} == {16, 32, 64}
    assert all(stage.scale == 2 for stage in draws("rl", 1.0, 50))


def test_remainder_first_draws_remainders_at_the_first_stage_only():
    stages = draws("rf", 0.5)
    assert {stage.before for stage in stages if stage.scale != 2} == {1.0}
    later = torch.tensor([stage.before for stage in stages if stage.scale == 2])
    assert later.min() > 1 and later.max() <= 4 and len(later) / len(stages) == pytest.approx(0.5, abs=0.03)


def test_uniform_and_single_draw_what_inference_meets():
    for stage in draws("us", 0.0):
        assert 1 < stage.scale <= 2 and stage.before * stage.scale <= 8 + 1e-9
    single = draws("single", 0.5)
    assert {stage.before for stage in single} == {1.0}
    assert torch.tensor([stage.scale for stage in single]).mean() == pytest.approx(4.5, abs=0.1)


@pytest.mark.parametrize("max_scale", [1.5, 2.0, 5.0, 6.0, 8.0])
@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_no_drawn_stage_ends_beyond_the_largest_scale(strategy, max_scale):
    config, generator = CascadeConfig(strategy=strategy, max_scale=max_scale), torch.Generator().manual_seed(0)
    stages = [config.draw(generator) for _ in range(500)]
    reached = max(stage.before * stage.scale for stage in stages)
    assert 0.97 * max_scale < reached <= max_scale + 1e-9 and all(1 < stage.scale <= max_scale for stage in stages)


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_drawn_stages_enlarge(strategy):
    for stage in draws(strategy, 0.3, 500):
        small, large = stage.sizes((5, 7))
        assert large[0] > small[0] and large[1] > small[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategy": "rlf"}, "strategy = 'rlf' is unknown: did you mean r[lf]"),
        ({"s_fix": 1.0}, "s_fix=1.0 must be"),
        ({"scale_input": "both"}, "scale_input = 'both' is unknown: known: achieved, nominal"),
        ({"p": 1.5}, "p=1.5"),
    ],
)
def test_impossible_cascades_are_refused(changes, words):
    with pytest.raises(CasarbiError, match=words):
        CascadeConfig(**changes)
