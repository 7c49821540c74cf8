"""Features of pytorch-fid's Inception network, in two thirds of its time on a CPU core and equal to 1e-4.

Batch norms are folded into the convolutions, and tensors are channels-last; nothing else differs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from pytorch_fid.inception import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu_
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.inception import BasicConv2d, inception_v3

from benchmarks.metrics.networks import Network
from casarbi.checkpoints import load_strict
from casarbi.scales import Size

_STAGES = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c", "avgpool"),
)
_SIDE = 299
_BYTES = 12 * 2**20  # of one resized image on its way through


class FoldedConv(nn.Module):
    """Convolution with its batch norm folded in, and the rectifier after it."""

    def __init__(self, block: BasicConv2d) -> None:
        super().__init__()
        self.conv = fuse_conv_bn_eval(block.conv, block.bn)

    def forward(self, x: Tensor) -> Tensor:
        """Apply both to (B, C, h, w)."""
        return relu_(self.conv(x))


def architecture() -> nn.Module:
    """The network of pytorch-fid with its 1008 outputs, weights left as memory had them: load some before use."""
    net = inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    net.Mixed_5b = FIDInceptionA(192, pool_features=32)
    net.Mixed_5c = FIDInceptionA(256, pool_features=64)
    net.Mixed_5d = FIDInceptionA(288, pool_features=64)
    net.Mixed_6b = FIDInceptionC(768, channels_7x7=128)
    net.Mixed_6c = FIDInceptionC(768, channels_7x7=160)
    net.Mixed_6d = FIDInceptionC(768, channels_7x7=160)
    net.Mixed_6e = FIDInceptionC(768, channels_7x7=192)
    net.Mixed_7b = FIDInceptionE_1(1280)
    net.Mixed_7c = FIDInceptionE_2(2048)
    return net


def build_inception(tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The network from resized images to its last pooling, folded and ready for inference.

    Args:
        tensors: pytorch-fid's weights, as they are.
        path: their file, for messages.

    Raises:
        CasarbiError: if keys or shapes do not fit.
    """
    net = architecture()
    # Files saved by an old torch lack these counters, which inference never reads.
    counters = {key: torch.tensor(0) for key in net.state_dict() if key.endswith("num_batches_tracked")}
    load_strict(net, {**counters, **tensors}, path)
    stages = nn.Sequential(*(getattr(net, stage) for stage in _STAGES)).eval().requires_grad_(False)
    _fold(stages)
    return stages.to(memory_format=torch.channels_last)


def _fold(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, BasicConv2d):
            setattr(module, name, FoldedConv(child))
        else:
            _fold(child)


class Inception(Network[Tensor]):
    """Feature vectors of pictures: float32 (2048,) each, on the CPU.

    Pictures are brought to 299 x 299 as pytorch-fid does: bilinear, no antialias, a part of the metric's definition.
    """

    def __init__(self, tensors: Mapping[str, Tensor], path: Path, sha256: str) -> None:
        self.net = build_inception(tensors, path)
        self.sha256, self.key = sha256, f"inception {sha256}"

    def to(self, device: str) -> None:
        """Move it to a device."""
        super().to(device)
        self.net.to(device)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The feature vector of each image."""
        resized = 2 * interpolate(images.float(), (_SIDE, _SIDE), mode="bilinear", align_corners=False) - 1
        pooled = self.net(resized.contiguous(memory_format=torch.channels_last))
        return list(pooled.flatten(1).cpu())

    def memory_bytes(self, size: Size) -> int:
        """Most memory of one image of (H, W)."""
        return _BYTES + 12 * math.prod(size)
