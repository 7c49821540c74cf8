"""`run`, `report` and `status` of a timing (see `benchmarks.kinds.Kind`).

Whatever is slow to import is imported inside functions, after the first line is on the screen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.kinds import Choice
from benchmarks.launch import begin, chosen_slice, write
from benchmarks.messages import tell_damaged
from benchmarks.waiting import Bars
from casarbi.console import echo
from casarbi.errors import CasarbiError
from casarbi.scales import scale_label

if TYPE_CHECKING:
    from benchmarks.timing.session import Slot, TimingSession


def run(choice: Choice, **options: Any) -> list[str]:
    """Measure the times that the store lacks of this machine, one by one in this process, and write the report."""
    begin(f"{choice.name}, preset {choice.preset}")
    with Bars() as bars:
        session = open_timing(choice, options["store"], bars, options["device"])
        slots = session.slots()
        todo = [slot for slot in slots if options["again"] or not slot.record]
        # Processes beside each other would disturb each other's times.
        if chosen_slice(options["rank"], options["world"]).rank > 0:
            bars.clear()
            echo("Times are measured by the first machine or process alone: nothing to do here.")
            return []
        bars.clear()
        _announce(session, slots, todo)
        if options["dry_run"]:
            _tell_estimate(session, todo, bars)
            return list(_unmeasured(session))
        folder = Path(options["out"]) / session.experiment.name
        folder.mkdir(parents=True, exist_ok=True)
        if todo:
            session.timings.prepare()
            started = time.perf_counter()
            session.measure(todo)
            bars.clear()
            echo(f"Measured {len(todo)} times in {time.perf_counter() - started:.1f} s.")
        write(session, folder, options["spreadsheet"], bars)
    if session.failed:
        name, reason = next(iter(session.failed.items()))
        raise CasarbiError(f"{name} was left out: {reason.rstrip('.')}.")
    return list(_unmeasured(session))


def report(choice: Choice, *, store: str, out: str, spreadsheet: str | None) -> list[str]:
    """Write and print the report of the times that the store holds, of whatever machine."""
    begin(f"{choice.name}, preset {choice.preset}")
    with Bars() as bars:
        session = open_timing(choice, store, bars)
        write(session, Path(out) / session.experiment.name, spreadsheet, bars)
        tell_damaged(session.timings)
    return list(_unmeasured(session))


def status(choice: Choice, *, store: str) -> None:
    """Say of each time whether this machine has measured it."""
    begin(f"{choice.name}, preset {choice.preset}")
    with Bars() as bars:
        session = open_timing(choice, store, bars)
        slots = session.slots()
    tell_damaged(session.timings)
    for slot in slots:
        name = f"{slot.method.name} ×{scale_label(slot.scale)}"
        when = f"{len(slot.record.seconds)} runs on {slot.record.when[:10]}" if slot.record else "not measured"
        echo(f"  {'done' if slot.record else 'missing':8} {name}: {when}, {slot.key.machine}")
    for name, reason in session.failed.items():
        echo(f"  {'failed':8} {name}: {reason}")


def open_timing(choice: Choice, store: str, bars: Bars, device: str = "cpu") -> TimingSession:
    """The timing that was chosen, on a device."""
    from benchmarks.timing.declaration import load_timing
    from benchmarks.timing.records import Timings
    from benchmarks.timing.session import TimingSession

    return TimingSession(load_timing(choice), Timings(store), device, bars)


def _announce(session: TimingSession, slots: Sequence[Slot], todo: Sequence[Slot]) -> None:
    """Print what is measured and how, and what is not because it was before."""
    experiment = session.experiment
    echo(f"{experiment.title}: scales {', '.join(scale_label(scale) for scale in experiment.scales)}")
    echo(f"  One image of {experiment.lr_side}x{experiment.lr_side} px at a time, in one process.")
    if slots:
        echo(f"  Device: {slots[0].key.machine}.")
    if held := len(slots) - len(todo):
        echo(f"  {held} of {len(slots)} times are from the store; --again measures them again.")
    for name, reason in session.failed.items():
        echo(f"Warning: {name} is left out: {reason}", err=True)
    tell_damaged(session.timings)


def _tell_estimate(session: TimingSession, todo: Sequence[Slot], bars: Bars) -> None:
    from benchmarks.timing.estimate import estimate_seconds

    echo(f"To do: {len(todo)} times.")
    if todo:
        minutes, seconds = divmod(round(estimate_seconds(session, todo)), 60)
        bars.clear()
        echo(f"Time: about {minutes} min {seconds} s, from one run of each method at its smallest scale.")


def _unmeasured(session: TimingSession) -> list[str]:
    """Rows that have no model, each with the declared reason."""
    return [
        f"{method.name}: {method.reason.rstrip('.')}."
        for method in session.experiment.methods
        if not method.model and method.reason
    ]
