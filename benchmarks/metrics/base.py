"""What a metric is to the harness: a pure function with its direction, range and limits declared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    needs: int
    """Images below which the distance is refused unless forced."""

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


def pooled_sides(images: Sequence[Tensor]) -> int:
    """Smallest side over images of any shape (…, H, W)."""
    return min(min(image.shape[-2:]) for image in images)
