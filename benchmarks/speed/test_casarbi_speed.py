"""CasArbi's time: of a stage beside its operations, against plain convolutions, and of many scales against one."""

from __future__ import annotations

from collections.abc import Callable

import torch

from casarbi.layers import conv3
from casarbi.method.config import CasArbiConfig
from casarbi.method.costs import stage_cost
from casarbi.method.diffusion import ShiftConfig
from casarbi.method.model import CasArbi
from casarbi.method.network import Denoiser, NetworkConfig
from casarbi.method.residuals import ResidualConfig, stage_inputs

Race = Callable[..., float]

TABLE1 = [(85, 85), (112, 112), (160, 160), (171, 171), (192, 192)]


def _model() -> CasArbi:
    """Random weights serve for timing: the arithmetic is the same."""
    return CasArbi(Denoiser(NetworkConfig()), CasArbiConfig(process=ShiftConfig(T=4, m=0.2)))


def test_evaluation_against_convolutions_of_its_width(race: Race) -> None:
    """At 128 x 128, as many plain 3x3 convolutions as give the same operations; at least 80 % of their throughput."""
    network, size = Denoiser(NetworkConfig()).eval(), (128, 128)
    inputs = stage_inputs(torch.zeros(1, 3, 64, 64), size, 2.0, ResidualConfig())
    width, t = network.config.width, torch.tensor([1])
    plain = conv3(width, width).to(memory_format=torch.channels_last)
    features = torch.randn(1, width, *size).to(memory_format=torch.channels_last)
    # Operations of one plain convolution, and how many of them make up one evaluation.
    one = 2 * 9 * width**2 * size[0] * size[1]
    count = round(stage_cost(network.config, (64, 64), size).step / one)
    with torch.inference_mode():
        encoded = network.encode(inputs)
        race(
            lambda: network(inputs.up, t, encoded),
            lambda: [plain(features) for _ in range(count)],
            target=1.25,
        )


def test_five_scales_against_the_largest(race: Race) -> None:
    """Table I's scales share the stages 32, 64 and 128."""
    model, lr = _model(), torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    # Apart from the stages that are shared, each scale has a last stage of its own: hence more than 1.
    race(
        lambda: model.upscale_many(lr, TABLE1, [0]),
        lambda: model.upscale(lr, TABLE1[-1], [0]),
        target=2.3,
        rounds=5,
    )
