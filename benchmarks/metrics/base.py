"""What a metric is to the harness: a pure function with its direction, range and limits declared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from casarbi.errors import CasarbiError
from casarbi.scales import Size

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class MetricInfo:
    """Facts of a metric that stores and reports need.

    Attributes:
        name: key in stores and on the command line, such as "psnr" or "st-lpips-alex".
        label: column heading with its unit, such as "PSNR (dB)".
        higher_is_better: direction.
        lowest, highest: range of possible values; infinite ends are float("inf").
        min_side: smallest image side in pixels; below it a value is missing with a reason, never made up.
        decimals: digits printed.
        description: one sentence with the variant spelled out (window, colour, backbone) and its source.
    """

    name: str
    label: str
    higher_is_better: bool
    lowest: float
    highest: float
    min_side: int
    decimals: int
    description: str


class ImageMetric(ABC):
    """Compares each image of a batch with its reference."""

    info: MetricInfo

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the value (variant, weights' SHA-256) as plain JSON; a change makes stored values stale."""
        return {"name": self.info.name}

    @abstractmethod
    def scores(self, sr: Tensor, gt: Tensor) -> list[float]:
        """Score a batch: both float32 (B, 3, H, W) in [0, 1]; one value an image, independent of the batch."""


class DistributionMetric(ABC):
    """Compares a set of images with a reference set through features, which the store keeps."""

    info: MetricInfo
    features_name: str
    """Name of the features; metrics that share it share the stored vectors (FID and KID)."""
    dimensions: int
    """Numbers per feature vector."""
    needs: int
    """Images below which the distance is refused unless forced."""
    fewest: int = 2
    """Images below which there is no distance at all."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the features (backbone, weights' SHA-256) as plain JSON."""
        return {"features": self.features_name}

    @abstractmethod
    def features(self, images: Tensor) -> np.ndarray:
        """Feature vectors of a batch in [0, 1]: float32 (B, D), independent of the batch."""

    @abstractmethod
    def distance(self, sr: np.ndarray, gt: np.ndarray) -> float:
        """Distance between two feature sets (N, D) and (M, D)."""

    def spread(self, sr: np.ndarray, gt: np.ndarray) -> float | None:
        """Standard error of the distance, to be printed beside it, or None where the metric has none."""
        return None


class DerivedMetric(ABC):
    """A figure computed from the stored rows of an image metric, in id order: no image is read for it."""

    info: MetricInfo
    source: str
    """Name of the image metric whose values it reads."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the value, beside the source's identity."""
        return {"name": self.info.name, "source": self.source}

    @abstractmethod
    def value(self, rows: Sequence[float]) -> float:
        """Reduce the source's values, one an image in id order, to one figure; NaN rows (failed) are left out."""


class ConsistencyMetric(ABC):
    """Compares a method's outputs for one image at two scales, such as SelfSSIM."""

    info: MetricInfo

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the value as plain JSON."""
        return {"name": self.info.name}

    @abstractmethod
    def score(self, sr: Tensor, reference: Tensor) -> float:
        """Resize one output (3, H, W) to the size of the reference (3, h, w), both in [0, 1], and compare them."""


Metric = ImageMetric | DistributionMetric | DerivedMetric | ConsistencyMetric


def missing_reason(info: MetricInfo, size: Size) -> str | None:
    """Say why a metric has no value for images of this (height, width), or None where it has one."""
    if min(size) >= info.min_side:
        return None
    return f"{info.name} needs images of at least {info.min_side} px, this one is {size[1]}x{size[0]} px"


def check_pair(info: MetricInfo, sr: Tensor, gt: Tensor) -> None:
    """Refuse what a metric would turn into a wrong number.

    NaN passes: each metric answers it with NaN.

    Raises:
        CasarbiError: where the shapes differ or are not (B, 3, H, W), a side is below the metric's smallest, or
            values leave [0, 1] (a metric never clips in silence, nor guesses a range).
    """
    if sr.shape != gt.shape or sr.ndim != 4 or sr.shape[1] != 3:
        raise CasarbiError(
            f"{info.name} compares two batches of equal shape (B, 3, H, W), found {tuple(sr.shape)} and "
            f"{tuple(gt.shape)}: bring both to one size first."
        )
    reason = missing_reason(info, (sr.shape[-2], sr.shape[-1]))
    if reason:
        raise CasarbiError(f"{reason}: leave the metric out here, or score larger images.")
    for images, what in ((sr, "The scored images"), (gt, "The reference images")):
        check_range(info.name, images, what)


def check_range(metric: str, images: Tensor, what: str = "The images") -> None:
    """Raise CasarbiError where values leave [0, 1]; NaN passes."""
    if images.numel() == 0:
        raise CasarbiError(f"{what} given to {metric} hold no pixels.")
    low, high = (float(end) for end in images.detach().aminmax())
    if low < 0 or high > 1:
        raise CasarbiError(
            f"{what} hold values from {low:.4g} to {high:.4g}, {metric} wants [0, 1]: clip or rescale them first."
        )
