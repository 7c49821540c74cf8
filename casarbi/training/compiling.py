"""torch.compile for training: the repeated blocks of a network, one graph for all sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from casarbi.errors import CasarbiError

GRAPHS = 64
"""Graphs of one block's code, at most: one for each width and variant of it. Torch gives up after 8."""

OPTIONS = {"layout_optimization": False}
"""Networks are in the memory order of their choice. With this on, torch 2.11 to 2.14 fail on a layer normalisation
before a convolution when sizes vary ("cannot determine truth value of Relational")."""


@contextmanager
def compiled_blocks(network: nn.Module) -> Iterator[None]:
    """Compile a network's blocks in place, for training within the block; copies of the network are not compiled.

    Whole networks would be compiled again and again: every batch of a cascade has another size, and where a size is
    odd a U-Net cuts a row off. Within its blocks nothing depends on that, so each is compiled once, in seconds.

    Raises:
        CasarbiError: if torch cannot compile here, which shows in the first step.
    """
    import torch._dynamo  # a second that other trainings need not wait
    from torch._dynamo.exc import TorchDynamoException

    with torch._dynamo.config.patch(cache_size_limit=GRAPHS):
        for block in blocks(network):
            block.compile(dynamic=True, options=OPTIONS)
        try:
            yield
        except TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0].rstrip(":.")
            raise CasarbiError(f"torch.compile does not work here ({reason}): leave --compile out.") from error


def blocks(network: nn.Module) -> list[nn.Module]:
    """What stands in lists, as a network's repeated parts do, and holds layers but no list itself."""
    listed = [item for module in network.modules() if isinstance(module, nn.ModuleList) for item in module]
    return [
        item
        for item in listed
        if any(item.children()) and not any(isinstance(part, nn.ModuleList) for part in item.modules())
    ]
