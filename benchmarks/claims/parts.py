"""A test taken apart: one part per rival and scale, each with its difference here and in the paper's own table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.claims.declaration import TestTable
from benchmarks.claims.inference import FEWEST, Effect, Region
from benchmarks.claims.values import ValueReader, Values
from benchmarks.experiments import Experiment, PanelSpec
from benchmarks.metrics import create_metric, metric_info
from benchmarks.metrics.base import Metric, MetricInfo
from casarbi.errors import CasarbiError


@dataclass(frozen=True)
class Source:
    """A table's panel that tests read.

    Attributes:
        table: the table's name, or its file.
        experiment, spec: the declared table and its panel.
        reader: its values; None if the table could not be opened.
        reason: why not.
    """

    table: str
    experiment: Experiment
    spec: PanelSpec
    reader: ValueReader | None = None
    reason: str = ""

    @property
    def command(self) -> str:
        """The command that measures it."""
        preset = "" if self.experiment.preset == "mini" else f" --preset {self.experiment.preset}"
        return f"casarbi-bench run {self.table}{preset}"

    def metric(self, test: TestTable) -> tuple[MetricInfo, Metric | None]:
        """The first of a test's metrics that the panel measures; facts alone if it is not open."""
        if self.reader:
            metrics = self.reader.results.bench.metrics
            found = next((metrics[name] for name in test.metrics if name in metrics), None)
            if found:
                return found.info, found
        return metric_info(test.metrics[0]), None


@dataclass(frozen=True)
class Part:
    """One comparison of a claim.

    Attributes:
        test, source: the test that it is a part of, and where its values are.
        than: the rival; "" if the row is compared with itself.
        scales: scales behind it; several if it is of all pairs of them.
        metric: what was compared.
        region: where the difference row - rival lies if the claim holds.
        effect: the difference here, or None.
        reason: why there is none.
        printed: the values of row and rival in the paper's table, NaN if it prints none.
        paper: their difference.
        paper_agrees: whether the paper's table says what the claim says; None if it prints no such values.
    """

    test: TestTable
    source: Source
    than: str
    scales: tuple[float, ...]
    metric: MetricInfo
    region: Region
    effect: Effect | None = None
    reason: str = ""
    printed: tuple[float, float] = (math.nan, math.nan)
    paper: float = math.nan
    paper_agrees: bool | None = None


def parts_of(test: TestTable, source: Source) -> Iterator[Part]:
    """Parts of a test, measured as far as the store holds their values."""
    scales = test.scales or tuple(scale for scale in source.experiment.scales if scale != test.since)
    info, metric = source.metric(test)
    region = test.region(info.higher_is_better)
    for than in test.than or ("",):
        # A value between scales is of all of them at once.
        for behind in (scales,) if _is_between_scales(test.metrics[0]) else [(scale,) for scale in scales]:
            yield _measured(_cited(Part(test, source, than, behind, info, region)), metric)


def _is_between_scales(name: str) -> bool:
    try:
        return create_metric(name).between_scales
    except CasarbiError:  # its weights are not here: a metric between scales has none
        return False


def difference(test: TestTable, than: str, scale: float, value: Callable[[str, float], Values]) -> Values:
    """What a test compares: row - rival, or how both change since a scale, or how the row alone does."""

    def changed(row: str) -> Values:
        found = value(row, scale)
        return found if test.since is None else found.minus(value(row, test.since))

    if not than:
        return changed(test.row)
    theirs = changed(than)
    found = changed(test.row).minus(theirs)
    return found.over(abs(theirs.mean)) if test.relative else found


def _measured(part: Part, metric: Metric | None) -> Part:
    """The part with its effect, or with the reason for none."""
    reader, source = part.source.reader, part.source
    if reader is None or metric is None:
        return replace(part, reason=source.reason)
    rows = [row for row in (part.test.row, part.than) if row]
    if reason := next(filter(None, (_unmeasured(row, part, metric) for row in rows)), ""):
        return replace(part, reason=reason)
    models = reader.results.models()
    scales = [*part.scales, *([] if part.test.since is None else [part.test.since])]
    values = reader.read([models[row] for row in rows], scales, metric)
    found = difference(part.test, part.than, part.scales[0], lambda row, scale: values[models[row], scale])
    n = len(found.images)
    if n < FEWEST:
        return replace(part, reason=f"{n} images have values, and a test needs {FEWEST}: {source.command}")
    return replace(part, effect=found.effect())


def _unmeasured(row: str, part: Part, metric: Metric) -> str:
    """Why a row has no values, or ""."""
    assert part.source.reader
    results, command = part.source.reader.results, part.source.command
    method = next(method for method in results.spec.methods if method.name == row)
    if method.model in results.bench.failed:
        return results.bench.failed[method.model].rstrip(".")
    if not method.model:
        return method.reason.rstrip(".") or f"{row} has no model here: give one with --model"
    if results.refuses(metric):
        return f"{metric.info.label} is not given of {len(results.bench.digests)} images"
    if not all(results.has(method.model, scale, metric) for scale in part.scales) and not metric.between_scales:
        return f"{row} is not measured yet: {command}"
    if metric.between_scales and not any(results.measured(method.model, scale) for scale in part.scales):
        return f"{row} is not measured yet: {command}"
    return ""


def _cited(part: Part) -> Part:
    """The part with what the paper's table says of the same comparison."""
    test, paper = part.test, part.source.experiment.paper
    name = next((name for name in test.metrics if paper and name in paper.columns), "")
    if not paper or not name:
        return part

    def value(row: str, scale: float) -> Values:
        numbers = [paper.value(row, a, name, b) for a, b in _cells(part.scales)] if len(part.scales) > 1 else []
        numbers = numbers or [paper.value(row, scale, name)]
        mean = math.nan if None in numbers else float(np.mean([number for number in numbers if number is not None]))
        return Values((), np.empty(0), mean)

    scale = part.scales[0]
    found = difference(test, part.than, scale, value).mean
    printed = (value(test.row, scale).mean, value(part.than, scale).mean if part.than else math.nan)
    if math.isnan(found):
        return replace(part, printed=printed)
    # Printed values that are equal differ by nothing, whatever their binary digits.
    agrees = test.region(metric_info(name).higher_is_better).holds(round(found, 9))
    return replace(part, printed=printed, paper=found, paper_agrees=agrees)


def _cells(scales: Sequence[float]) -> list[tuple[float, float]]:
    return [(a, b) for a in scales for b in scales if a != b]
