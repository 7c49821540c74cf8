"""LPIPS v0.1 (Zhang et al. 2018) through the `lpips` package, on backbones whose checksum was verified."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.metrics.backbones import load_backbone
from benchmarks.metrics.base import MetricInfo, check_pair
from benchmarks.metrics.kinds import ImageMetric
from casarbi.errors import CasarbiError

_MIN_SIDES = {"alex": 31, "vgg": 16, "squeeze": 17}  # measured, Fictionarry/ER-NeRF#13; below, a pooled map is empty
_NETS = {"alex": "AlexNet", "vgg": "VGG-16", "squeeze": "SqueezeNet 1.1"}

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


class Lpips(ImageMetric):
    """LPIPS of each image; 0 if identical, NaN if a pixel is not finite.

    This is the one place where [0, 1] becomes the [-1, 1] that LPIPS expects; fed [0, 1] it gives other, mostly better
    values without an error (nerfstudio-project/nerfstudio#1424).

    Args:
        net: "alex", "vgg" or "squeeze".
        trunk: torchvision's weights of that network, keys `features.…`.
        sha256: of the file they came from.
    """

    def __init__(self, net: str, trunk: Mapping[str, Tensor], sha256: str) -> None:
        self.info = INFO[f"lpips-{net}"]
        self.sha256 = sha256
        self.net = build_lpips(net, trunk)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version of the linear layers and SHA-256 of the trunk."""
        return {"name": self.info.name, "version": "0.1", "weights": self.sha256}

    def scores(self, sr: Tensor, gt: Tensor) -> list[float]:
        """Score each image of (B, 3, H, W) in [0, 1], one by one: neighbours never change a digit."""
        check_pair(self.info, sr, gt)
        net = self.net.to(sr.device)
        with torch.inference_mode():
            pairs = zip(sr.split(1), gt.split(1), strict=True)
            return [float(net(2 * a.float() - 1, 2 * b.float() - 1)) for a, b in pairs]


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
