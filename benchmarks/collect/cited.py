"""The paper's numbers on their own, for experiments that measured other data: never in one table with measured ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from benchmarks.collect.panel import PanelResults
from benchmarks.experiments import Experiment
from benchmarks.experiments.declaration import CITED, PaperTable
from benchmarks.metrics import metric_info
from benchmarks.metrics.base import MetricInfo
from casarbi.references import Reference
from reports.document import COLUMNS, Matrix, Method, MetricColumn, Panel, empty_frame


def banner(results: PanelResults) -> Iterator[str]:
    """A sentence on which data was measured and which data the paper's numbers are of; none without a paper."""
    experiment, spec, paper = results.experiment, results.spec, results.experiment.paper
    if not paper:
        return
    images = paper.images or "the paper's data"
    n = len(results.bench.digests)
    measured = f"The measured values are of {n} image{'s' * (n != 1)} of {Reference.parse(spec.data).name}."
    if experiment.beside(spec):
        yield f"{measured} The paper's beside them are of {images} too, though perhaps not of the same images."
    elif experiment.apart:
        yield (
            f"{measured} The paper's are of {images}, other data, and do not compare with them: they stand in "
            f"a table of their own, “{CITED}”."
        )


def cited_panel(experiment: Experiment) -> Panel | None:
    """The paper's numbers at the experiment's scales, if they do not stand beside measured ones; None if it has none.

    They are the same for all panels, so that there is one such table in a report.
    """
    paper = experiment.paper
    if not paper or not experiment.apart:
        return None
    methods = [method for panel in experiment.panels if panel.cite for method in panel.methods]
    names = {method.name: method.group for method in methods if paper.has(method.name)}
    metrics = {name: metric_info(name) for name in paper.columns}
    columns = tuple(
        _column(info, paper.columns[name]) for name, info in metrics.items() if not paper.between_scales(name)
    )
    matrices = tuple(
        matrix
        for name, info in metrics.items()
        if paper.between_scales(name)
        for method in names
        if (matrix := cited_matrix(paper, method, info, experiment.scales))
    )
    records = list(_records(experiment, paper, names, columns))
    if not records and not matrices:
        return None
    frame = pd.DataFrame(records, columns=list(COLUMNS)) if records else empty_frame()
    scales = tuple(scale for scale in experiment.scales if scale in set(frame["scale"]))
    return Panel(
        name=CITED,
        caption=f"The paper's own numbers, of {paper.images or 'its data'}: they do not compare with what was measured "
        "here on other data.",
        frame=frame,
        scales=scales,
        metrics=columns if records else (),
        methods=tuple(Method(name, group=group) for name, group in names.items()),
        split=experiment.split,
        paper_note=paper.note,
        warnings=paper.cautions,
        matrices=matrices,
        cited=True,
    )


def cited_matrix(paper: PaperTable, method: str, info: MetricInfo, scales: tuple[float, ...]) -> Matrix | None:
    """The paper's matrix of a method, NaN where it has no number; None if it has none off the diagonal."""
    numbers = [[paper.value(method, a, info.name, b) for b in scales] for a in scales]
    values = np.array(numbers, dtype=float)
    if np.isnan(values[~np.eye(len(scales), dtype=bool)]).all():
        return None
    return Matrix(method, scales, paper=values, metric=info.name, label=info.label, decimals=info.decimals)


def _column(info: MetricInfo, heading: str) -> MetricColumn:
    return MetricColumn(info.name, info.label, info.higher_is_better, info.decimals, paper_metric=heading.upper())


def _records(
    experiment: Experiment, paper: PaperTable, names: Mapping[str, str], columns: tuple[MetricColumn, ...]
) -> Iterator[dict[str, object]]:
    """One record per number that the paper has."""
    for method in names:
        for scale in experiment.scales:
            for column in columns:
                number = paper.value(method, scale, column.name)
                if number is not None:
                    blank = dict.fromkeys(COLUMNS, math.nan)
                    found = {"method": method, "scale": scale, "metric": column.name, "source": "cited"}
                    yield {**blank, **found, "value": number, "paper_value": number}
