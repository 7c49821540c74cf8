"""What a run would cost, before it is begun: `--dry-run`."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.evaluate import measure
from benchmarks.job import GROUND_TRUTH, Bench
from benchmarks.machine import device_name, peak_memory_bytes
from benchmarks.runner import Slice, cut_into_batches, deal
from benchmarks.session import Session
from benchmarks.store import Store
from benchmarks.survey import CellState

PROBE_IMAGES = 2

States = Mapping[str, Sequence[CellState]]
"""Cells with something to do, by panel."""


@dataclass(frozen=True)
class Estimate:
    """What a run would cost.

    Attributes:
        images: images with something to do.
        outputs: outputs still to be made and scored.
        evaluations: network evaluations for them.
        seconds: estimated wall time, None if nothing is to be done.
        basis: what the estimate rests on.
        memory_bytes: peak memory of one process times the number of processes.
        disk_bytes: what the store will grow by.
    """

    images: int = 0
    outputs: int = 0
    evaluations: int = 0
    seconds: float | None = None
    basis: str = "everything is measured"
    memory_bytes: int = 0
    disk_bytes: int = 0


@dataclass
class _Costs:
    """Seconds per output by (panel, method, scale); rows and bytes on disk; peak memory of a process."""

    seconds: dict[tuple[str, str, float], float] = field(default_factory=dict)
    rows: int = 0
    disk_bytes: int = 0
    memory_bytes: int = 0

    def joined(self, other: _Costs) -> _Costs:
        """What both know; of a cell that both know, what the other says."""
        return _Costs(
            {**self.seconds, **other.seconds},
            self.rows + other.rows,
            self.disk_bytes + other.disk_bytes,
            max(self.memory_bytes, other.memory_bytes),
        )


def estimate(session: Session) -> Estimate:
    """Estimate what measuring a session would cost, from earlier runs of the same cells or from a two-image probe."""
    states = {panel: [state for state in cells if state.todo] for panel, cells in session.states().items()}
    outputs = sum(len(state.todo) for cells in states.values() for state in cells)
    if not outputs:
        return Estimate()
    costs, basis = _costs(session, states)
    # Every output of a cell is taken to cost the mean of those measured in it.
    seconds = sum(
        len(state.todo) * costs.seconds[panel, state.method, state.scale]
        for panel, cells in states.items()
        for state in cells
    )
    return Estimate(
        images=sum(len({image for state in cells for image in state.todo}) for cells in states.values()),
        outputs=outputs,
        evaluations=sum(
            _evaluations(session.benches[panel], state) for panel, cells in states.items() for state in cells
        ),
        seconds=seconds / session.processes,
        basis=basis,
        memory_bytes=max(costs.memory_bytes, peak_memory_bytes()) * session.processes,
        disk_bytes=int(costs.disk_bytes / max(costs.rows, 1) * outputs),
    )


def _evaluations(bench: Bench, state: CellState) -> int:
    model = None if state.method == GROUND_TRUTH else bench.model(state.method)
    return len(state.todo) * model.evaluations(state.scale) if model else 0


def _costs(session: Session, states: States) -> tuple[_Costs, str]:
    """What outputs of these cells cost, and whether that is known from earlier runs or from a probe."""
    device = device_name(session.device)
    costs = _stored_costs(states, device)
    unknown = {
        panel: [s for s in cells if (panel, s.method, s.scale) not in costs.seconds] for panel, cells in states.items()
    }
    if not any(unknown.values()):
        return costs, "earlier runs of the same cells"
    # Some cells were never measured here: measure two images of them, and of no other, into a store of their own.
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        probed = {panel: [replace(s, cell=store.cell(s.cell.key)) for s in cells] for panel, cells in unknown.items()}
        for panel, cells in probed.items():
            if cells:
                _probe(session, session.benches[panel], cells, store)
        found = _stored_costs(probed, device)
    basis = f"a probe of {PROBE_IMAGES} images"
    if costs.seconds:
        methods = dict.fromkeys(state.method for cells in unknown.values() for state in cells)
        basis = f"earlier runs and {basis} with {', '.join(methods)}"
    return costs.joined(found), basis


def _probe(session: Session, bench: Bench, states: Sequence[CellState], store: Store) -> None:
    """Measure a few images of some cells."""
    # Spread over the data set, because its first images may be alike.
    images = Slice(0, math.ceil(len(bench.dataset.ids) / PROBE_IMAGES)).of(bench.dataset.ids)
    probed = [
        replace(state, todo=dict.fromkeys(images, tuple(bench.columns(state.method, state.scale)))) for state in states
    ]
    progress = session.watch(f"Probing {bench.job.data}", len(images) * len(probed))
    work = [(0, batch) for batch in cut_into_batches(probed, min(session.batch, PROBE_IMAGES))]
    for tally in deal([bench], store, work, measure, workers=1):
        progress(tally.outputs)


def _stored_costs(states: States, device: str) -> _Costs:
    costs = _Costs()
    for panel, cells in states.items():
        for state in cells:
            headers = state.cell.headers()
            # Bytes per row hold for every device, seconds and memory for this one alone.
            costs.rows += sum(header.rows for header in headers)
            here = [header for header in headers if header.device == device]  # another device's seconds say nothing
            if rows := sum(header.rows for header in here):
                seconds = sum(sum(header.seconds.values()) for header in here)
                costs.seconds[panel, state.method, state.scale] = seconds / rows
            costs.memory_bytes = max([costs.memory_bytes, *(header.memory_bytes for header in here)])
            if headers:
                costs.disk_bytes += sum(path.stat().st_size for path in state.cell.folder.rglob("*") if path.is_file())
    return costs
