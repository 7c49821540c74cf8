import math

import pytest
import torch

from casarbi.method import sampler
from casarbi.method.cascade import Stage, plan_stages
from casarbi.method.config import CasArbiConfig, SamplingConfig
from casarbi.method.diffusion import ShiftConfig
from casarbi.method.guidance import GuidanceConfig
from casarbi.method.residuals import ResidualConfig
from casarbi.method.sampler import sample_cascade
from casarbi.pictures.resize import resize
from casarbi.sampling import image_noise

PROCESS = ShiftConfig(T=4, m=0.2)
PLAIN = CasArbiConfig(
    process=PROCESS,
    residual=ResidualConfig("none", residual_gain=100.0),
    guidance=GuidanceConfig("none"),
    sampling=SamplingConfig(clamp="last"),
)
DOUBLE = (Stage(2.0, (6, 4)),)


class Known:
    """A network whose prediction is a known function of x_t, as the chain has it, and t."""

    def __init__(self, predict):
        self.predict, self.asked = predict, []

    def encode(self, inputs):
        return inputs

    def __call__(self, x_t, t, features):
        self.asked.append(int(t))
        return self.predict(x_t * math.sqrt(1 + 4 * PROCESS.eta[int(t)]), int(t))


def run(predict, config=PLAIN, plan=DOUBLE, **options):
    network = Known(predict)
    made = sample_cascade(network, torch.rand(1, 3, 3, 2) - 0.5, plan, [7], config, **options)
    return network.asked, made


def test_a_network_that_knows_the_truth_arrives_at_it():
    x_0 = 50 * torch.rand(1, 3, 6, 4)
    asked, (made,) = run(lambda x, t: x_0)
    assert asked == [4, 3, 2, 1] and torch.equal(made, x_0 / 100)


def test_chain_is_that_of_eq_2():
    """Against the loop written out, with the coefficients of docs/method.md §2."""
    seen, noise = [], image_noise("stage 0", [7], (3, 6, 4))
    _, (made,) = run(lambda x, t: seen.append(x) or 0.1 * x + t)
    noise()  # that of the start, which y cannot be told from here
    x = seen[0]
    for t, of_x, of_x0, variance in ((4, 0.591473, 0.408527, 0.947297), (3, 0.466619, 0.533381, 0.577119)):
        x = of_x * x + of_x0 * (0.1 * x + t) + math.sqrt(variance) * noise()
        torch.testing.assert_close(seen[5 - t], x, rtol=1e-4, atol=1e-3)
    x = 0.036969 * x + 0.963031 * (0.1 * x + 2) + math.sqrt(0.038521) * noise()
    torch.testing.assert_close(seen[3], x, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(made, (0.1 * x + 1) / 100, rtol=1e-4, atol=1e-5)  # nothing is added at the end


def test_chain_starts_from_y_and_noise():
    seen, noise = [], image_noise("stage 0", [7], (3, 6, 4))
    torch.manual_seed(3)
    run(lambda x, t: seen.append(x) or x)
    torch.manual_seed(3)
    y = 100 * resize(torch.rand(1, 3, 3, 2) - 0.5, (6, 4))
    torch.testing.assert_close(seen[0], y + 2 * 0.99 * noise(), rtol=1e-4, atol=1e-3)


def test_noise_is_drawn_once_for_each_step(monkeypatch):
    drawn = []

    def counted(name, seeds, shape, device):
        noise = image_noise(name, seeds, shape, device)
        return lambda: drawn.append(name) or noise()

    monkeypatch.setattr(sampler, "image_noise", counted)
    plan = plan_stages((3, 2), (12, 8))
    asked, _ = run(lambda x, t: x, CasArbiConfig(**{**vars(PLAIN), "sampling": SamplingConfig(steps=3)}), plan)
    assert asked == [4, 3, 2] * 2 and drawn == ["stage 0"] * 3 + ["stage 1"] * 3


def test_guidance_replaces_the_prediction():
    """With gamma = 1, D of the composed image is nearly u_{i-1}, whatever the network says."""
    guided = CasArbiConfig(**{**vars(PLAIN), "guidance": GuidanceConfig("previous", (1.0,))})
    _, (made,) = run(lambda x, t: torch.zeros_like(x), guided)
    assert made.abs().max() > 0.1


def test_known_stages_are_not_run_again():
    plan = plan_stages((3, 2), (12, 8))
    torch.manual_seed(0)
    _, both = run(lambda x, t: 0.9 * x, plan=plan)
    torch.manual_seed(0)
    shares = []
    asked, again = run(lambda x, t: 0.9 * x, plan=plan, known=both[:1], report=shares.append)
    assert asked == [4, 3, 2, 1] and all(map(torch.equal, both, again))
    assert shares == pytest.approx([24 / 120, *[96 / 120 / 4] * 4])
