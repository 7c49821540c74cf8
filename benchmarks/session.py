"""One experiment from declaration to report: open what it names, measure what is missing, tell what is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.evaluate import Tally
from benchmarks.experiments import Experiment
from benchmarks.job import open_benches
from benchmarks.metrics import create_metric
from benchmarks.runner import Slice, run
from benchmarks.store import Store
from benchmarks.survey import CellState, survey
from casarbi.devices import pick_device
from casarbi.errors import CasarbiError

if TYPE_CHECKING:  # pandas and Matplotlib, which measuring does not need
    from reports.document import Document

Watch = Callable[[str, int], Callable[[int], None]]
"""Called with what begins and its number of steps; returns the function to call with the number just done."""


def _unwatched(what: str, total: int) -> Callable[[int], None]:
    return lambda done: None


class Session:
    """An experiment being run.

    Attributes:
        experiment: the declaration, with those of its optional metrics that can be measured here.
        store: where its values are kept.
        device, workers, part, again: see `benchmarks.runner.run`.
        batch: the same; by default 1 on the CPU and 64 on any other device.
        watch: called for everything that may take seconds.
        benches: opened job of each panel, by its name.

    Raises:
        CasarbiError: on opening, if the data, a metric or every model is missing.
    """

    def __init__(
        self,
        experiment: Experiment,
        store: Store,
        *,
        device: str = "cpu",
        workers: int = 1,
        batch: int | None = None,
        part: Slice | None = None,
        again: bool = False,
        watch: Watch = _unwatched,
    ) -> None:
        # Metrics whose weights are not on this machine are only cited.
        here = [name for name in experiment.optional if _can_be_measured(name)]
        self.experiment = replace(experiment, metrics=(*experiment.metrics, *here))
        self.store = store
        self.device, self.workers = pick_device(device), workers
        self.batch = batch or (1 if self.device == "cpu" else 64)
        self.part, self.again, self.watch = part or Slice(), again, watch
        # Panels often share models: one opening for all of them.
        opened = open_benches([self.experiment.job(spec, self.device) for spec in self.experiment.panels])
        self.benches = {spec.name: bench for spec, bench in zip(self.experiment.panels, opened, strict=True)}
        self._open()

    def _open(self) -> None:
        """Read the data and open the models now, so that what is missing is known before hours of work."""
        advance = self.watch("Reading the data", len(self.benches))
        for bench in self.benches.values():
            _ = bench.digests
            advance(1)
        advance = self.watch("Opening models", sum(len(bench.job.models) for bench in self.benches.values()))
        for bench in self.benches.values():
            for reference in bench.job.models:  # all: each failure is told at the start
                bench.model(reference)
                advance(1)
            if bench.job.models and not any(map(bench.model, bench.job.models)):
                raise CasarbiError(next(iter(bench.failed.values())))

    @property
    def processes(self) -> int:
        """Processes that measure: `workers` on the CPU, one on any other device."""
        return self.workers if self.device == "cpu" else 1

    def states(self) -> dict[str, list[CellState]]:
        """State of every cell of each panel, for this slice of the images."""
        benches = self.benches.items()
        advance = self.watch("Reading the store", sum(len(b.methods) * len(b.job.scales) for _, b in benches))
        return {
            name: survey(bench, self.store, self.part.of(bench.dataset.ids), self.again, advance)
            for name, bench in benches
        }

    def measure(self, outputs: int) -> Tally:
        """Measure whatever is missing in every panel: so many outputs."""
        return run(
            list(self.benches.values()),
            self.store,
            workers=self.workers,
            batch=self.batch,
            part=self.part,
            again=self.again,
            progress=self.watch("Measuring", outputs),
        )

    def document(self, date: str, command: str) -> Document:
        """What the store knows of the experiment now."""
        from benchmarks.collect import collect
        from benchmarks.samples import samples

        panels = self.experiment.panels
        advance = self.watch("Drawing samples", len(panels))
        sheets = {}
        for spec in panels:
            sheets[spec.name] = samples(spec, self.benches[spec.name], self.store)
            advance(1)
        self.watch("Writing the report", 1)
        return collect(self.experiment, self.benches, self.store, date=date, command=command, sheets=sheets)


def _can_be_measured(metric: str) -> bool:
    """Whether a metric's weights are on this machine."""
    try:
        create_metric(metric)
    except CasarbiError:
        return False
    return True
