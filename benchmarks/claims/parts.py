"""A test taken apart: one part per rival and scale, each with its difference here and in the paper's own table."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.claims.declaration import Comparison, TestTable
from benchmarks.claims.inference import FEWEST, Effect, Region
from benchmarks.claims.values import ValueReader, Values
from benchmarks.experiments import Experiment, PanelSpec
from benchmarks.metrics import create_metric, metric_info
from benchmarks.metrics.base import Metric, MetricInfo
from casarbi.errors import CasarbiError
from casarbi.plain import quote


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

    def lacks(self, row: str, scales: Sequence[float], metric: Metric) -> str:
        """Why a row has no values of a metric here, or ""; the table is open."""
        assert self.reader
        results = self.reader.results
        method = next(method for method in results.spec.methods if method.name == row)
        if method.model in results.bench.failed:
            return results.bench.failed[method.model].rstrip(".")
        if not method.model:
            return method.reason.rstrip(".") or f"{row} has no model here: give one with --model"
        if results.refuses(metric):
            return f"{metric.info.label} is not given of {len(results.bench.digests)} images"
        if not any(results.measured(method.model, scale) for scale in scales):
            return f"{row} is not measured yet: {self.command}"
        return ""

    def metric(self, test: TestTable) -> tuple[MetricInfo, Metric | None]:
        """The first of a test's metrics that the panel measures; facts alone if it is not open."""
        if self.reader:
            metrics = self.reader.results.bench.metrics
            found = next((metrics[name] for name in test.metrics if name in metrics), None)
            if found:
                return found.info, found
        return metric_info(test.metrics[0]), None

    def weights(self, row: str) -> str:
        """What a row is here, such as `Ours = casarbi:mini-face (weights …)`; "" if it has no model that opens."""
        reference = self.models.get(row, "")
        model = self.reader.results.bench.model(reference) if self.reader and reference else None
        # Twelve digits of a hash tell files apart, and 64 hide the sentence.
        weights = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", model.info.weights) if model else ""
        return f"{row} = `{reference}` (weights {weights})" if model else ""

    @property
    def models(self) -> dict[str, str]:
        """Model reference by row, "" if it has none."""
        return {method.name: method.model for method in self.spec.methods}

    def about(self, rows: Sequence[str]) -> str:
        """What rows were measured on, as a sentence."""
        where = f"{self.experiment.name}, preset {self.experiment.preset}, panel {quote(self.spec.name)}"
        named = "; ".join(filter(None, map(self.weights, rows)))
        return f"{where}: {self.spec.data}, protocol {self.spec.protocol.name}; {named}."


@dataclass(frozen=True)
class Part:
    """One comparison of a claim.

    Attributes:
        test: what is compared and claimed.
        than: the rival; "" if the row is compared with itself.
        scales: scales behind it; several if it is of all pairs of them.
        metric: what was compared.
        table, panel, data, protocol: where its values are from.
        models: model reference by row.
        effect: the difference here, or None.
        reason: why there is none.
        about: what was measured, as a sentence.
        unit: what was resampled.
        printed: the values of row and rival in the paper's table, NaN if it prints none.
        paper: their difference.
        paper_agrees: whether the paper's table says what the claim says; None if it prints no such values.
    """

    test: Comparison
    than: str
    scales: tuple[float, ...]
    metric: MetricInfo
    table: str
    panel: str
    data: str = ""
    protocol: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    effect: Effect | None = None
    reason: str = ""
    about: str = ""
    unit: str = "images"
    printed: tuple[float, float] = (math.nan, math.nan)
    paper: float = math.nan
    paper_agrees: bool | None = None

    @property
    def region(self) -> Region:
        """Where the difference row - rival lies if the claim holds."""
        return self.test.region(self.metric.higher_is_better)


def parts_of(test: TestTable, source: Source) -> Iterator[Part]:
    """Parts of a test, measured as far as the store holds their values."""
    scales = test.scales or tuple(scale for scale in source.experiment.scales if scale != test.since)
    info, metric = source.metric(test)
    # A value between scales is of all of them at once.
    groups = [scales] if _is_between_scales(test.metrics[0]) else [(scale,) for scale in scales]
    for than in test.than or ("",):
        for behind in groups:
            part = Part(
                test=test,
                than=than,
                scales=behind,
                metric=info,
                table=source.experiment.name,
                panel=source.spec.name,
                data=source.spec.data,
                protocol=source.spec.protocol.name,
                models=source.models,
                **_cited(test, than, behind, source),
            )
            yield _measured(part, test, source, metric)


def _is_between_scales(name: str) -> bool:
    try:
        return create_metric(name).between_scales
    except CasarbiError:  # its weights are not here: a metric between scales has none
        return False


def difference(test: Comparison, than: str, scale: float, value: Callable[[str, float], Values]) -> Values:
    """What a test compares: row - rival, or how both change since a scale, or how the row alone does."""

    def changed(row: str) -> Values:
        found = value(row, scale)
        return found if test.since is None else found.minus(value(row, test.since))

    if than:
        theirs = changed(than)
        found = changed(test.row).minus(theirs)
    else:
        assert test.since is not None
        theirs, found = value(test.row, test.since), changed(test.row)
    return found.over(abs(theirs.mean)) if test.relative else found


def _measured(part: Part, test: TestTable, source: Source, metric: Metric | None) -> Part:
    """The part with its effect, or with the reason for none."""
    reader = source.reader
    if reader is None or metric is None:
        return replace(part, reason=f"{source.reason}; `{source.command}` says what it needs")
    rows = [row for row in (test.row, part.than) if row]
    if reason := next(filter(None, (source.lacks(row, part.scales, metric) for row in rows)), ""):
        return replace(part, reason=reason)
    models = source.models
    values = reader.read([models[row] for row in rows], (*part.scales, *test.all_scales[len(test.scales) :]), metric)
    found = difference(test, part.than, part.scales[0], lambda row, scale: values[models[row], scale])
    n = len(found.images)
    if n < FEWEST:
        return replace(part, reason=f"{n} images have values, and a test needs {FEWEST}: {source.command}")
    return replace(part, effect=found.effect(), about=source.about(test.rows))


def _cited(test: TestTable, than: str, scales: tuple[float, ...], source: Source) -> dict[str, Any]:
    """What the paper's table says of the same comparison, if the panel mirrors that table: fields of a part."""
    paper = source.experiment.paper if source.spec.cite else None
    name = next((name for name in test.metrics if paper and name in paper.columns), "")
    if not paper or not name:
        return {}

    def value(row: str, scale: float) -> Values:
        pairs = [(a, b) for a in scales for b in scales if a != b]
        numbers = [paper.value(row, a, name, b) for a, b in pairs] or [paper.value(row, scale, name)]
        known = [number for number in numbers if number is not None]
        return Values((), np.empty(0), float(np.mean(known)) if len(known) == len(numbers) else math.nan)

    found = difference(test, than, scales[0], value).mean
    printed = (value(test.row, scales[0]).mean, value(than, scales[0]).mean if than else math.nan)
    if math.isnan(found):
        return {"printed": printed}
    # Printed values that are equal differ by nothing, whatever their binary digits.
    agrees = test.region(metric_info(name).higher_is_better).holds(round(found, 9))
    return {"printed": printed, "paper": found, "paper_agrees": agrees}
