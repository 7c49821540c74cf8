"""The values behind a claim: one per image, or a distance with the same over resampled sets of images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.claims.inference import Effect, mean_effect, set_effect
from benchmarks.collect.panel import PanelResults
from benchmarks.job import GROUND_TRUTH
from benchmarks.metrics.base import Metric, Stored
from benchmarks.store.rows import Row

SET_RESAMPLES = 400
"""Resampled sets per distance, if they are small: their spread is then known to 4 %."""

SET_WORK = 20_000
"""Images drawn per distance in all, because its cost grows with them; at least 20 sets are drawn."""

SET_IMAGES = 512
"""Most images drawn into one set; the spread over larger sets follows from its fall with the root of their size."""


@dataclass(frozen=True)
class Values:
    """What a row has at a scale, to be subtracted from another row's or another scale's.

    Attributes:
        images: ids of the images behind it.
        numbers: (n,) a value per image, in their order; of a distance, (R,) the same over resampled sets.
        estimate: the distance over all images; None if there is a value per image.
    """

    images: tuple[str, ...]
    numbers: np.ndarray
    estimate: float | None = None

    @property
    def mean(self) -> float:
        """The value over all images."""
        return float(self.numbers.mean()) if self.estimate is None else self.estimate

    def minus(self, other: Values) -> Values:
        """The difference, over the images that both have; of distances both must have been taken of the same."""
        if self.estimate is not None and other.estimate is not None:
            images = min(self.images, other.images, key=len)  # of times, whose runs are not paired
            return Values(images, self.numbers - other.numbers, self.estimate - other.estimate)
        place = {image: k for k, image in enumerate(other.images)}
        shared = [(k, place[image]) for k, image in enumerate(self.images) if image in place]
        mine, theirs = [k for k, _ in shared], [k for _, k in shared]
        return Values(tuple(self.images[k] for k in mine), self.numbers[mine] - other.numbers[theirs])

    def over(self, divisor: float) -> Values:
        """The values as multiples of a number."""
        estimate = None if self.estimate is None else self.estimate / divisor
        return Values(self.images, self.numbers / divisor, estimate)

    def effect(self) -> Effect:
        """The mean or distance with its error."""
        if self.estimate is None:
            return mean_effect(self.numbers)
        return set_effect(self.estimate, self.numbers, len(self.images))


class ValueReader:
    """Reads values of one panel; what several claims ask for is read and resampled once."""

    def __init__(self, results: PanelResults) -> None:
        self.results = results
        self._sets: dict[tuple[object, ...], Values] = {}

    def read(self, models: Sequence[str], scales: Sequence[float], metric: Metric) -> dict[tuple[str, float], Values]:
        """Values of each model at each scale; for a metric between scales, at the first one, over all pairs of scales.

        Distances are taken of the images that all models have at all scales, so that they can be subtracted.
        """
        if any(column.is_features for column in metric.columns(scales[0], ())):
            images = self._shared(models, scales, metric)
            return {(m, scale): self._set(m, scale, metric, images) for m in models for scale in scales}
        if metric.between_scales:
            return {(model, scales[0]): self._over_pairs(model, scales, metric) for model in models}
        return {(model, scale): self._scores(model, scale, metric) for model in models for scale in scales}

    def _scores(self, model: str, scale: float, metric: Metric, towards: float | None = None) -> Values:
        scores = np.array(self.results.value(model, scale, metric, towards=towards).scores, dtype=np.float64)
        # Missing and infinite values are in no mean (see `benchmarks.statistics`).
        finite = np.isfinite(scores)
        images = tuple(image for image, has in zip(self.results.bench.digests, finite, strict=True) if has)
        return Values(images, scores[finite])

    def _over_pairs(self, model: str, scales: Sequence[float], metric: Metric) -> Values:
        """Mean per image over all ordered pairs of scales, of the images that have them all."""
        pairs = [(a, b) for a in scales for b in scales if a != b]
        found = [self._scores(model, a, metric, towards=b) for a, b in pairs]
        places = [{image: k for k, image in enumerate(values.images)} for values in found]
        images = [image for image in places[0] if all(image in place for place in places)]
        columns = [values.numbers[[place[i] for i in images]] for values, place in zip(found, places, strict=True)]
        return Values(tuple(images), np.mean(columns, axis=0))

    def _rows(self, model: str, scale: float, metric: Metric) -> dict[str, Row]:
        """Rows that have the metric's features, by image."""
        (column,) = metric.columns(scale, ())
        rows = zip(self.results.bench.digests, self.results.rows(model, scale), strict=True)
        return {image: row for image, row in rows if row and column.name in row.features}

    def _shared(self, models: Sequence[str], scales: Sequence[float], metric: Metric) -> tuple[str, ...]:
        have = [self._rows(model, scale, metric) for model in (*models, GROUND_TRUTH) for scale in scales]
        # In the order of their ids: the data set's may change.
        return tuple(sorted(image for image in have[0] if all(image in rows for rows in have)))

    def _set(self, model: str, scale: float, metric: Metric, images: tuple[str, ...]) -> Values:
        key = (model, scale, metric.info.name, images)
        if key not in self._sets:
            self._sets[key] = self._resampled(model, scale, metric, images)
        return self._sets[key]

    def _resampled(self, model: str, scale: float, metric: Metric, images: tuple[str, ...]) -> Values:
        n = len(images)
        if n < metric.fewest:
            return Values((), np.empty(0), float("nan"))
        ours, truth = (self._rows(name, scale, metric) for name in (model, GROUND_TRUTH))

        def distance(places: Iterable[int]) -> float:
            chosen = [images[place] for place in places]
            stored = Stored(scale, [ours[image] for image in chosen], [truth[image] for image in chosen])
            return metric.value(stored).interval.mean

        estimate = distance(range(n))
        # One seed for all rows and scales: each resampled set holds the same images everywhere.
        size = min(n, SET_IMAGES)
        draws = np.random.default_rng(0).integers(0, n, (max(20, min(SET_RESAMPLES, SET_WORK // size)), size))
        spread = np.array([distance(draw) for draw in draws])
        return Values(images, estimate + (spread - spread.mean()) * np.sqrt(size / n), estimate)
