"""One experiment from declaration to report: open what it names, measure what is missing, write what is known."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from benchmarks.evaluate import Outcome
from benchmarks.experiments import Experiment, PanelSpec
from benchmarks.job import GROUND_TRUTH, Bench, open_benches
from benchmarks.machine import device_name, peak_memory_bytes
from benchmarks.metrics import create_metric
from benchmarks.runner import Slice, run
from benchmarks.store import Store
from benchmarks.survey import CellState, survey
from casarbi.errors import CasarbiError
from casarbi.files import replacing
from casarbi.pictures.inspection import check_batch
from casarbi.pictures.pixels import to_uint8
from casarbi.scales import scale_label
from casarbi.sr import image_seed

if TYPE_CHECKING:
    from reports.document import Document, Picture

PROBE_IMAGES = 2

Watch = Callable[[str, int], Callable[[int], None]]
"""Told what begins and in how many steps; gives what is to be called with the number of steps that were done."""


def _unwatched(what: str, steps: int) -> Callable[[int], None]:
    return lambda done: None


@dataclass(frozen=True)
class Bill:
    """What a run would cost, for `--dry-run`.

    Attributes:
        images: images with something to do.
        outputs: outputs still to be made and scored.
        evaluations: network evaluations for them.
        seconds: estimated wall time, None where nothing is to be done.
        basis: what the estimate rests on.
        memory_bytes: peak memory of one process times the number of processes.
        disk_bytes: what the store will grow by.
    """

    images: int
    outputs: int
    evaluations: int
    seconds: float | None
    basis: str
    memory_bytes: int
    disk_bytes: int


@dataclass
class _Known:
    """Seconds an output by (panel, method, scale); rows and bytes on disk; peak memory of a process."""

    prices: dict[tuple[str, str, float], float] = field(default_factory=dict)
    rows: int = 0
    disk_bytes: int = 0
    memory_bytes: int = 0


@dataclass
class Session:
    """An experiment being run.

    Attributes:
        experiment: the declaration.
        store: where its values are kept.
        device, workers, batch, part, again: see `benchmarks.runner.run`.
        watch: told of whatever may take seconds.

    Raises:
        CasarbiError: on opening, where data, a metric or every model is missing.
    """

    experiment: Experiment
    store: Store
    device: str = "cpu"
    workers: int = 1
    batch: int = 1
    part: Slice = field(default_factory=Slice)
    again: bool = False
    watch: Watch = _unwatched

    def __post_init__(self) -> None:
        here = [name for name in self.experiment.optional if _at_hand(name)]
        self.experiment = replace(self.experiment, metrics=(*self.experiment.metrics, *here))
        _check_device(self.device)
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

    @cached_property
    def benches(self) -> dict[str, Bench]:
        """Opened job of each panel."""
        panels = self.experiment.panels
        opened = open_benches([self.experiment.job(spec, self.device) for spec in panels])
        return {spec.name: bench for spec, bench in zip(panels, opened, strict=True)}

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

    def measure(self, outputs: int) -> Outcome:
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
        from benchmarks.collect import collect  # brings pandas, which measuring does not need

        panels = self.experiment.panels
        advance = self.watch("Drawing samples", len(panels))
        pictures = {}
        for spec in panels:
            pictures[spec.name] = self._samples(spec)
            advance(1)
        self.watch("Writing the report", 1)
        return collect(self.experiment, self.benches, self.store, date=date, command=command, pictures=pictures)

    def bill(self) -> Bill:
        """Price what is missing, from earlier runs of the same cells or a two-image probe."""
        states = {name: [s for s in states if s.todo] for name, states in self.states().items()}
        images = sum(len({image for state in panel for image in state.todo}) for panel in states.values())
        outputs = sum(len(state.todo) for panel in states.values() for state in panel)
        if not outputs:
            return Bill(0, 0, 0, None, "everything is measured", 0, 0)
        known, basis = self._known(states)
        seconds = sum(len(s.todo) * known.prices[name, s.method, s.scale] for name, p in states.items() for s in p)
        return Bill(
            images,
            outputs,
            sum(self._evaluations(name, state) for name, panel in states.items() for state in panel),
            seconds / self.processes,
            basis,
            max(known.memory_bytes, peak_memory_bytes()) * self.processes,
            int(known.disk_bytes / max(known.rows, 1) * outputs),
        )

    def _evaluations(self, panel: str, state: CellState) -> int:
        if state.method == GROUND_TRUTH:
            return 0
        model = self.benches[panel].model(state.method)
        return len(state.todo) * model.evaluations(state.scale) if model else 0

    def _known(self, states: Mapping[str, list[CellState]]) -> tuple[_Known, str]:
        """What outputs of these cells cost, and what that rests on."""
        known = _stored_costs(states, device_name(self.device))
        if all((name, s.method, s.scale) in known.prices for name, panel in states.items() for s in panel):
            return known, "earlier runs of the same cells"
        with tempfile.TemporaryDirectory() as folder:
            probe_store = Store(folder)
            for name, panel in states.items():
                if panel:
                    self._probe(self.benches[name], probe_store)
            probed = {
                name: [replace(s, cell=probe_store.cell(s.cell.key)) for s in panel] for name, panel in states.items()
            }
            return _stored_costs(probed, device_name(self.device)), f"a probe of {PROBE_IMAGES} images"

    def _probe(self, bench: Bench, store: Store) -> None:
        part = Slice(0, math.ceil(len(bench.dataset.ids) / PROBE_IMAGES))
        images = part.of(bench.dataset.ids)
        advance = self.watch(f"Probing {bench.job.data}", len(images) * len(bench.methods) * len(bench.job.scales))
        run([bench], store, workers=1, batch=min(self.batch, PROBE_IMAGES), part=part, progress=advance)

    def _samples(self, spec: PanelSpec) -> list[Picture]:
        """Contact sheet of a few images by every method, made once and kept in the store."""
        from reports.document import Picture

        bench = self.benches[spec.name]
        images = bench.dataset.ids[: spec.samples]
        methods = [m for m in bench.methods if m != GROUND_TRUTH]
        if not images or not methods:
            return []
        names: dict[str, str] = {}
        for row in spec.methods:
            names.setdefault(row.model, row.name)  # rows may share a model
        columns = {method: names[method] for method in methods}
        drawn = {"images": [bench.digests[i] for i in images], "scale": spec.sample_scale, "version": 1}
        drawn |= {"columns": list(columns.values())}
        keys = [bench.key(method, spec.sample_scale).plain for method in methods]
        name = hashlib.sha256(json.dumps([drawn, keys], sort_keys=True).encode()).hexdigest()[:20]
        path = self.store.folder / "samples" / f"{name}.png"
        if not path.exists():
            try:
                png = _sample_sheet(bench, columns, images, spec.sample_scale)
            except Exception:  # a plug-in may raise anything; the failing image is named under the table
                return []
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as draft:
                draft.write_bytes(png)
        caption = (
            f"LR (enlarged by repetition), {', '.join(columns.values())} and GT at x{scale_label(spec.sample_scale)}."
        )
        return [Picture(path.read_bytes(), caption, f"Rows: {', '.join(images)}. Columns: {caption}")]


def _check_device(device: str) -> None:
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise CasarbiError("There is no CUDA device on this machine: leave --device out, or give cpu.")
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise CasarbiError(f"There is no device '{device}' on this machine: give cpu, cuda or cuda:1.") from None


def _at_hand(metric: str) -> bool:
    """Whether a metric's weights are on this machine."""
    try:
        create_metric(metric)
    except CasarbiError:
        return False
    return True


def _stored_costs(states: Mapping[str, list[CellState]], device: str) -> _Known:
    known = _Known()
    for name, panel in states.items():
        for state in panel:
            headers = state.cell.headers()
            known.rows += sum(header.rows for header in headers)
            here = [header for header in headers if header.device == device]  # another device's seconds say nothing
            if rows := sum(header.rows for header in here):
                seconds = sum(sum(header.seconds.values()) for header in here)
                known.prices[name, state.method, state.scale] = seconds / rows
            known.memory_bytes = max([known.memory_bytes, *(header.memory_bytes for header in here)])
            if headers:
                known.disk_bytes += sum(path.stat().st_size for path in state.cell.folder.rglob("*") if path.is_file())
    return known


@torch.inference_mode()
def _sample_sheet(bench: Bench, columns: Mapping[str, str], images: Sequence[str], scale: float) -> bytes:
    """PNG with a row an image: LR, the output of each method under its name in `columns`, GT."""
    from reports.charts import contact_sheet, nearest  # brings Matplotlib, which measuring does not need

    cells = []
    for image in images:
        pair = bench.job.protocol.pairs(bench.dataset, image, [scale])[0]
        lr = pair.lr[None].to(bench.job.device)
        cells.append((f"LR {lr.shape[-1]} px", nearest(_levels(pair.lr), pair.size)))
        for method, name in columns.items():
            model = bench.model(method)
            assert model is not None
            output = model.bind([image]).upscale(lr, pair.size, [image_seed(image, bench.job.seed)])
            cells.append((name, _levels(check_batch(output, 1, pair.size)[0])))
        cells.append(("GT", _levels(pair.gt)))
    return contact_sheet(cells, columns=len(columns) + 2)


def _levels(image: Tensor) -> np.ndarray:
    return to_uint8(image.cpu()).permute(1, 2, 0).numpy()
