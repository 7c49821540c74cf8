"""torch.compile of a network's blocks: which, how often, and what is said if it does not work."""

import copy
from functools import partialmethod

import pytest
import torch
from torch import nn
from torch._dynamo.exc import Unsupported
from torch._dynamo.utils import counters

from casarbi.errors import CasarbiError
from casarbi.layers import conv3
from casarbi.method.layers import ResidualBlock
from casarbi.method.network import Denoiser, NetworkConfig
from casarbi.training.compiling import blocks, compiled_blocks


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(conv3(4, 4), nn.ReLU()) for _ in range(2))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def test_blocks_are_what_repeats_and_no_single_layer():
    config = NetworkConfig(width=8, levels=(1, 2), lr_blocks=3, hr_blocks=2, embedding=8)
    found = blocks(Denoiser(config))
    # The adapter's encoder, the U-Net's, its middle and its decoder; then both EDSR encoders.
    assert sum(isinstance(block, ResidualBlock) for block in found) == 2 + 2 + 1 + 1
    assert sum(isinstance(block, nn.Sequential) for block in found) == 3 + 2
    assert len(found) == 11


def test_one_graph_serves_all_sizes_and_copies_stay_plain(monkeypatch):
    # What compiles kernels needs a compiler; recompiling is decided before.
    plain = nn.Module.compile
    monkeypatch.setattr(
        nn.Module,
        "compile",
        partialmethod(lambda self, dynamic, options: plain(self, dynamic=dynamic, backend="eager")),
    )
    torch._dynamo.reset()
    counters.clear()
    network = Network()
    expected = copy.deepcopy(network)
    with compiled_blocks(network):
        copied = copy.deepcopy(network)
        for side in (6, 7, 9, 12):
            x = torch.rand(3, 4, side, side, requires_grad=True)
            assert torch.equal(network(x), expected(x))
    assert counters["stats"]["unique_graphs"] == 1
    assert all(block._compiled_call_impl is None for block in copied.blocks)


def test_what_cannot_be_compiled_is_one_sentence():
    words = r"torch.compile does not work here \(no compiler\): leave --compile out"
    with pytest.raises(CasarbiError, match=words), compiled_blocks(Network()):
        raise Unsupported("no compiler:\nand many lines more")
