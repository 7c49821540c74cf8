"""What a network costs: parameters and floating-point operations, counted without running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from casarbi.scales import Size

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class StageCost:
    """Cost of one stage for one image; a multiplication and an addition count as two operations.

    Attributes:
        parameters: of the network, all stages share them.
        once: operations of what does not depend on t.
        step: operations of one evaluation.
    """

    parameters: int
    once: int
    step: int

    def flops(self, steps: int) -> int:
        """Operations of the stage at a number of steps."""
        return self.once + steps * self.step

    def text(self, steps: int | str = "steps") -> str:
        """For people, such as `0.10 + 4 x 0.40 GFLOP per image`."""
        return f"{self.once / 1e9:.2f} + {steps} x {self.step / 1e9:.2f} GFLOP per image"


@dataclass(frozen=True)
class StageWork:
    """What one stage does for one image.

    Attributes:
        size: (H, W) of its result.
        evaluations: of the network.
        flops: operations, counted as in `StageCost`.
    """

    size: Size
    evaluations: int
    flops: int


def count_cost(network: nn.Module, once: Callable[[], Kept], step: Callable[[Kept], object]) -> StageCost:
    """Count a network's parameters and operations; on the meta device nothing is computed.

    Args:
        network: whose parameters count.
        once: does what is done once per stage.
        step: does one evaluation, given what `once` returned.
    """
    kept: list[Kept] = []
    before = count_flops(lambda: kept.append(once()))
    return StageCost(sum(p.numel() for p in network.parameters()), before, count_flops(lambda: step(*kept)))


def count_flops(work: Callable[[], object]) -> int:
    """Operations of convolutions, matrix products and attention in some work; sums and activations are left out."""
    # Imported here: the counter brings 80 modules, triton among them, which opening a model need not pay for.
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()
