"""From the store to a report's plain data: means, intervals, distances, the paper's numbers, and the facts behind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from benchmarks.collect.cited import banner, cited_matrix, cited_panel
from benchmarks.collect.comparisons import shared_means
from benchmarks.collect.conditions import NOT_MEASURED, conditions, value_conditions
from benchmarks.collect.facts import facts
from benchmarks.collect.notes import notes
from benchmarks.collect.panel import PanelResults
from benchmarks.experiments import Experiment, MethodSpec, PanelSpec
from benchmarks.job import Bench
from benchmarks.metrics import metric_info
from benchmarks.metrics.base import Metric, MetricInfo
from benchmarks.statistics import Interval
from benchmarks.store import Store
from reports.document import (
    COLUMNS,
    IMAGE_COLUMNS,
    Document,
    Matrix,
    Method,
    MetricColumn,
    Panel,
    Sheet,
    empty_frame,
)

NOT_HERE = Interval(math.nan, math.nan, math.nan, 0)


def collect(
    experiment: Experiment,
    benches: Mapping[str, Bench],
    store: Store,
    *,
    date: str,
    command: str,
    sheets: Mapping[str, Sequence[Sheet]],
) -> Document:
    """Everything a report of an experiment says, from what the store holds now.

    `benches` are the opened jobs and `sheets` the samples, by panel; `command` makes the report again, at another date.
    """
    panels = [
        _panel(PanelResults(experiment, spec, benches[spec.name], store), sheets.get(spec.name, ()))
        for spec in experiment.panels
    ]
    # Behind the panels that mirror the paper's table, before those of other things.
    if cited := cited_panel(experiment):
        last = max(place for place, spec in enumerate(experiment.panels) if spec.cite)
        panels.insert(last + 1, cited)
    return Document(
        title=experiment.title,
        experiment=experiment.name,
        preset=experiment.preset,
        panels=tuple(panels),
        date=date,
        summary=experiment.summary,
        command=command,
        facts=(("Preset", experiment.preset), ("Seed", str(experiment.seed))),
    )


def _panel(results: PanelResults, sheets: Sequence[Sheet]) -> Panel:
    """Tables and matrices first: notes and facts tell what failed in them."""
    experiment, spec, metrics = results.experiment, results.spec, results.bench.metrics
    # Rows that are neither measured nor cited here would be empty; a mirror of the paper's table says why they are.
    shown = [method for method in spec.methods if method.model or (spec.cite and (results.paper or not method.cited))]
    if not results.paper and not any(method.model for method in shown):
        return _idle_panel(spec, shown)
    tabled = {name: metric for name, metric in metrics.items() if not metric.between_scales}
    columns = tuple(_metric_columns(results, tabled))
    frame = pd.DataFrame(list(_records(results, shown, columns, tabled)), columns=list(COLUMNS))
    matrices = [
        _matrix(results, method, metric) for metric in metrics.values() if metric.between_scales for method in shown
    ]
    return Panel(
        name=spec.name,
        caption=spec.caption,
        frame=(frame if len(frame) else empty_frame()).assign(experiment=experiment.name, preset=experiment.preset),
        scales=experiment.scales if columns else (),
        metrics=columns,
        methods=tuple(_method(results, method) for method in shown),
        split=experiment.split,
        paper_note=results.paper.note if results.paper else "",
        shared=_shared(results, tabled),
        warnings=(*banner(results), *(results.paper.cautions if results.paper else ()), *notes(results)),
        facts=facts(results),
        matrices=tuple(matrices),
        sheets=tuple(sheets),
        images=pd.DataFrame(_image_records(results), columns=list(IMAGE_COLUMNS)),
    )


def _idle_panel(spec: PanelSpec, methods: Sequence[MethodSpec]) -> Panel:
    """A panel of which nothing can be measured: the reasons, in place of tables without a number."""
    reasons = (f"Not measured: {method.name}{f': {method.reason}' if method.reason else ''}" for method in methods)
    return Panel(spec.name, spec.caption, empty_frame(), warnings=tuple(f"{reason.rstrip('.')}." for reason in reasons))


def _shared(results: PanelResults, metrics: Mapping[str, Metric]) -> dict[tuple[str, float, str], float]:
    """By (method, scale, metric), the value over the images that all methods have, if they have different ones."""
    return {
        (method, scale, name): mean
        for name, metric in metrics.items()
        if not results.refuses(metric)
        for scale in results.experiment.scales
        for method, mean in shared_means(results, metric, scale).items()
    }


def _metric_columns(results: PanelResults, metrics: Mapping[str, Metric]) -> Iterator[MetricColumn]:
    """The measured metrics, and after them those that the paper has but whose weights are not here."""
    paper = results.paper.columns if results.paper else {}
    for name, metric in metrics.items():
        yield _metric_column(metric.info, paper.get(name, ""), metric.info.description)
    for name in () if results.spec.metrics else results.experiment.optional:
        if name not in metrics and name in paper:
            note = f"Not measured here: the weights of {name} are not on this machine (casarbi-bench doctor says more)."
            yield _metric_column(metric_info(name), paper[name], note)


def _metric_column(info: MetricInfo, paper: str, note: str) -> MetricColumn:
    return MetricColumn(
        name=info.name,
        label=info.label,
        higher_is_better=info.higher_is_better,
        decimals=info.decimals,
        paper_metric=paper.upper(),
        note=note,
    )


def _method(results: PanelResults, method: MethodSpec) -> Method:
    model = results.bench.model(method.model) if method.model else None
    return Method(
        method.name,
        group=method.group,
        trained=model.info.trained_scales if model else None,
        reason=_reason(results, method),
    )


def _reason(results: PanelResults, method: MethodSpec) -> str:
    """Why a method has no measured values, as the end of a sentence; "" if it has."""
    if method.model in results.bench.failed:
        return results.bench.failed[method.model].rstrip(".")
    if method.model and not any(results.measured(method.model, scale) for scale in results.experiment.scales):
        return f"not measured yet: casarbi-bench run {results.experiment.name}"
    return method.reason


def _records(
    results: PanelResults,
    methods: Sequence[MethodSpec],
    columns: Sequence[MetricColumn],
    metrics: Mapping[str, Metric],
) -> Iterator[dict[str, object]]:
    """One record of the tidy frame per method, scale and metric."""
    paper = results.paper
    for method in methods:
        for scale in results.experiment.scales:
            for column in columns:
                if not method.model and paper and column.name not in paper.columns:
                    continue  # neither measured nor in the paper: no row of dashes
                cited = paper.value(method.name, scale, column.name) if paper else None
                yield {
                    "method": method.name,
                    "scale": scale,
                    "metric": column.name,
                    **_record(results, method.model, scale, metrics.get(column.name), cited),
                }


def _record(
    results: PanelResults, model: str, scale: float, metric: Metric | None, cited: float | None
) -> dict[str, object]:
    """The measured value with its conditions, else the paper's, else nothing."""
    paper_value = math.nan if cited is None else cited
    is_open = metric is not None and not results.refuses(metric) and model and results.bench.model(model)
    # A value of the paper stands alone only if there is none of ours; where both are, `paper_value` has it.
    if metric is None or not is_open or not results.has(model, scale, metric):
        source = "missing" if cited is None else "cited"
        found, value, known = NOT_HERE, paper_value, NOT_MEASURED
    else:
        measured = results.value(model, scale, metric)
        source = "measured"
        found, value = measured.interval, measured.interval.mean
        known = value_conditions(results, model, scale, measured)
    return {
        "value": value,
        "ci_low": found.low,
        "ci_high": found.high,
        "n": found.n,
        "source": source,
        "paper_value": paper_value,
        **known,
    }


def _matrix(results: PanelResults, method: MethodSpec, metric: Metric) -> Matrix:
    """Values of a metric between scales: rows are the scale of an output, columns the scale compared with."""
    scales, info = results.experiment.scales, metric.info
    # The paper's matrix, if it has one for this method.
    cited = cited_matrix(results.paper, method.name, info, scales) if results.paper else None
    paper = cited.paper if cited else None
    named = Matrix(method.name, scales, paper=paper, metric=info.name, label=info.label, decimals=info.decimals)
    # Ours, if a run has begun; otherwise the reason why there is none.
    model = method.model if method.model and results.bench.model(method.model) else ""
    if not model or not any(results.measured(model, scale) for scale in scales):
        return replace(named, reason=_reason(results, method))
    found = [[results.value(model, a, metric, towards=b) for b in scales] for a in scales]
    values, low, high, n = (
        np.array([[getattr(value.interval, part) for value in line] for line in found])
        for part in ("mean", "low", "high", "n")
    )
    behind = tuple(
        value_conditions(results, model, scale, value)
        for scale, line in zip(scales, found, strict=True)
        for value in line
    )
    return replace(named, values=values, low=low, high=high, n=n, conditions=behind)


def _image_records(results: PanelResults) -> Iterator[dict[str, object]]:
    """What is known of each image: scores, between scales as METRIC@REFERENCE, or the reason for none; no features."""
    for method in results.spec.methods:
        if not method.model or method.model in results.bench.failed:
            continue
        for scale in results.experiment.scales:
            columns = results.bench.columns(method.model, scale).values()
            names = [column.name for column in columns if not column.is_features]
            for row in filter(None, results.rows(method.model, scale)):
                for name in names:
                    if not (row.has(name) or "" in row.failures):
                        continue  # no run has looked for it yet
                    yield {
                        **conditions(results, method.model, scale, name, [row]),
                        "image": row.image,
                        "method": method.name,
                        "scale": scale,
                        "metric": name.partition("#")[0],
                        "value": row.values.get(name, math.nan),
                        "reason": row.failures.get(name) or row.failures.get("", ""),
                    }
