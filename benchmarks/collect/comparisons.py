"""Which method is better, told on the same images only: ranks over shared images, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.job import GROUND_TRUTH, stored_column
from benchmarks.metrics.base import DistributionMetric, ImageMetric, Metric
from benchmarks.statistics import paired_difference
from casarbi.scales import scale_label

if TYPE_CHECKING:
    from benchmarks.collect import PanelResults


def counted(results: PanelResults, model: str, scale: float, metric: Metric) -> frozenset[str]:
    """Images behind a value: those with features or a finite value, or with any value where none is finite."""
    rows = dict(zip(results.bench.digests, results.rows(model, scale), strict=True))
    column = stored_column(metric)
    if isinstance(metric, DistributionMetric):
        truth = dict(zip(results.bench.digests, results.rows(GROUND_TRUTH, scale), strict=True))
        both = ((image, row, truth[image]) for image, row in rows.items())
        return frozenset(i for i, a, b in both if a and b and column in a.features and column in b.features)
    values = {image: row.values[column] for image, row in rows.items() if row and column in row.values}
    return frozenset(i for i, value in values.items() if math.isfinite(value)) or frozenset(values)


def shared_images(results: PanelResults, metric: Metric, scale: float) -> frozenset[str] | None:
    """Images behind the value of every method that has one, or None where all have the same: then nothing differs.

    A method whose values are all infinite equals the reference everywhere: it needs no images to be the best.
    """
    behind = {
        counted(results, model, scale, metric)
        for model in results.models().values()
        if math.isfinite(results.interval(model, scale, metric).mean)
    }
    return frozenset.intersection(*behind) if len(behind) > 1 else None


def shared_values(results: PanelResults, metric: Metric, scale: float) -> dict[str, float]:
    """Value of each method, by the name of its row, over the images that all have; {} where all have the same."""
    shared = shared_images(results, metric, scale)
    if shared is None:
        return {}
    found = {name: results.interval(model, scale, metric).mean for name, model in results.models().items()}
    return {
        name: results.interval(results.models()[name], scale, metric, shared).mean if math.isfinite(value) else value
        for name, value in found.items()
    }


def shared_sentence(results: PanelResults, metric: Metric) -> str:
    """What a reader must know where the methods of a column were measured on different images; "" where none were."""
    parts = []
    for scale in results.experiment.scales:
        values = shared_values(results, metric, scale)
        shown = [f"{name} {value:.{metric.info.decimals}f}" for name, value in values.items() if math.isfinite(value)]
        shared = len(shared_images(results, metric, scale) or ())
        if values:
            told = (
                f"over the {shared} that all have, {', '.join(shown)}"
                if shown
                else "they share none, so no mark is set"
            )
            parts.append(f"×{scale_label(scale)}: {told}")
    if not parts:
        return ""
    words = "the methods have values of different images; the best are marked by those that all have"
    return f"{metric.info.label}: {words}. {'; '.join(parts)}."


def paired_facts(results: PanelResults) -> Iterator[tuple[str, str]]:
    """A line a metric: at each scale the best method's mean difference to the second, with its 95 % interval."""
    for metric in results.bench.metrics.values():
        if isinstance(metric, ImageMetric):
            parts = [part for scale in results.experiment.scales if (part := _at_scale(results, metric, scale))]
            if parts:
                yield f"Paired {metric.info.label}", "; ".join(parts)


def _at_scale(results: PanelResults, metric: ImageMetric, scale: float) -> str:
    """Such as `×5.3: LIIF - Bicubic = +2.74 [2.66, 2.82]`; "" where fewer than two methods share images."""
    models = results.models()
    values = {name: results.interval(model, scale, metric).mean for name, model in models.items()}
    values |= shared_values(results, metric, scale)
    names = (name for name, value in values.items() if math.isfinite(value))
    ranked = sorted(names, key=lambda name: values[name], reverse=metric.info.higher_is_better)
    if len(ranked) < 2:
        return ""
    best, second = ranked[:2]
    found = paired_difference(*(results.scores(models[name], scale, metric) for name in (best, second)))
    digits = metric.info.decimals
    mean = f"×{scale_label(scale)}: {best} - {second} = {found.mean:+.{digits}f}"
    if found.n < 2:
        return f"{mean} (one image; an interval needs two)"
    doubt = "" if found.excludes(0) else ", not told apart"
    return f"{mean} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]{doubt}"
