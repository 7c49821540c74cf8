"""What a reader must know before the numbers: sentences about values that are missing, doubtful or not comparable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.collect.comparisons import shared_sentence
from benchmarks.collect.panel import PanelResults
from benchmarks.job import GROUND_TRUTH
from benchmarks.metrics.base import Metric
from casarbi.data.headers import KINDS
from casarbi.pictures.inspection import EQUAL


def notes(results: PanelResults) -> Iterator[str]:
    """All sentences about a panel. Call it after the values were computed: it reports their failures."""
    yield from _of_metrics(results)
    # What belongs to one method stands under its name.
    for method in results.spec.methods:
        if method.model and method.model not in results.bench.failed:
            yield from (f"{method.name}: {sentence}" for sentence in _of_run(results, method.model))
    lossy = [note for note in results.bench.dataset.notes if note.startswith(KINDS["lossy"])]
    if lossy and GROUND_TRUTH in results.bench.methods:
        yield f"Distances here are taken to pictures that are lossy themselves. {lossy[0]}"
    yield from _of_images(results)


def _of_metrics(results: PanelResults) -> Iterator[str]:
    n = len(results.bench.digests)
    for metric in results.bench.metrics.values():
        if metric.between_scales:
            continue
        if n < metric.needs:
            yield _few_images(metric, n, results.experiment.small_n)
        if not results.refuses(metric) and (sentence := shared_sentence(results, metric)):
            yield sentence


def _few_images(metric: Metric, n: int, small_n: bool) -> str:
    """A sentence about a distance over fewer images than an honest value needs, with `--small-n` and without."""
    label, few = metric.info.label, f"computed from {n} images, and an honest value needs {metric.needs}"
    if n < metric.fewest:
        return f"{label} is not given: it cannot be computed from {n} images, only from {metric.fewest} or more."
    if small_n:
        return f"{label} is {few}: compare it within this table only."
    mend = "--small-n, or small_n = true in a declaration, gives it, to be compared within this table only"
    return f"{label} is not given: it would be {few} ({mend})."


def _of_run(results: PanelResults, model: str) -> Iterator[str]:
    """Whether a method's run is finished, and what its model says of itself."""
    n = len(results.bench.digests)
    seen = [results.measured(model, scale) for scale in results.experiment.scales]
    if max(seen) > 0 and min(seen) < n:
        yield f"only {min(seen)} of {n} images are measured at some scale; the run is not finished."
    opened = results.bench.model(model)
    if opened and opened.info.warning:
        yield f"{opened.info.warning.rstrip('.')}."
    left = opened.leftovers(tuple(results.bench.digests)) if opened else []
    if left:
        yield f"{len(left)} outputs have no reference in {results.bench.job.data}: {_some(left)}."


def _of_images(results: PanelResults) -> Iterator[str]:
    """Which images equal the GT, look odd, or have no value."""
    n = len(results.bench.digests)
    names = {method.model: method.name for method in results.spec.methods if method.model}
    for (model, label), count in sorted(results.identical.items()):
        if count:
            yield f"{names[model]}: up to {count} of {n} outputs equal the GT; their infinite {label} is in no mean."
    for model, name in names.items():
        if model not in results.bench.failed:
            yield from (f"{name}: {sentence}" for sentence in _findings(results, model))
    for (model, reason), images in sorted(_alike(results.failures).items()):
        shown = _some(sorted(images))
        yield f"{names[model]}: {len(images)} of {n} images have no value ({shown}): {reason.rstrip('.')}."


def _findings(results: PanelResults, model: str) -> Iterator[str]:
    """What is odd about a method's outputs, a sentence per kind with the names of the images."""
    seen: dict[str, dict[str, str]] = {}
    for scale in results.experiment.scales:
        for row in filter(None, results.rows(model, scale)):
            for kind, sentence in row.findings.items():
                seen.setdefault(kind, {}).setdefault(row.image, sentence)
    for kind, images in sorted(seen.items()):
        if kind == EQUAL and any(results.identical.get((model, label)) for _, label in results.identical):
            continue  # said already, with what it does to the mean
        of = f"{len(images)} of {len(results.bench.digests)} images ({_some(list(images))})"
        yield f"in {of} {next(iter(images.values()))}."


def _alike(failures: Mapping[tuple[str, str], set[str]]) -> dict[tuple[str, str], set[str]]:
    """Images by model and reason; reasons that differ in their numbers alone are one, told by the first."""
    # "needs 192 px" and "needs 256 px" are one reason: numbers are replaced by a sign to compare.
    merged: dict[tuple[str, str], tuple[str, set[str]]] = {}
    for (model, reason), images in sorted(failures.items()):
        first, together = merged.setdefault((model, re.sub(r"-?\d[\d.,e+-]*", "#", reason)), (reason, set()))
        together |= images
    return {(model, first): images for (model, _), (first, images) in merged.items()}


def _some(names: Sequence[str]) -> str:
    """The first names of a list, each cut to a readable length."""
    return ", ".join(name if len(name) <= 60 else f"{name[:57]}…" for name in names[:3]) + " …" * (len(names) > 3)
