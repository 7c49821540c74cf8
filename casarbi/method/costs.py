"""What a network costs: parameters, and floating-point operations per stage and step, without running it."""

from __future__ import annotations

from itertools import pairwise

import torch

from casarbi.costs import StageCost, count_cost
from casarbi.method.cascade import plan_stages
from casarbi.method.config import CasArbiConfig
from casarbi.method.network import Denoiser, NetworkConfig
from casarbi.method.residuals import StageInputs
from casarbi.scales import Size


def stage_cost(config: NetworkConfig, lr_size: Size, size: Size) -> StageCost:
    """Count on the meta device, where nothing is computed: convolutions and matrix products, as is customary.

    Example:
        >>> cost = stage_cost(NetworkConfig(), (64, 64), (128, 128))
        >>> round(cost.parameters / 1e6, 1), cost.flops(4) == cost.once + 4 * cost.step
        (1.4, True)
    """
    with torch.device("meta"):
        # x_t, Up and B_i have the same shape, so one image stands for all three.
        network = Denoiser(config)
        image = torch.empty(1, 3, *size)
        inputs = StageInputs(
            torch.empty(1, 3, *lr_size), image, image, torch.empty(1, 2, *size), torch.empty(1), gain=1.0
        )
        return count_cost(network, lambda: network.encode(inputs), lambda kept: network(image, torch.ones(1), kept))


def stage_costs(config: CasArbiConfig, lr_size: Size, size: Size) -> list[tuple[Size, Size, StageCost]]:
    """Input, output and cost of every stage from one size to another."""
    plan = plan_stages(lr_size, size, config.cascade.strategy, config.cascade.s_fix)
    return [
        (small, large, stage_cost(config.network, small, large))
        for small, large in pairwise([lr_size, *(stage.size for stage in plan)])
    ]


def cascade_cost(config: CasArbiConfig, lr_side: int) -> dict[str, str]:
    """A line for each stage towards the largest training scale, such as `0.10 + 4 x 0.40 GFLOP per image`."""
    # The square LR image of training, enlarged to the largest scale of training.
    side, steps = round(lr_side * config.cascade.max_scale), config.sampling.steps or config.process.T
    return {
        f"stage {small[0]} -> {large[0]} px": cost.text(steps)
        for small, large, cost in stage_costs(config, (lr_side, lr_side), (side, side))
    }
