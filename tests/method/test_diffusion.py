import math

import pytest
import torch

from casarbi.errors import CasarbiError
from casarbi.method.diffusion import ShiftConfig, posterior, scale_input, shift, sqrt_eta, timesteps

FOUR = ShiftConfig(T=4, m=0.2)
FIFTEEN = ShiftConfig(T=15, m=0.04)

# docs/method.md §2: sqrt_eta, eta, alpha, of x_t, of x_0, posterior variance.
TABLE_4 = """
0.100000 0.010000 0.010000 0.000000 1.000000 0
0.520096 0.270500 0.260500 0.036969 0.963031 0.038521
0.761382 0.579703 0.309202 0.466619 0.533381 0.577119
0.990000 0.980100 0.400397 0.591473 0.408527 0.947297
"""
TABLE_15 = """
0.020000 0.000400 0.000400 0.000000 1.000000 0
0.117165 0.013728 0.013328 0.029138 0.970862 0.001553
0.176305 0.031083 0.017356 0.441641 0.558359 0.030660
0.233629 0.054582 0.023499 0.569474 0.430526 0.053529
0.291574 0.085015 0.030433 0.642030 0.357970 0.078156
0.351009 0.123208 0.038192 0.690019 0.309981 0.105413
0.412356 0.170038 0.046830 0.724590 0.275410 0.135730
0.475858 0.226441 0.056403 0.750915 0.249085 0.169415
0.541672 0.293408 0.066968 0.771760 0.228240 0.206732
0.609910 0.371990 0.078582 0.788753 0.211247 0.247927
0.680658 0.463295 0.091305 0.802922 0.197078 0.293244
0.753985 0.568494 0.105198 0.814952 0.185048 0.342927
0.829951 0.688818 0.120324 0.825318 0.174682 0.397223
0.908606 0.825566 0.136747 0.834359 0.165641 0.456386
0.990000 0.980100 0.154534 0.842328 0.157672 0.520675
"""


@pytest.mark.parametrize(("config", "table"), [(FOUR, TABLE_4), (FIFTEEN, TABLE_15)])
def test_schedule_and_posterior_tables(config, table):
    rows = [[float(value) for value in line.split()] for line in table.split("\n") if line]
    assert len(rows) == config.T
    for t, row in enumerate(rows, start=1):
        step = posterior(config, t)
        alpha = config.eta[t] - config.eta[t - 1]
        found = [sqrt_eta(config)[t - 1], config.eta[t], alpha, step.of_x_t, step.of_x0, step.variance]
        assert found == pytest.approx(row, abs=1e-6)
        assert config.noise_levels[t - 1] == pytest.approx(2 * row[0], abs=2e-6)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 50])
def test_any_number_of_steps_gives_an_increasing_schedule(steps):
    eta = ShiftConfig(T=steps, m=0.1).eta
    assert len(eta) == steps + 1 and eta[0] == 0 and eta[-1] == pytest.approx(0.9801)
    assert all(a < b for a, b in zip(eta, eta[1:], strict=False))


def test_marginal_has_the_mean_and_spread_of_eq_1():
    x0, y = torch.full((2, 3, 200, 200), 0.7), torch.full((2, 3, 200, 200), -0.3)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    x_t = shift(x0, y, torch.tensor([1, 3]), noise, FOUR)
    for item, t in zip(x_t, (1, 3), strict=True):
        assert item.mean() == pytest.approx(0.7 - FOUR.eta[t], abs=0.02)
        assert item.std() == pytest.approx(2 * math.sqrt(FOUR.eta[t]), rel=0.02)


@pytest.mark.parametrize(("t", "before"), [(4, 3), (4, 1), (3, 2), (2, 1)])
def test_posterior_agrees_with_the_marginals(t, before):
    """Drawing x_t, then x_before, has the mean and variance of drawing x_before at once."""
    step, eta = posterior(FOUR, t, before), FOUR.eta
    x0, y = 0.4, -1.1
    mean = step.of_x_t * (x0 + eta[t] * (y - x0)) + step.of_x0 * x0
    assert mean == pytest.approx(x0 + eta[before] * (y - x0))
    assert step.of_x_t**2 * 4 * eta[t] + step.variance == pytest.approx(4 * eta[before])


def test_input_scaling():
    """At t = T the spread is about kappa: 1.98 / sqrt(1 + 1.98²)."""
    scaled = scale_input(torch.full((1, 3, 2, 2), 1.98), torch.tensor([4]), FOUR)
    assert scaled.unique().tolist() == pytest.approx([0.8926], abs=1e-4)


def test_fewer_steps_than_trained():
    assert timesteps(FIFTEEN) == list(range(15, 0, -1))
    assert [timesteps(FOUR, n) for n in (1, 2, 3)] == [[4], [4, 2], [4, 3, 2]]
    with pytest.raises(CasarbiError, match="steps=5 must be from 1 to the 4"):
        timesteps(FOUR, 5)


@pytest.mark.parametrize("changes", [{"T": 0}, {"kappa": 0}, {"m": 2.5}, {"p": 0}])
def test_impossible_processes_are_refused(changes):
    with pytest.raises(CasarbiError):
        ShiftConfig(**changes)
