"""From the store to a report's plain data: means, intervals, distances, the paper's numbers, and the facts behind."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmarks.collect.comparisons import shared_sentence, shared_values
from benchmarks.collect.conditions import NOT_MEASURED, conditions, matrix_conditions, value_conditions
from benchmarks.collect.facts import facts
from benchmarks.experiments import Experiment, MethodRow, PanelSpec
from benchmarks.job import GROUND_TRUTH, Bench, selfssim_column, stored_column
from benchmarks.metrics import metric_info
from benchmarks.metrics.base import ConsistencyMetric, DerivedMetric, DistributionMetric, Metric
from benchmarks.statistics import Interval, mean_interval
from benchmarks.store import Row, Store
from casarbi.data.headers import KINDS
from casarbi.pictures.inspection import EQUAL
from reports.document import (
    COLUMNS,
    IMAGE_COLUMNS,
    Document,
    Matrix,
    Method,
    MetricColumn,
    Panel,
    Picture,
    empty_frame,
)

NOT_HERE = Interval(math.nan, math.nan, math.nan, 0)


@dataclass
class PanelResults:
    """Reads one panel's cells once and answers for every method, scale and metric."""

    experiment: Experiment
    spec: PanelSpec
    bench: Bench
    store: Store

    def __post_init__(self) -> None:
        self._rows: dict[tuple[str, float], list[Row | None]] = {}
        self._intervals: dict[tuple[object, ...], Interval] = {}
        self.failures: dict[tuple[str, str], set[str]] = {}
        self.identical: dict[tuple[str, str], int] = {}

    def rows(self, model: str, scale: float) -> list[Row | None]:
        """Rows of all images in the data set's order; None where nothing was measured."""
        if (model, scale) not in self._rows:
            found = self.store.cell(self.bench.key(model, scale)).rows()
            self._rows[model, scale] = [found.get(item) for item in self.bench.digests.items()]
        return self._rows[model, scale]

    def models(self) -> dict[str, str]:
        """Row name to model reference, of the rows whose models open."""
        rows = self.spec.methods
        return {row.name: row.model for row in rows if row.model and self.bench.model(row.model)}

    def measured(self, model: str, scale: float) -> int:
        """Images a run has seen, whether or not they have values."""
        return sum(row is not None for row in self.rows(model, scale))

    def has(self, model: str, scale: float, metric: Metric) -> bool:
        """Whether a run has sought this metric's values: there are some, or reasons for their lack."""
        column = stored_column(metric)
        return any(row is not None and (row.has(column) or "" in row.failures) for row in self.rows(model, scale))

    def interval(self, model: str, scale: float, metric: Metric, among: frozenset[str] | None = None) -> Interval:
        """Value of a metric with its interval, over all images or `among` some; distances have no interval."""
        key = (model, scale, metric.info.name, among)
        if key not in self._intervals:
            self._intervals[key] = self._interval(model, scale, metric, among)
        return self._intervals[key]

    def _interval(self, model: str, scale: float, metric: Metric, among: frozenset[str] | None) -> Interval:
        rows = self.rows(model, scale)
        if among is not None:
            rows = [row if image in among else None for image, row in zip(self.bench.digests, rows, strict=True)]
        column = stored_column(metric)
        if isinstance(metric, DistributionMetric):
            self._note_failures(model, rows, column)
            return self._distance(model, rows, scale, metric, column)
        values = self._values(model, rows, column)
        if isinstance(metric, DerivedMetric):
            known = [value for value in values if not math.isnan(value)]
            return Interval(metric.value(values), math.nan, math.nan, len(known)) if known else NOT_HERE
        found = mean_interval(values)
        self.identical[model, metric.info.label] = max(
            found.n_infinite, self.identical.get((model, metric.info.label), 0)
        )
        return found

    def selfssim(self, model: str, scale: float, reference_scale: float, metric: ConsistencyMetric) -> Interval:
        """Mean SelfSSIM of outputs at one scale resized to, and compared with, those at another."""
        rows = self.rows(model, scale)
        if scale == reference_scale:
            n = sum(row is not None and bool(row.values) for row in rows)
            return Interval(1.0, math.nan, math.nan, n) if n else NOT_HERE
        return mean_interval(self._values(model, rows, selfssim_column(metric, reference_scale)))

    def scores(self, model: str, scale: float, metric: Metric) -> list[float]:
        """Values of an image metric in the data set's order, NaN where there is none."""
        return self._values(model, self.rows(model, scale), stored_column(metric))

    def _values(self, model: str, rows: Sequence[Row | None], column: str) -> list[float]:
        self._note_failures(model, rows, column)
        return [row.values.get(column, math.nan) if row else math.nan for row in rows]

    def _note_failures(self, model: str, rows: Sequence[Row | None], column: str) -> None:
        for image, row in zip(self.bench.digests, rows, strict=True):
            reason = row and (row.failures.get(column) or row.failures.get(""))
            if reason:
                self.failures.setdefault((model, reason), set()).add(image)

    def _distance(
        self, model: str, rows: Sequence[Row | None], scale: float, metric: DistributionMetric, column: str
    ) -> Interval:
        both = []
        for image, row, truth in zip(self.bench.digests, rows, self.rows(GROUND_TRUTH, scale), strict=True):
            if not (row and truth and column in row.features and column in truth.features):
                continue
            vectors = row.features[column], truth.features[column]
            if all(len(vector) == metric.dimensions for vector in vectors):
                both.append(vectors)
            else:  # only parts without a hash, from before there were hashes, can hold such
                reason = f"the stored features of {metric.info.name} are not of {metric.dimensions} numbers: --again"
                self.failures.setdefault((model, reason), set()).add(image)
        if len(both) < metric.fewest:
            return Interval(math.nan, math.nan, math.nan, len(both))
        sr, gt = (np.stack(side) for side in zip(*both, strict=True))
        distance, error = metric.distance(sr, gt), metric.spread(sr, gt)
        half = math.nan if error is None else 1.96 * error
        return Interval(distance, distance - half, distance + half, len(both))


def collect(
    experiment: Experiment,
    benches: Mapping[str, Bench],
    store: Store,
    *,
    date: str,
    command: str,
    pictures: Mapping[str, Sequence[Picture]],
) -> Document:
    """Everything a report of an experiment says, from what the store holds now.

    Args:
        experiment: the declaration.
        benches: opened job of each panel, by panel name.
        store: where the rows are.
        date: printed as it is.
        command: command that makes the report again.
        pictures: samples of each panel.
    """
    panels = tuple(
        _panel(PanelResults(experiment, spec, benches[spec.name], store), pictures.get(spec.name, ()))
        for spec in experiment.panels
    )
    return Document(
        title=experiment.title,
        experiment=experiment.name,
        preset=experiment.preset,
        panels=panels,
        date=date,
        summary=experiment.summary,
        command=command,
        facts=(("Preset", experiment.preset), ("Seed", str(experiment.seed))),
    )


def _panel(results: PanelResults, pictures: Sequence[Picture]) -> Panel:
    experiment, spec, bench = results.experiment, results.spec, results.bench
    metrics = {name: metric for name, metric in bench.metrics.items() if not isinstance(metric, ConsistencyMetric)}
    selfssim = [metric for metric in bench.metrics.values() if isinstance(metric, ConsistencyMetric)]
    columns = tuple(_metric_columns(experiment, metrics, spec.cite))
    methods = tuple(_method(results, row) for row in spec.methods if row.model or spec.cite)
    records = [record for row in spec.methods for record in _records(results, row, columns, metrics)]
    frame = pd.DataFrame(records, columns=list(COLUMNS)) if records else empty_frame()
    frame["experiment"], frame["preset"] = experiment.name, experiment.preset
    ranked = [(scale, name) for name in metrics for scale in experiment.scales if not _refused(results, metrics[name])]
    shared = {
        (method, scale, name): value
        for scale, name in ranked
        for method, value in shared_values(results, metrics[name], scale).items()
    }
    matrices = [_matrix(results, row, metric) for metric in selfssim for row in spec.methods if row.model or spec.cite]
    return Panel(
        name=spec.name,
        caption=spec.caption,
        frame=frame,
        scales=experiment.scales if columns else (),
        metrics=columns,
        methods=methods,
        split=experiment.split,
        paper_note=experiment.paper.note if experiment.paper and spec.cite else "",
        warnings=tuple(_warnings(results, list(metrics.values()))),
        facts=facts(results),
        matrices=tuple(matrices),
        pictures=tuple(pictures),
        shared=shared,
        images=pd.DataFrame(_image_records(results), columns=list(IMAGE_COLUMNS)),
    )


def _image_records(results: PanelResults) -> Iterator[dict[str, object]]:
    """What is known of every single image, SelfSSIM as selfssim@REFERENCE; features have no value of one image."""
    for row in results.spec.methods:
        if not row.model or row.model in results.bench.failed:
            continue
        for scale in results.experiment.scales:
            columns = results.bench.columns(row.model, scale)
            names = {c: c.partition("#")[0] for c, m in columns.items() if not isinstance(m, DistributionMetric)}
            for found in filter(None, results.rows(row.model, scale)):
                for column, name in names.items():
                    if not (found.has(column) or "" in found.failures):
                        continue  # no run has sought it yet
                    yield {
                        **conditions(results, row.model, scale, column, [found]),
                        "image": found.image,
                        "method": row.name,
                        "scale": scale,
                        "metric": name,
                        "value": found.values.get(column, math.nan),
                        "reason": found.failures.get(column) or found.failures.get("", ""),
                    }


def _metric_columns(experiment: Experiment, metrics: Mapping[str, Metric], cite: bool) -> Iterator[MetricColumn]:
    paper = experiment.paper.columns if experiment.paper and cite else {}
    for name, metric in metrics.items():
        info = metric.info
        yield MetricColumn(
            name, info.label, info.higher_is_better, info.decimals, paper.get(name, "").upper(), info.description
        )
    for name in experiment.optional:
        if name not in metrics and name in paper:
            info = metric_info(name)
            note = f"Not measured here: the weights of {name} are not on this machine (casarbi-bench doctor says more)."
            yield MetricColumn(name, info.label, info.higher_is_better, info.decimals, paper[name].upper(), note)


def _method(results: PanelResults, row: MethodRow) -> Method:
    model = results.bench.model(row.model) if row.model else None
    return Method(
        row.name,
        group=row.group,
        trained=model.info.trained_scales if model else None,
        reason=_reason(results, row),
    )


def _reason(results: PanelResults, row: MethodRow) -> str:
    """Why a row has no measured values, as the end of a sentence; "" where it has."""
    if row.model in results.bench.failed:
        return results.bench.failed[row.model].rstrip(".")
    if row.model and not any(results.measured(row.model, scale) for scale in results.experiment.scales):
        return f"not measured yet: casarbi-bench run {results.experiment.name}"
    return row.reason


def _records(
    results: PanelResults, row: MethodRow, columns: Sequence[MetricColumn], metrics: Mapping[str, Metric]
) -> Iterator[dict[str, object]]:
    experiment, spec = results.experiment, results.spec
    model = results.bench.model(row.model) if row.model else None
    if not row.model and not spec.cite:
        return
    for scale in experiment.scales:
        for column in columns:
            paper = experiment.paper.value(row.name, scale, column.name) if experiment.paper and spec.cite else None
            if not row.model and column.name not in (experiment.paper.columns if experiment.paper else ()):
                continue  # neither measured nor in the paper: no row of dashes
            metric = metrics.get(column.name)
            measured = bool(
                model and metric and results.has(row.model, scale, metric) and not _refused(results, metric)
            )
            found = results.interval(row.model, scale, metric) if metric and measured else NOT_HERE
            source = "measured" if measured else "cited" if paper is not None else "missing"
            yield {
                **(value_conditions(results, row.model, scale, metric) if metric and measured else NOT_MEASURED),
                "method": row.name,
                "scale": scale,
                "metric": column.name,
                "value": found.mean if measured else paper if paper is not None else math.nan,
                "ci_low": found.low,
                "ci_high": found.high,
                "n": found.n,
                "source": source,
                "paper_value": math.nan if paper is None else paper,
            }


def _refused(results: PanelResults, metric: Metric) -> bool:
    """Whether a distance over so few images is not given (see `Experiment.small_n`)."""
    if not isinstance(metric, DistributionMetric):
        return False
    return len(results.bench.digests) < (metric.fewest if results.experiment.small_n else metric.needs)


def _matrix(results: PanelResults, row: MethodRow, metric: ConsistencyMetric) -> Matrix:
    experiment, scales = results.experiment, results.experiment.scales
    model = results.bench.model(row.model) if row.model else None
    paper = None
    if experiment.paper and results.spec.cite:
        cited = [[experiment.paper.value(row.name, a, metric.info.name, b) for b in scales] for a in scales]
        paper = np.array(cited, dtype=float)
        paper = None if np.isnan(paper).all() else paper
    info = metric.info
    named = Matrix(row.name, scales, paper=paper, metric=info.name, label=info.label, decimals=info.decimals)
    if model is None or not any(results.measured(row.model, scale) for scale in scales):
        return replace(named, reason=_reason(results, row))
    found = [[results.selfssim(row.model, a, b, metric) for b in scales] for a in scales]
    values, low, high, n = (
        np.array([[getattr(cell, part) for cell in line] for line in found]) for part in ("mean", "low", "high", "n")
    )
    behind = matrix_conditions(results, row.model, metric)
    return replace(named, values=values, low=low, high=high, n=n, conditions=behind)


def _warnings(results: PanelResults, metrics: Sequence[Metric]) -> Iterator[str]:
    n = len(results.bench.digests)
    names = {row.model: row.name for row in results.spec.methods if row.model}
    for metric in metrics:
        if isinstance(metric, DistributionMetric) and n < metric.needs:
            yield _few_images(metric, n, results.experiment.small_n)
        if sentence := "" if _refused(results, metric) else shared_sentence(results, metric):
            yield sentence
    for row in results.spec.methods:
        if not row.model or row.model in results.bench.failed:
            continue
        seen = [results.measured(row.model, scale) for scale in results.experiment.scales]
        if max(seen) > 0 and min(seen) < n:
            yield f"{row.name}: only {min(seen)} of {n} images are measured at some scale; the run is not finished."
        opened = results.bench.model(row.model)
        if opened and opened.info.warning:
            yield f"{row.name}: {opened.info.warning.rstrip('.')}."
        left = opened.leftovers(tuple(results.bench.digests)) if opened else []
        if left:
            yield f"{row.name}: {len(left)} outputs have no reference in {results.bench.job.data}: {_some(left)}."
    lossy = [note for note in results.bench.dataset.notes if note.startswith(KINDS["lossy"])]
    if lossy and any(isinstance(metric, DistributionMetric) for metric in metrics):
        yield f"Distances here are taken to pictures that are lossy themselves. {lossy[0]}"
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
    """What is odd about a method's outputs, a sentence per kind with the pictures' names."""
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
    merged: dict[tuple[str, str], tuple[str, set[str]]] = {}
    for (model, reason), images in sorted(failures.items()):
        first, together = merged.setdefault((model, re.sub(r"-?\d[\d.,e+-]*", "#", reason)), (reason, set()))
        together |= images
    return {(model, first): images for (model, _), (first, images) in merged.items()}


def _some(names: Sequence[str]) -> str:
    """The first names of a list, each cut to a readable length."""
    return ", ".join(name if len(name) <= 60 else f"{name[:57]}…" for name in names[:3]) + " …" * (len(names) > 3)


def _few_images(metric: DistributionMetric, n: int, small_n: bool) -> str:
    """One truth about a distance over fewer images than give an honest one, with `--small-n` and without."""
    label, few = metric.info.label, f"of {n} images, and an honest one takes {metric.needs}"
    if n < metric.fewest:
        return f"{label} is not given: it cannot be computed of {n} images, only of {metric.fewest} or more."
    if small_n:
        return f"{label} is {few}: compare it within this table only."
    mend = "--small-n, or small_n = true in a declaration, gives it, to be compared within this table only"
    return f"{label} is not given: it would be {few} ({mend})."
