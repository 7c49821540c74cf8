"""The lines that a run prints around its report: what it understood, what it finds in the store, what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from casarbi.console import echo
from casarbi.scales import scale_label

if TYPE_CHECKING:
    from benchmarks.estimate import Estimate
    from benchmarks.evaluate import Tally
    from benchmarks.session import Session
    from benchmarks.store import Store
    from benchmarks.survey import CellState

NAMED_FILES = 3
"""How many damaged files are named."""


def announce(session: Session) -> None:
    """Print how scales, data and protocols were understood, before hours of work."""
    experiment = session.experiment
    echo(f"{experiment.title}: scales {', '.join(scale_label(scale) for scale in experiment.scales)}")
    if session.part.world > 1:
        echo(f"  Here only slice {session.part.rank} of {session.part.world}: every {session.part.world}th image.")
    for spec in experiment.panels:
        bench = session.benches[spec.name]
        echo(f"  {spec.data}: {len(bench.dataset.ids)} images, protocol {spec.protocol.name}. {spec.protocol.about}")
        for reference, reason in bench.failed.items():
            echo(f"Warning: {reference} is left out: {reason}", err=True)


def tell_store(store: Store, states: Sequence[CellState], again: bool) -> None:
    """Print what is not measured now because it was before, and what was but does not count any more."""
    from benchmarks.survey import span

    # Values that the store should hold, and of these the ones that it does.
    values = sum(state.values for state in states)
    held = values - sum(len(columns) for state in states for columns in state.todo.values())
    dates = {date for state in states for date in state.dates}
    if again:
        echo(f"  All {values} values are measured, whether or not they are in the store.")
    elif held:
        when = f", measured {span(dates)}" if dates else ""
        echo(f"  {held} of {values} values are from the store{when}; --again measures them again.")
    # Once per method, not once per scale.
    for method, why in {state.method: state.changed for state in states if state.changed}.items():
        echo(f"Warning: {method}: {why}; it is measured again.", err=True)
    tell_damaged(store)


class Damaged(Protocol):
    """A folder of results that notes which of its files it found damaged, each with what is wrong with it."""

    folder: Path
    damaged: dict[Path, str]


def tell_damaged(store: Damaged) -> None:
    """Print which files of the store are damaged, if any were met."""
    for path, why in sorted(store.damaged.items())[:NAMED_FILES]:
        echo(f"Warning: {path} is damaged ({why}): what it held is not used, and a run measures it again.", err=True)
    if len(store.damaged) > NAMED_FILES:
        echo(f"Warning: {len(store.damaged) - NAMED_FILES} more files in {store.folder} are damaged.", err=True)


def tell_states(session: Session, states: Mapping[str, Sequence[CellState]]) -> None:
    """Print the state of each cell, panel by panel, and the models that did not open."""
    for panel, cells in states.items():
        echo(f"{panel}: {session.benches[panel].job.data}")
        for state in cells:
            echo(f"  {state.word:8} {state.title}: {state.why}")
        for reference, reason in session.benches[panel].failed.items():
            echo(f"  {'failed':8} {reference}: {reason}")


def tell_estimate(session: Session, expected: Estimate) -> None:
    """Print what a run would cost, and what it needs."""
    echo(f"To do: {expected.images} images, {expected.outputs} outputs, {expected.evaluations} network evaluations.")
    if expected.seconds is not None:
        minutes, seconds = divmod(round(expected.seconds), 60)
        echo(f"Time: about {minutes} min {seconds} s with {session.processes} process(es), from {expected.basis}.")
        memory, disk = expected.memory_bytes / 2**30, expected.disk_bytes / 2**20
        echo(f"Memory: about {memory:.1f} GiB. Disk: about {disk:.1f} MiB.")
    for need in session.experiment.needs:
        echo(f"Needs {need}.")


def tell_times(tally: Tally, wall: float, processes: int) -> None:
    """Print where the time went, if anything was measured."""
    if tally.outputs:
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in tally.seconds.items())
        echo(f"Measured {tally.outputs} outputs in {wall:.1f} s; summed over {processes} process(es): {parts}.")
