"""The samplers that IDM and Kim share, on predictors whose answer is known."""

import math

import pytest
import torch

from baselines.ddpm import Step, add_noise, ancestral, chain, ddim, estimate_x0
from baselines.idm.diffusion import ScheduleConfig, spaced_chain

ABAR = ScheduleConfig().alpha_bar


def oracle(x0: torch.Tensor):
    return lambda x, step: (x - step.level * x0) / math.sqrt(1 - step.level**2)


@pytest.mark.parametrize("steps", [1, 7, 2000])
@pytest.mark.parametrize("sampler", [ancestral, ddim])
def test_right_predictions_lead_to_the_image(steps, sampler):
    x0, x = (torch.rand(1, 3, 4, 4, dtype=torch.float64) * 2 - 1 for _ in range(2))
    made = sampler(x, oracle(x0), spaced_chain(ABAR, steps), lambda: torch.randn_like(x), clamp=True)
    torch.testing.assert_close(made, x0, rtol=0, atol=1e-6)


def test_ddim_with_eta_1_is_ddpm():
    """The same draws lead to the same image, whatever the network says (Song et al., section 4.1)."""
    x, generators = torch.randn(1, 1, 4, 4, dtype=torch.float64), [torch.Generator().manual_seed(0) for _ in range(2)]
    noises = [lambda g=g: torch.randn(x.shape, generator=g, dtype=x.dtype) for g in generators]
    indices = (1500, 1000, 400, 3)
    made = ddim(x, lambda x, step: x.sin(), chain(ABAR, indices, eta=1.0), noises[0])
    expected = ancestral(x, lambda x, step: x.sin(), chain(ABAR, indices), noises[1], clamp=False)
    torch.testing.assert_close(made, expected)


def test_last_step_to_the_image_draws_nothing():
    def refuse() -> torch.Tensor:
        raise AssertionError("noise was drawn")

    x = torch.randn(1, 1, 2, 2)
    for sampler in (ancestral, ddim):
        assert sampler(x, lambda x, step: x, chain(ABAR, [9], eta=1.0), refuse).isfinite().all()


@pytest.mark.parametrize(
    ("sampler", "steps", "error"),
    [(ancestral, 2000, 0.03), (ancestral, 100, 0.1), (ddim, 100, 0.05), (ddim, 400, 0.015)],
)
def test_samplers_keep_the_spread_of_the_data(sampler, steps, error):
    """Numbers of deviation 0.3, whose ideal predictor is known: what is drawn must have nearly that deviation too."""
    generator = torch.Generator().manual_seed(0)

    def noise() -> torch.Tensor:
        return torch.randn(1, 1, 100, 200, generator=generator, dtype=torch.float64)

    def predict(x: torch.Tensor, step: Step) -> torch.Tensor:
        return x * math.sqrt(1 - step.level**2) / (step.level**2 * 0.3**2 + 1 - step.level**2)

    made = sampler(noise(), predict, spaced_chain(ABAR, steps), noise, clamp=False)
    assert made.std().item() == pytest.approx(0.3, rel=error)


def test_estimate_undoes_the_noise():
    z, noise, a = torch.rand(2, 1, 3, 3), torch.randn(2, 1, 3, 3), torch.tensor([0.9, 0.1])
    torch.testing.assert_close(estimate_x0(add_noise(z, noise, a), noise, a), z)
