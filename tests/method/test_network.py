from dataclasses import replace

import pytest
import torch

from casarbi.errors import CasarbiError
from casarbi.layers import sinusoids
from casarbi.method.costs import stage_cost
from casarbi.method.network import Denoiser, NetworkConfig
from casarbi.method.residuals import ResidualConfig, StageInputs, stage_inputs
from casarbi.settings import build
from casarbi.training.presets import load_preset

TINY = NetworkConfig(width=8, levels=(1, 2, 2), lr_blocks=1, hr_blocks=1, embedding=8, octaves=3)


def denoiser(config: NetworkConfig = TINY, seed: int = 0) -> Denoiser:
    """With random weights where a new network has zeros."""
    torch.manual_seed(seed)
    network = Denoiser(config)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return network.eval()


def inputs(size=(15, 13), small=(8, 7), batch=1) -> StageInputs:
    generator = torch.Generator().manual_seed(1)
    lr = torch.rand(batch, 3, *small, generator=generator) * 2 - 1
    return stage_inputs(lr, size, size[0] / small[0], ResidualConfig())


def run(network, given, t=2):
    x_t = torch.randn(given.up.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return network(x_t, torch.full((len(x_t),), t), network.encode(given))


VARIANTS = [
    {},
    {"coordinates": "none"},
    {"blocks": 2, "middle_blocks": 0, "lr_blocks": 0, "hr_blocks": 0},
    {"levels": (1,)},
    {"dropout": 0.1},
]


@pytest.mark.parametrize("changes", VARIANTS)
def test_every_parameter_of_every_variant_is_trained(changes):
    network = denoiser(replace(TINY, **changes)).train()
    given = inputs(batch=2)
    made = network(torch.randn_like(given.up), torch.tensor([1, 3]), network.encode(given))
    assert made.shape == given.up.shape
    made.square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 40), (16, 16), (17, 31), (33, 64), (85, 86)])
def test_any_size(size):
    made = run(denoiser(), inputs(size, (max(1, size[0] // 2), max(1, size[1] // 2))))
    assert made.shape == (1, 3, *size) and made.isfinite().all()


def test_odd_sizes_see_the_same_grid_as_even_ones():
    """A row and column more or less changes nothing far from them: nothing is resampled to fit."""
    network = denoiser()
    with torch.no_grad():
        x = torch.randn(1, 8, 96, 96)
        whole, less = (network.unet(x[..., :n, :n], None, maps(network, x[..., :n, :n])) for n in (96, 95))
    torch.testing.assert_close(whole[..., :50, :50], less[..., :50, :50], rtol=0, atol=1e-5)


def maps(network, h):
    return network.adapter(h, torch.zeros(1, 8))


@pytest.mark.parametrize("what", ["t", "scale", "coordinates", "u_prev", "up", "base"])
def test_every_condition_is_used(what):
    network, given = denoiser(), inputs()
    changed = (
        run(network, given, t=3) if what == "t" else run(network, replace(given, **{what: getattr(given, what) * 0.9}))
    )
    assert (changed - run(network, given)).abs().max() > 1e-5


def test_without_coordinates_none_are_used():
    network, given = denoiser(replace(TINY, coordinates="none")), inputs()
    assert torch.equal(run(network, given), run(network, replace(given, coordinates=given.coordinates * 0.5)))


def test_a_new_network_predicts_the_base_image():
    assert not run(Denoiser(TINY), inputs()).any()


def test_mini_and_paper_have_their_sizes():
    configs = [
        build(NetworkConfig, load_preset(name).settings["network"], name) for name in ("mini-face", "paper-face")
    ]
    mini, paper = (stage_cost(config, (64, 64), (128, 128)) for config in configs)
    assert configs[0] == NetworkConfig() and mini.parameters == sum(
        p.numel() for p in Denoiser(configs[0]).parameters()
    )
    assert 1.3e6 < mini.parameters < 2e6 and mini.parameters * 4 < 8e6 and mini.step < 6e9
    assert 10e6 < paper.parameters < 20e6 and paper.flops(4) == paper.once + 4 * paper.step


def test_flops_are_those_of_the_convolutions():
    """One level, no blocks but what cannot be left out: counted by hand."""
    config = NetworkConfig(
        width=4, levels=(1,), middle_blocks=0, lr_blocks=0, hr_blocks=0, embedding=2, coordinates="none"
    )
    cost = stage_cost(config, (4, 4), (8, 8))
    per_pixel = 9 * (3 * 4 + 4 * 4) + 9 * 4 * 4 + 2 * 9 * 4 * 4 + 9 * 4 * 3  # HR encoder, fusion, a block, output
    embedding = 2 * 4 * 2 + 2 * 2 * 2 + 2 * 2 * 8  # two layers, and the block's own
    assert cost.step == 2 * 64 * per_pixel + embedding
    assert cost.once == 2 * 16 * 9 * (3 * 4 + 4 * 4) + 2 * 64 * 9 * 10 * 4


def test_sinusoids_tell_values_apart():
    found = sinusoids(torch.arange(1, 16), 16)
    distances = torch.cdist(found, found) + 9 * torch.eye(15)
    assert found.shape == (15, 16) and distances.min() > 0.1


@pytest.mark.parametrize(
    "changes",
    [{"width": 0}, {"levels": ()}, {"levels": (2, 4)}, {"embedding": 7}, {"coordinates": "concat"}],
)
def test_impossible_networks_are_refused(changes):
    with pytest.raises(CasarbiError):
        NetworkConfig(**changes)


def test_mixed_precision_training_reaches_every_parameter():
    network, given = denoiser().train(), inputs((12, 14), (6, 7), batch=2)
    with torch.autocast("cpu", torch.bfloat16):
        made = network(torch.randn_like(given.up), torch.tensor([1, 3]), network.encode(given))
    made.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 and p.grad.any() for p in network.parameters())
