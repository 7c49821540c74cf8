"""Distances between sets of images: FID and KID, and the same on ST-LPIPS features under their own names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from benchmarks.metrics import stlpips
from benchmarks.metrics.backbones import load_backbone
from benchmarks.metrics.base import MetricInfo, Output, check_range
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.kid import kernel_distance
from benchmarks.metrics.kinds import DistributionMetric
from benchmarks.metrics.networks import Seen

if TYPE_CHECKING:
    from benchmarks.metrics.inception import Inception

_KID_NEEDS = 16  # unbiased at any number; below this its standard error is as large as the values compared
_FRECHET = "Fréchet distance"
_KERNEL = "unbiased squared MMD over all pairs, kernel (u·v/D + 1)³"
_INCEPTION = "2048-d features of pytorch-fid's Inception at 299 px"


def _st_features(net: str) -> str:
    return f"{stlpips.FEATURES[net]}-d mean of the unit-length last layer of ST-LPIPS ({net}), no resizing"


def _info(name: str, label: str, min_side: int, description: str, example: float | None = None) -> MetricInfo:
    is_kernel = name.startswith("kid")
    return MetricInfo(
        name=name,
        label=label,
        higher_is_better=False,
        lowest=-math.inf if is_kernel else 0.0,
        highest=math.inf,
        min_side=min_side,
        decimals=4 if is_kernel else 2,
        description=description,
        weights=f"stlpips-{name.rpartition('-')[2]}" if "-st-" in name else "fid-inception",
        example=example,
    )


INFO = {
    info.name: info
    for info in (
        _info("fid", "FID", 1, f"{_FRECHET} on {_INCEPTION}"),
        _info("kid", "KID", 1, f"{_KERNEL}, on {_INCEPTION}"),
        _info("fd-st-alex", "FD[st-alex]", 21, f"{_FRECHET} on {_st_features('alex')}; not FID", 0.0223799535),
        _info("fd-st-vgg", "FD[st-vgg]", 18, f"{_FRECHET} on {_st_features('vgg')}; not FID", 2.50615732),
        _info("kid-st-alex", "KD[st-alex]", 21, f"{_KERNEL}, on {_st_features('alex')}; not KID", -0.0206451981),
    )
}


class FeatureDistance(DistributionMetric):
    """A Fréchet or kernel distance on the features of one network.

    The name, one of `INFO`, decides which distance.
    """

    def __init__(self, name: str, source: InceptionFeatures | StFeatures) -> None:
        self.info = INFO[name]
        self.source = source
        self.looks_through = source.network
        self.features_name, self.dimensions = source.name, source.dimensions
        self.is_kernel = name.startswith("kid")
        # A Fréchet distance of fewer images than dimensions rests on singular covariances.
        self.needs = _KID_NEEDS if self.is_kernel else self.dimensions
        self.fewest = 3 if self.is_kernel else 2  # its standard error leaves one out, and pairs must be left

    @property
    def identity(self) -> dict[str, Any]:
        """Features and SHA-256 of the network's weights: the same for metrics that share features."""
        return {"features": self.features_name, "weights": self.source.network.sha256}

    def features(self, images: Tensor) -> np.ndarray:
        """Feature vectors of (B, 3, H, W) in [0, 1]: float32 (B, D), NaN if a pixel is not finite."""
        return np.stack([self.source.vector(image) for image in images])

    def _fill(self, output: Output) -> np.ndarray:
        return self.source.vector(output.sr, output.seen_sr)

    def distance(self, sr: np.ndarray, gt: np.ndarray) -> float:
        """Distance between (N, D) and (M, D); NaN if a feature is not finite."""
        return kernel_distance(sr, gt)[0] if self.is_kernel else frechet_distance(sr, gt)

    def spread(self, sr: np.ndarray, gt: np.ndarray) -> float | None:
        """Standard error of a kernel distance; None for a Fréchet distance, which is biased instead."""
        return kernel_distance(sr, gt)[1] if self.is_kernel else None


class InceptionFeatures:
    """Features of pytorch-fid's Inception network."""

    name = "inception-2048"
    dimensions = 2048

    def __init__(self, network: Inception) -> None:
        self.network = network

    def vector(self, image: Tensor, seen: Seen | None = None) -> np.ndarray:
        """Float32 (2048,) of one (3, H, W) in [0, 1]."""
        check_range("the Inception network", image)
        return self.network.look(image, seen).numpy()


class StFeatures:
    """Pooled features of a shift-tolerant trunk."""

    def __init__(self, trunk: stlpips.ShiftTolerantTrunk) -> None:
        self.dimensions = stlpips.FEATURES[trunk.net]
        self.name = f"st-{trunk.net}-unit-{self.dimensions}"
        self.network = trunk

    def vector(self, image: Tensor, seen: Seen | None = None) -> np.ndarray:
        """Float32 (256,) or (512,) of one (3, H, W) in [0, 1]."""
        return stlpips.pooled_features(self.network, image, seen).numpy()


def load_inception() -> Inception:
    """Load pytorch-fid's network; raises CasarbiError if the weights are missing or not the ones they should be."""
    backbone = load_backbone("fid-inception")
    from benchmarks.metrics.inception import Inception  # brings torchvision: 2 s, for those who have weights

    return Inception(backbone.tensors, backbone.path, backbone.sha256)


def create(name: str) -> FeatureDistance:
    """Build one of `INFO`; raises CasarbiError if the weights are missing or not the ones they should be."""
    if "-st-" in name:
        return FeatureDistance(name, StFeatures(stlpips.load_trunk(name.rpartition("-")[2])))
    return FeatureDistance(name, InceptionFeatures(load_inception()))
