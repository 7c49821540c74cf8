"""The kind of experiment that is a table: measured into the store, and read from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.kinds import Choice
from benchmarks.launch import begin, declared, execute, open_session, write
from benchmarks.messages import tell_damaged, tell_states
from benchmarks.waiting import Bars

if TYPE_CHECKING:
    from benchmarks.experiments import Experiment


def run(choice: Choice, **options: Any) -> list[str]:
    """Measure what the store lacks of a table and write its report (see `benchmarks.kinds.Kind`)."""
    begin(f"{choice.name}, preset {choice.preset}", **options)
    experiment = declared(choice)
    execute(experiment, **options)
    return list(unmeasured(experiment))


def report(choice: Choice, *, store: str, out: str, spreadsheet: str | None) -> list[str]:
    """Write and print a table's report from what the store holds."""
    begin(f"{choice.name}, preset {choice.preset}")
    with Bars() as bars:
        session = open_session(declared(choice), store, watch=bars)
        write(session, Path(out) / session.experiment.name, spreadsheet, bars)
        tell_damaged(session.store)
    return list(unmeasured(session.experiment))


def status(choice: Choice, *, store: str) -> None:
    """Say of each cell of a table whether it is done, missing, stale or failed, and why."""
    begin(f"{choice.name}, preset {choice.preset}")
    with Bars() as bars:
        session = open_session(declared(choice), store, watch=bars)
        states = session.states()
    tell_damaged(session.store)
    tell_states(session, states)


def unmeasured(experiment: Experiment) -> Iterator[str]:
    """Rows that no panel measures, each with the reason that is declared."""
    measured = {row.name for panel in experiment.panels for row in panel.methods if row.model}
    reasons = {row.name: row.reason for panel in experiment.panels for row in panel.methods}
    for name, reason in reasons.items():
        if name not in measured and reason:
            yield f"{name}: {reason.rstrip('.')}."
