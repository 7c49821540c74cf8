"""The kinds of metric: each answers both questions of `Metric`, so that a metric only brings its function."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.metrics.base import Column, Metric, Output, Stored, Value
from benchmarks.statistics import Interval, mean_interval
from benchmarks.store.rows import column_name
from casarbi.errors import CasarbiError
from casarbi.scales import scale_label


class ImageMetric(Metric):
    """Compares each image of a batch with its reference; the value is the mean over images."""

    @abstractmethod
    def scores(self, sr: Tensor, gt: Tensor) -> list[float]:
        """Score a batch: both float32 (B, 3, H, W) in [0, 1]; one value per image, independent of the batch."""

    def columns(self, scale: float, scales: Iterable[float]) -> list[Column]:
        """One column of scores."""
        return [Column(column_name(self.info.name, self.identity), self.info, self._fill, network=self.looks_through)]

    def value(self, stored: Stored) -> Value:
        """Mean of the finite scores, with its bootstrap interval."""
        (column,) = self.columns(stored.scale, ())
        scores = stored.numbers(column.name)
        return Value(mean_interval(scores), f"{self.info.name} of {column.name}", _having_value(scores), scores)

    def _fill(self, output: Output) -> float:
        return self.scores(output.sr[None], output.gt[None])[0]


class DerivedMetric(Metric):
    """A number computed from the stored scores of an image metric, in id order: no image is read for it.

    Attributes:
        source: the image metric.
    """

    source: ImageMetric
    per_image = False

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the value, beside the source's identity."""
        return {"name": self.info.name, "source": self.source.info.name}

    @abstractmethod
    def reduced(self, scores: Sequence[float]) -> float:
        """Reduce the source's scores, one per image in id order, to one number; NaN scores (failed) are left out."""

    def columns(self, scale: float, scales: Iterable[float]) -> list[Column]:
        """The column of its source."""
        return self.source.columns(scale, scales)

    def value(self, stored: Stored) -> Value:
        """The reduced number, without an interval."""
        (column,) = self.columns(stored.scale, ())
        scores = stored.numbers(column.name)
        n = sum(not math.isnan(score) for score in scores)
        interval = Interval(self.reduced(scores) if n else math.nan, math.nan, math.nan, n)
        return Value(interval, f"{self.info.name} of {column.name}", _having_value(scores))


class DistributionMetric(Metric):
    """Compares a set of images with a reference set through features, which the store keeps.

    Attributes:
        features_name: name of the features; metrics that share it share the stored vectors (FID and KID).
        dimensions: numbers per feature vector.
    """

    features_name: str
    dimensions: int
    fewest = 2
    per_image = False

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
        """Standard error of the distance, to be printed beside it, or None if the metric has none."""
        return None

    def columns(self, scale: float, scales: Iterable[float]) -> list[Column]:
        """One column of features."""
        name = column_name(self.features_name, self.identity)
        return [Column(name, self.info, self._fill, is_features=True, network=self.looks_through)]

    def value(self, stored: Stored) -> Value:
        """Distance between outputs and ground truth over the images of which both have features."""
        (column,) = self.columns(stored.scale, ())
        name = column.name
        # Images that both sides have features of, and of the length that this metric reads.
        sr, gt, behind, unusable = [], [], [], {}
        for place, (row, truth) in enumerate(zip(stored.rows, stored.truth, strict=True)):
            if not (row and truth and name in row.features and name in truth.features):
                continue
            behind.append(place)
            if len(row.features[name]) == len(truth.features[name]) == self.dimensions:
                sr.append(row.features[name])
                gt.append(truth.features[name])
            else:  # only parts of before there were hashes can hold such
                unusable[place] = (
                    f"the stored features of {self.info.name} are not of {self.dimensions} numbers: --again"
                )
        interval = Interval(math.nan, math.nan, math.nan, len(sr))
        if len(sr) >= self.fewest:
            interval = self._interval(np.stack(sr), np.stack(gt))
        return Value(interval, f"{self.info.name} of {name}", tuple(behind), unusable=unusable)

    def _interval(self, sr: np.ndarray, gt: np.ndarray) -> Interval:
        distance, error = self.distance(sr, gt), self.spread(sr, gt)
        half = math.nan if error is None else 1.96 * error
        return Interval(distance, distance - half, distance + half, len(sr))

    def _fill(self, output: Output) -> np.ndarray:
        return self.features(output.sr[None])[0]


class ConsistencyMetric(Metric):
    """Compares a method's outputs of one image at two scales, such as SelfSSIM.

    Attributes:
        noise: how the scales draw noise, one of `benchmarks.metrics.NOISES`; a part of the columns' names, so that the
            store keeps the two apart.
    """

    between_scales = True
    noise: str = "shared"

    def drawn(self, noise: str) -> ConsistencyMetric:
        """The metric of outputs whose scales draw noise so."""
        metric = copy.copy(self)
        metric.noise = noise
        return metric

    @abstractmethod
    def score(self, sr: Tensor, reference: Tensor) -> float:
        """Resize one output (3, H, W) to the size of the reference (3, h, w), both in [0, 1], and compare them."""

    def columns(self, scale: float, scales: Iterable[float]) -> list[Column]:
        """One column of scores per other scale."""
        others = [other for other in scales if other != scale]
        return [Column(self._column_name(other), self.info, partial(self._fill, other)) for other in others]

    def value(self, stored: Stored) -> Value:
        """Mean score towards another scale; the best value, of all that was measured, towards the scale itself."""
        name = self._column_name(stored.towards)
        # An output equals itself, so nothing was measured for it; the images are those that have any value.
        if stored.towards == stored.scale:
            n = sum(row is not None and bool(row.values) for row in stored.rows)
            return Value(Interval(self.info.highest if n else math.nan, math.nan, math.nan, n), name)
        scores = stored.numbers(name)
        return Value(mean_interval(scores), name, _having_value(scores), scores)

    def _column_name(self, towards: float) -> str:
        # Stores of before there was a choice hold the shared rule, which therefore has no name here.
        drawn = {} if self.noise == "shared" else {"noise": self.noise}
        return column_name(f"{self.info.name}@{scale_label(towards)}", {**self.identity, **drawn})

    def _fill(self, towards: float, output: Output) -> float:
        if towards not in output.by_scale:
            raise CasarbiError(f"there is no output at x{scale_label(towards)} to compare with")
        ours, other = (output.by_scale[scale].clamp(0, 1) for scale in (output.scale, towards))
        return self.score(ours, other)


def _having_value(scores: Sequence[float]) -> tuple[int, ...]:
    """Places of the finite scores, or of the infinite ones if there are no others."""
    finite = tuple(place for place, score in enumerate(scores) if math.isfinite(score))
    return finite or tuple(place for place, score in enumerate(scores) if not math.isnan(score))
