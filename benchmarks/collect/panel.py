"""What the store holds of one panel of an experiment, as values."""

from __future__ import annotations

import math
from collections.abc import Mapping

from benchmarks.experiments import Experiment, PanelSpec
from benchmarks.experiments.declaration import PaperTable
from benchmarks.job import GROUND_TRUTH, Bench
from benchmarks.metrics.base import Column, Metric, Stored, Value
from benchmarks.store import Store
from benchmarks.store.rows import ListHash, Row


class PanelResults:
    """Reads one panel's cells once and answers for every method, scale and metric.

    Attributes:
        experiment, spec, bench, store: the panel, its experiment, its opened job, and where its rows are.
        failures: by (model, reason), the images that have no value, of all values that were asked for.
        identical: by (model, label of the metric), the most outputs of a scale that equal the GT.
    """

    def __init__(self, experiment: Experiment, spec: PanelSpec, bench: Bench, store: Store) -> None:
        self.experiment, self.spec, self.bench, self.store = experiment, spec, bench, store
        self.failures: dict[tuple[str, str], set[str]] = {}
        self.identical: dict[tuple[str, str], int] = {}
        self._cells: dict[tuple[str, float, str], tuple[Mapping[str, object], ListHash]] = {}
        self._rows: dict[tuple[str, float], list[Row | None]] = {}
        self._values: dict[tuple[object, ...], Value] = {}

    @property
    def paper(self) -> PaperTable | None:
        """The paper's table if its numbers stand beside this panel's."""
        return self.experiment.paper if self.experiment.beside(self.spec) else None

    def rows(self, model: str, scale: float) -> list[Row | None]:
        """Rows of all images in the data set's order; None if nothing was measured."""
        if (model, scale) not in self._rows:
            found = self.store.cell(self.bench.key(model, scale)).rows()
            self._rows[model, scale] = [found.get(item) for item in self.bench.digests.items()]
        return self._rows[model, scale]

    def of_cell(self, model: str, scale: float, source: str) -> tuple[Mapping[str, object], ListHash]:
        """What all values of a cell that are computed from one source have in common: conditions, and their key."""
        if (model, scale, source) not in self._cells:
            job = self.bench.job
            shared = {
                "data": job.data,
                "model": model,
                "protocol": job.protocol.name,
                "crop": job.protocol.cropped(scale),
                "border": job.protocol.border_pixels(scale),
                "seed": self.bench.seed(model, scale),
            }
            # The cell's key holds the weights' hash and every field of the protocol.
            self._cells[model, scale, source] = shared, ListHash(self.bench.key(model, scale).plain, source)
        return self._cells[model, scale, source]

    def models(self) -> dict[str, str]:
        """Name of a method to its model reference, of those whose models open."""
        methods = self.spec.methods
        return {method.name: method.model for method in methods if method.model and self.bench.model(method.model)}

    def measured(self, model: str, scale: float) -> int:
        """Images a run has seen, whether or not they have values."""
        return sum(row is not None for row in self.rows(model, scale))

    def has(self, model: str, scale: float, metric: Metric) -> bool:
        """Whether a run has looked for this metric's values: there are some, or reasons for their lack."""
        columns = metric.drawn(self.bench.noise(model)).columns(scale, (scale,))
        rows = [row for row in self.rows(model, scale) if row]
        return any(row.has(column.name) or "" in row.failures for row in rows for column in columns)

    def refuses(self, metric: Metric) -> bool:
        """Whether a value of so few images is not given (see `Experiment.small_n`)."""
        return len(self.bench.digests) < (metric.fewest if self.experiment.small_n else metric.needs)

    def value(
        self,
        model: str,
        scale: float,
        metric: Metric,
        *,
        towards: float | None = None,
        among: frozenset[str] | None = None,
    ) -> Value:
        """Value of a metric over a model's outputs at a scale, of all images or `among` some.

        For a metric between scales, `towards` is the scale that the outputs are compared with.
        """
        key = (model, scale, metric.info.name, towards, among)
        if key not in self._values:
            self._values[key] = self._value(model, scale, metric, towards, among)
        return self._values[key]

    def _value(
        self, model: str, scale: float, metric: Metric, towards: float | None, among: frozenset[str] | None
    ) -> Value:
        metric = metric.drawn(self.bench.noise(model))
        rows = self.rows(model, scale)
        # An image that is not to count is one that was never measured.
        if among is not None:
            rows = [row if image in among else None for image, row in zip(self.bench.digests, rows, strict=True)]
        # Only a metric with features compares with the ground truth, whose cell is read for it alone.
        columns = metric.columns(scale, (scale,) if towards is None else (scale, towards))
        truth = self.rows(GROUND_TRUTH, scale) if any(column.is_features for column in columns) else ()
        value = metric.value(Stored(scale, rows, truth, math.nan if towards is None else towards))
        self._note_failures(model, rows, columns, value)
        # The mean leaves out infinite values; the notes tell how many there were.
        known = self.identical.get((model, metric.info.label), 0)
        self.identical[model, metric.info.label] = max(value.interval.n_infinite, known)
        return value

    def _note_failures(self, model: str, rows: list[Row | None], columns: list[Column], value: Value) -> None:
        for place, (image, row) in enumerate(zip(self.bench.digests, rows, strict=True)):
            reasons = [row.failures.get(column.name) or row.failures.get("") for column in columns if row]
            for reason in filter(None, (*reasons, value.unusable.get(place))):
                self.failures.setdefault((model, reason), set()).add(image)
