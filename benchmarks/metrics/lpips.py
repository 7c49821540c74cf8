"""LPIPS v0.1 (Zhang et al. 2018) through the `lpips` package, on backbones whose checksum was verified."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.metrics.backbones import load_backbone
from benchmarks.metrics.base import MetricInfo, Output, check_pair
from benchmarks.metrics.kinds import ImageMetric
from benchmarks.metrics.networks import Network
from casarbi.errors import CasarbiError
from casarbi.scales import Size

_MIN_SIDES = {"alex": 31, "vgg": 16, "squeeze": 17}  # measured, Fictionarry/ER-NeRF#13; below, a pooled map is empty
_NETS = {"alex": "AlexNet", "vgg": "VGG-16", "squeeze": "SqueezeNet 1.1"}
_BYTES_PER_PIXEL = {"alex": 100, "vgg": 1000, "squeeze": 300}

INFO = {
    f"lpips-{net}": MetricInfo(
        name=f"lpips-{net}",
        label=f"LPIPS ({net})",
        higher_is_better=False,
        lowest=0.0,
        highest=math.inf,
        min_side=_MIN_SIDES[net],
        decimals=4,
        description=f"LPIPS v0.1, {network} trunk of torchvision, package lpips",
        weights=f"lpips-{net}",
    )
    for net, network in _NETS.items()
}


class LayerNetwork(Network[list[Tensor]]):
    """Gives layers of unit length over their channels, each (1, C, h, w), and compares those of two images."""

    @abstractmethod
    def distance(self, a: list[Tensor], b: list[Tensor]) -> float:
        """Distance of two images by their layers."""


class LayerDistance(ImageMetric):
    """Distance of each image's layers from its reference's; 0 if identical, NaN if a pixel is not finite."""

    network: LayerNetwork

    def scores(self, sr: Tensor, gt: Tensor) -> list[float]:
        """Score each image of (B, 3, H, W) in [0, 1], one by one: neighbours never change a digit."""
        return [self._fill(Output(math.nan, *pair)) for pair in zip(sr, gt, strict=True)]

    def _fill(self, output: Output) -> float:
        check_pair(self.info, output.sr[None], output.gt[None])
        look = self.network.look
        return self.network.distance(look(output.sr, output.seen_sr), look(output.gt, output.seen_gt))


def image_by_image(layers: Sequence[Tensor]) -> list[list[Tensor]]:
    """Layers of a batch, each (B, C, h, w), as those of each image: B lists of (1, C, h, w)."""
    return [list(parts) for parts in zip(*(layer.split(1) for layer in layers), strict=True)]


class Lpips(LayerDistance):
    """LPIPS of each image.

    Args:
        net: "alex", "vgg" or "squeeze".
        trunk: torchvision's weights of that network, keys `features.…`.
        sha256: of the file they came from.
    """

    def __init__(self, net: str, trunk: Mapping[str, Tensor], sha256: str) -> None:
        self.info = INFO[f"lpips-{net}"]
        self.network = self.looks_through = LpipsNetwork(net, trunk, sha256)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version of the linear layers and SHA-256 of the trunk."""
        return {"name": self.info.name, "version": "0.1", "weights": self.network.sha256}


class LpipsNetwork(LayerNetwork):
    """The package's network, its forward pass in two: what depends on one image, and what compares two.

    This is the one place where [0, 1] becomes the [-1, 1] that LPIPS expects; fed [0, 1] it gives other, mostly better
    values without an error (nerfstudio-project/nerfstudio#1424).
    """

    def __init__(self, net: str, trunk: Mapping[str, Tensor], sha256: str) -> None:
        self.net, self.sha256, self.key = net, sha256, f"lpips-{net} {sha256}"
        self.model: Any = build_lpips(net, trunk)

    def to(self, device: str) -> None:
        """Move it to a device."""
        super().to(device)
        self.model.to(device)

    def forward(self, images: Tensor) -> list[list[Tensor]]:
        """The layers that are compared, of each image."""
        from lpips import normalize_tensor

        layers = self.model.net(self.model.scaling_layer(2 * images.float() - 1))
        return image_by_image([normalize_tensor(layer) for layer in layers])

    def memory_bytes(self, size: Size) -> int:
        """Most memory of one image of (H, W)."""
        return _BYTES_PER_PIXEL[self.net] * math.prod(size)

    @torch.inference_mode()
    def distance(self, a: list[Tensor], b: list[Tensor]) -> float:
        """Weighted squared differences of the layers."""
        parts = [lin((x - y) ** 2).mean((2, 3)) for lin, x, y in zip(self.model.lins, a, b, strict=True)]
        return float(sum(parts[1:], parts[0]))


def build_lpips(net: str, trunk: Mapping[str, Tensor]) -> nn.Module:
    """The package's network with its own linear layers and the given trunk; nothing is fetched.

    Raises:
        CasarbiError: if a tensor of the trunk is missing or has another shape.
    """
    import lpips  # brings torchvision: 2 s that listing metrics must not cost

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's deprecation of the way lpips builds a trunk
        model = lpips.LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False)
    filled = {}
    for key, expected in model.net.state_dict().items():
        source = "features." + key.partition(".")[2]  # slice2.3.weight holds features.3.weight
        if source not in trunk or trunk[source].shape != expected.shape:
            raise CasarbiError(f"The trunk given to lpips-{net} has no {source} of shape {tuple(expected.shape)}.")
        filled[key] = trunk[source]
    model.net.load_state_dict(filled)
    return model.eval().requires_grad_(False)


def create(name: str) -> Lpips:
    """Build one of `INFO`; raises CasarbiError if the backbone is missing or not the one it should be."""
    backbone = load_backbone(name)
    return Lpips(name.removeprefix("lpips-"), backbone.tensors, backbone.sha256)
