"""ST-LPIPS (Ghildyal and Liu, ECCV 2022): LPIPS on trunks that a one-pixel shift hardly changes.

The weight files of the `stlpips-pytorch` 0.0.2 wheel, with a forward pass of our own: the wheel cannot be imported as
it is shipped, and sources bundled with it are under non-commercial terms. Kernel sizes come from the tensors' shapes,
strides and paddings are facts of the published networks (docs/protocol.md §6.1 has the figures it must give).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad, relu

from benchmarks.metrics.backbones import Backbone, load_backbone
from benchmarks.metrics.base import MetricInfo, check_range
from benchmarks.metrics.lpips import LayerDistance, LayerNetwork, image_by_image
from benchmarks.metrics.networks import Seen
from casarbi.scales import Size

_MIN_SIDES = {"alex": 21, "vgg": 18}  # below, a map is too small for its mirrored border
_NETS = {"alex": "AlexNet", "vgg": "VGG-16"}
FEATURES = {"alex": 256, "vgg": 512}
"""Length of the feature vector of an image: the channels of the last layer."""

_EXAMPLES = {"alex": 0.00325092557, "vgg": 0.0321239643}  # the package stlpips-pytorch gives the same

INFO = {
    f"st-lpips-{net}": MetricInfo(
        name=f"st-lpips-{net}",
        label=f"ST-LPIPS ({net})",
        higher_is_better=False,
        lowest=0.0,
        highest=math.inf,
        min_side=_MIN_SIDES[net],
        decimals=4,
        description=f"shift-tolerant LPIPS, {network} trunk, weights of stlpips-pytorch 0.0.2; its scale is not that "
        "of LPIPS",
        weights=f"stlpips-{net}",
        example=_EXAMPLES[net],
    )
    for net, network in _NETS.items()
}

# One entry per layer that is compared: the blur that halves the image before it, and its convolutions.
_SLICES: dict[str, tuple[tuple[int | None, tuple[int, ...]], ...]] = {
    "alex": ((None, (0,)), (4, (5,)), (8, (9,)), (None, (11,)), (None, (13,))),
    "vgg": ((None, (0, 2)), (5, (6, 8)), (11, (12, 14, 16)), (19, (20, 22, 24)), (27, (28, 30, 32))),
}
_POOL = {"alex": 3, "vgg": 2}
_BYTES_PER_PIXEL = {"alex": 600, "vgg": 1100}


class ShiftTolerantTrunk(LayerNetwork):
    """AlexNet or VGG-16 with blurred downsampling, and the linear layers that weigh its channels."""

    def __init__(self, net: str, backbone: Backbone) -> None:
        self.net, self.sha256, self.key = net, backbone.sha256, f"st-{net} {backbone.sha256}"
        # Pixels channel by channel: up to 30 % faster on a CPU core (alex, 192 px).
        self._tensors = {
            key: tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
            for key, tensor in backbone.tensors.items()
        }

    def to(self, device: str) -> None:
        """Move it to a device."""
        super().to(device)
        self._tensors = {key: tensor.to(device) for key, tensor in self._tensors.items()}

    def forward(self, images: Tensor) -> list[list[Tensor]]:
        """The five layers that are compared, of each image."""
        return image_by_image([_unit_length(layer) for layer in self._layers(images)])

    def memory_bytes(self, size: Size) -> int:
        """Most memory of one image of (H, W)."""
        return _BYTES_PER_PIXEL[self.net] * math.prod(size)

    def _layers(self, images: Tensor) -> Iterator[Tensor]:
        w = self._tensors
        x = (2 * images.float() - 1 - w["scaling_layer.shift"]) / w["scaling_layer.scale"]
        for number, (blur, convolutions) in enumerate(_SLICES[self.net], start=1):
            if blur is not None:
                x = self._blur(_running_maximum(x, _POOL[self.net]), f"net.slice{number}.{blur}")
            for index in convolutions:
                x = self._convolve(x, f"net.slice{number}.{index}")
            yield x

    def distance(self, a: list[Tensor], b: list[Tensor]) -> float:
        """Weighted squared differences of the layers."""
        weights = (self._tensors[f"lin{number}.model.1.weight"] for number in range(len(a)))
        parts = [conv2d((x - y).square(), w).mean() for x, y, w in zip(a, b, weights, strict=True)]
        return float(torch.stack(parts).sum())

    def _convolve(self, x: Tensor, key: str) -> Tensor:
        weight, bias = self._tensors[f"{key}.weight"], self._tensors[f"{key}.bias"]
        # The 11 px kernel keeps AlexNet's padding of 2; its stride of 4 became 1, and a blur that halves.
        x = conv2d(x, weight, bias, padding=min(weight.shape[-1] // 2, 2))
        return relu(self._blur(x, "net.slice1.1") if weight.shape[-1] == 11 else x)

    def _blur(self, x: Tensor, key: str) -> Tensor:
        taps = self._tensors[f"{key}.filt"]
        return conv2d(pad(x, (2, 2, 2, 2), mode="reflect"), taps, stride=2, groups=taps.shape[0])


def _unit_length(layer: Tensor) -> Tensor:
    """Scale the vector of channels at each position of (B, C, h, w) to length 1."""
    return layer / (layer.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _running_maximum(x: Tensor, k: int) -> Tensor:
    """Largest of each k x k window, stride 1: what max_pool2d gives, in a fifth to two thirds of its time here."""
    for axis in (-2, -1):
        n = x.shape[axis] - k + 1
        x = reduce(torch.maximum, (x.narrow(axis, start, n) for start in range(k)))
    return x


class StLpips(LayerDistance):
    """ST-LPIPS of each image."""

    def __init__(self, trunk: ShiftTolerantTrunk) -> None:
        self.info = INFO[f"st-lpips-{trunk.net}"]
        self.network = self.looks_through = trunk

    @property
    def identity(self) -> dict[str, Any]:
        """Name and SHA-256 of the weights."""
        return {"name": self.info.name, "weights": self.network.sha256}


def pooled_features(trunk: ShiftTolerantTrunk, image: Tensor, seen: Seen | None = None) -> Tensor:
    """Feature vector of one (3, H, W) in [0, 1]: float32 (C,) on the CPU.

    The last layer at unit length, as the metric itself sees it, averaged over positions and times √C, so that both
    trunks give values of one size. The raw layer, of which a few channels would decide everything, does not rank
    blurs in order; this does.
    """
    check_range(f"the {trunk.net} trunk of ST-LPIPS", image)
    last = trunk.look(image, seen)[-1]
    return (math.sqrt(last.shape[1]) * last.mean((-2, -1))[0]).cpu()


def load_trunk(net: str) -> ShiftTolerantTrunk:
    """Load "alex" or "vgg"; raises CasarbiError with the command that fetches the weights if they are missing."""
    return ShiftTolerantTrunk(net, load_backbone(f"stlpips-{net}"))


def create(name: str) -> StLpips:
    """Build one of `INFO`."""
    return StLpips(load_trunk(name.removeprefix("st-lpips-")))
