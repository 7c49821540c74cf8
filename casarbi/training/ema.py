"""The moving average of a network's weights, which is what gets validated and saved."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of parameters; buffers are copied.

    Attributes:
        network: a copy of the network that holds the averages, in evaluation mode.
        updates: how many updates it has seen; decides the decay, so it is stored with a run.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the averages towards the network's weights.

        The decay is min(decay, (1 + n) / (10 + n)) at update n, so that the first weights, which are random, are soon
        forgotten.
        """
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        # One call for all weights instead of one for each.
        averages: list[Tensor] = list(self.network.parameters())
        current: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(averages, current, weight)
        for average, value in zip(self.network.buffers(), network.buffers(), strict=True):
            average.copy_(value)
