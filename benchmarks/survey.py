"""The state of each cell: done, missing, stale or failed. The runner, `status` and `--dry-run` work from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from benchmarks.job import Bench
from benchmarks.store import Cell, Store
from benchmarks.store.rows import Row
from casarbi.scales import scale_label


@dataclass
class CellState:
    """Where one cell stands for the images and columns of a job.

    Attributes:
        method: model reference, or the ground truth.
        scale: the scale.
        cell: the cell in the store.
        total: images that it should hold.
        values: values that it should hold: one per image and column.
        generation: of the parts that will fill it (see `benchmarks.store.rows.Part`).
        changed: why a whole cell does not count any more, or "".
        dates: days on which what counts was measured.
        todo: image id to the columns still to be measured.
        stale: image id to why its stored values do not count any more.
        failed: image id to the reason the last run gave for it.
    """

    method: str
    scale: float
    cell: Cell
    total: int
    values: int = 0
    generation: int = 0
    changed: str = ""
    dates: set[str] = field(default_factory=set)
    todo: dict[str, tuple[str, ...]] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The cell's name for people, such as `liif:edsr-baseline-div2k x5.3`."""
        return f"{self.method} x{scale_label(self.scale)}"

    @property
    def word(self) -> str:
        """One of done, failed, stale, missing."""
        if not self.todo:
            return "done"
        if self.stale or self.changed:
            return "stale"
        return "failed" if self.failed else "missing"

    @property
    def why(self) -> str:
        """The word's reason in one phrase."""
        if not self.todo:
            return f"{self.total} images"
        if self.changed:
            return self.changed
        reasons = self.stale or self.failed
        if reasons:
            image, reason = next(iter(reasons.items()))
            more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
            return f"{image}: {reason}{more}"
        return f"{self.total - len(self.todo)} of {self.total} images measured"


def survey(
    bench: Bench,
    store: Store,
    images: Sequence[str] | None = None,
    again: bool = False,
    progress: Callable[[int], None] = lambda cells: None,
) -> list[CellState]:
    """State of every cell of a job, for all images of its data set or for some.

    With `again`, everything counts as still to be measured. `progress` is called with the number of cells just read.
    """
    images = bench.dataset.ids if images is None else images
    states = []
    for method in bench.methods:
        for scale in bench.job.scales:
            states.append(_survey_cell(bench, store, method, scale, images, again))
            progress(1)
    return states


def _survey_cell(
    bench: Bench, store: Store, method: str, scale: float, images: Sequence[str], again: bool
) -> CellState:
    cell = store.cell(bench.key(method, scale))
    columns = tuple(bench.columns(method, scale))
    rows = cell.rows(with_features=False)
    # Rows are kept by image and digest of its pixels.
    known = {image for image, _ in rows}
    state = CellState(method, scale, cell, len(images), len(images) * len(columns), cell.generation() + again)
    for image in images:
        # A row counts only for the picture that it was measured on.
        row = rows.get((image, bench.digests[image]))
        todo = tuple(column for column in columns if again or row is None or not row.has(column))
        if row and len(todo) < len(columns):
            state.dates |= row.dates
        if not todo:
            continue
        state.todo[image] = todo
        # Why it is to be measured: another picture, a failure, another definition of a metric, or simply missing.
        if row is None and image in known:
            state.stale[image] = "the image changed since it was measured"
        elif row is not None and "" in row.failures:
            state.failed[image] = row.failures[""]
        elif row is not None:
            _note_changed_metrics(state, image, row, todo)
    # A cell with nothing in it: perhaps the same cell was filled by another version of a user's file.
    if state.todo and not rows:
        _note_changed_source(state, store)
    return state


def _note_changed_source(state: CellState, store: Store) -> None:
    dates = {header.when[:10] for cell in store.with_other_source(state.cell.key) for header in cell.headers()}
    if dates:
        state.changed = f"file changed since it was measured ({span(dates)})"


def span(dates: Collection[str]) -> str:
    """Days as `2026-11-20`, or `2026-11-20 to 2026-11-25`."""
    first, last = min(dates), max(dates)
    return first if first == last else f"{first} to {last}"


def _note_changed_metrics(state: CellState, image: str, row: Row, todo: Sequence[str]) -> None:
    # The same metric under another hash: its weights or its definition changed.
    measured = {column.partition("#")[0] for column in (*row.values, *row.features)}
    changed = sorted({column.partition("#")[0] for column in todo} & measured)
    if changed:
        state.stale[image] = f"metric {', '.join(changed)} changed (weights or definition) since it was measured"
