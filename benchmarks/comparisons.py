"""Whether the best method is better than the second on the same images: paired differences, said under each table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.metrics.base import ImageMetric
from benchmarks.statistics import mean_interval, paired_difference
from casarbi.scales import scale_label

if TYPE_CHECKING:
    from benchmarks.results import PanelResults


def paired_facts(results: PanelResults) -> Iterator[tuple[str, str]]:
    """A line a metric: at each scale the best method's mean difference to the second, with its 95 % interval."""
    for metric in results.bench.metrics.values():
        if isinstance(metric, ImageMetric):
            parts = [part for scale in results.experiment.scales if (part := _at_scale(results, metric, scale))]
            if parts:
                yield f"Paired {metric.info.label}", "; ".join(parts)


def _at_scale(results: PanelResults, metric: ImageMetric, scale: float) -> str:
    """Such as `×5.3: LIIF - Bicubic = +2.74 [2.66, 2.82]`; "" where fewer than two methods have values."""
    scores = {
        row.name: results.scores(row.model, scale, metric)
        for row in results.spec.methods
        if row.model and results.bench.model(row.model)
    }
    means = {name: mean_interval(values).mean for name, values in scores.items()}
    ranked = sorted(
        (name for name, mean in means.items() if math.isfinite(mean)),
        key=lambda name: means[name],
        reverse=metric.info.higher_is_better,
    )
    if len(ranked) < 2:
        return ""
    best, second = ranked[:2]
    found = paired_difference(scores[best], scores[second])
    digits = metric.info.decimals
    low, high = f"{found.low:+.{digits}f}", f"{found.high:+.{digits}f}"
    doubt = "" if found.excludes(0) else ", not told apart"
    return f"×{scale_label(scale)}: {best} - {second} = {found.mean:+.{digits}f} [{low}, {high}]{doubt}"
