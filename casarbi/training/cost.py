"""What a network costs, counted without computing anything."""

from __future__ import annotations

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from casarbi.cascade import plan_stages
from casarbi.config import CasArbiConfig
from casarbi.network import Denoiser
from casarbi.residuals import StageInputs, coordinate_map
from casarbi.scales import Size


def stage_flops(network: Denoiser, u_prev: Size, size: Size) -> tuple[int, int]:
    """FLOPs (a multiplication and an addition are two) of one image in one stage.

    Args:
        network: of any weights; it is not changed.
        u_prev: (h, w) of the stage's input.
        size: (H, W) of its output.

    Returns:
        What is done once a stage, and what every step of the chain costs.
    """
    hollow = copy.deepcopy(network).to("meta").eval()
    large = torch.empty(1, 3, *size, device="meta")
    one = torch.ones(1, device="meta")
    inputs = StageInputs(
        torch.empty(1, 3, *u_prev, device="meta"), large, large, coordinate_map(size, device="meta"), one, 1.0
    )
    with torch.no_grad():
        with FlopCounterMode(display=False) as once:
            features = hollow.encode(inputs)
        with FlopCounterMode(display=False) as step:
            hollow(large, one.long(), features)
    return once.get_total_flops(), step.get_total_flops()


def cascade_cost(network: Denoiser, config: CasArbiConfig, lr_side: int) -> dict[str, str]:
    """A line for each stage towards the largest training scale, such as "16 -> 32": "0.1 + 4 x 0.4 GFLOP"."""
    side, steps = round(lr_side * config.cascade.max_scale), config.sampling.steps or config.process.T
    lines, before = {}, (lr_side, lr_side)
    for stage in plan_stages(before, (side, side), config.cascade.strategy, config.cascade.s_fix):
        once, step = (flops / 1e9 for flops in stage_flops(network, before, stage.size))
        lines[f"stage {before[0]} -> {stage.size[0]} px"] = f"{once:.2f} + {steps} x {step:.2f} GFLOP an image"
        before = stage.size
    return lines
