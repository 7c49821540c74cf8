"""Which method is better, told on the same images only: ranks over shared images, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmarks.collect.panel import PanelResults
from benchmarks.metrics.base import Metric
from benchmarks.statistics import paired_difference
from casarbi.scales import scale_label


def shared_images(results: PanelResults, metric: Metric, scale: float) -> frozenset[str] | None:
    """Images behind the value of every method that has one, or None if all have the same: then nothing differs.

    A method whose values are all infinite equals the reference everywhere: it needs no images to be the best.
    """
    # One set per method with a finite value; equal sets, by far the usual case, need no second value.
    images = list(results.bench.digests)
    values = [results.value(model, scale, metric) for model in results.models().values()]
    behind = {
        frozenset(images[place] for place in value.behind) for value in values if math.isfinite(value.interval.mean)
    }
    return frozenset.intersection(*behind) if len(behind) > 1 else None


def shared_means(results: PanelResults, metric: Metric, scale: float) -> dict[str, float]:
    """Value of each method, by its name, over the images that all have; {} if all have the same."""
    shared = shared_images(results, metric, scale)
    return {} if shared is None else _means_among(results, metric, scale, shared)


def _means_among(results: PanelResults, metric: Metric, scale: float, shared: frozenset[str]) -> dict[str, float]:
    # A value that is not finite, such as the PSNR of a perfect copy, stays as it is.
    means = _means(results, metric, scale)
    return {
        name: results.value(results.models()[name], scale, metric, among=shared).interval.mean
        if math.isfinite(mean)
        else mean
        for name, mean in means.items()
    }


def shared_sentence(results: PanelResults, metric: Metric) -> str:
    """What a reader must know if the methods of a column were measured on different images; "" if none were."""
    parts = []
    for scale in results.experiment.scales:
        shared = shared_images(results, metric, scale)
        if shared is None:
            continue
        means = _means_among(results, metric, scale, shared)
        shown = [f"{name} {mean:.{metric.info.decimals}f}" for name, mean in means.items() if math.isfinite(mean)]
        told = f"over the {len(shared)} that all have, {', '.join(shown)}" if shown else ""
        parts.append(f"×{scale_label(scale)}: {told or 'they share none, so no mark is set'}")
    if not parts:
        return ""
    words = "the methods have values for different images; the best are marked by those that all have"
    return f"{metric.info.label}: {words}. {'; '.join(parts)}."


def paired_facts(results: PanelResults) -> Iterator[tuple[str, str]]:
    """A line per metric: at each scale the best method's mean difference to the second, with its 95 % interval."""
    for metric in results.bench.metrics.values():
        if metric.per_image and not metric.between_scales:
            parts = [part for scale in results.experiment.scales if (part := _at_scale(results, metric, scale))]
            if parts:
                yield f"Paired {metric.info.label}", "; ".join(parts)


def _at_scale(results: PanelResults, metric: Metric, scale: float) -> str:
    """Such as `×5.3: LIIF - Bicubic = +2.74 [2.66, 2.82]`; "" if fewer than two methods share images."""
    # Ranked by the images that all have, if the methods have different ones.
    means = _means(results, metric, scale) | shared_means(results, metric, scale)
    names = (name for name, mean in means.items() if math.isfinite(mean))
    ranked = sorted(names, key=lambda name: means[name], reverse=metric.info.higher_is_better)
    if len(ranked) < 2:
        return ""
    # The pair that a reader asks about: the two best, image by image.
    best, second = ranked[:2]
    models = results.models()
    found = paired_difference(*(results.value(models[name], scale, metric).scores for name in (best, second)))
    digits = metric.info.decimals
    mean = f"×{scale_label(scale)}: {best} - {second} = {found.mean:+.{digits}f}"
    if found.n < 2:
        return f"{mean} (one image; an interval needs two)"
    doubt = "" if found.excludes(0) else ", not told apart"
    return f"{mean} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]{doubt}"


def _means(results: PanelResults, metric: Metric, scale: float) -> dict[str, float]:
    return {name: results.value(model, scale, metric).interval.mean for name, model in results.models().items()}
