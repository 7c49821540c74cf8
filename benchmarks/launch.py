"""From the words of a command to a session, and from a session to its report: what `run`, `grid` and `report` share.

Whatever is slow to import is imported inside functions, after the first line is on the screen.
"""

from __future__ import annotations

import datetime
import gc
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from benchmarks.kinds import Choice, Kind, open_kind
from benchmarks.messages import announce, tell_estimate, tell_store, tell_times
from benchmarks.options import ALL
from benchmarks.waiting import Bars
from casarbi.console import echo
from casarbi.errors import CasarbiError
from casarbi.scales import scale_label

if TYPE_CHECKING:
    from benchmarks.evaluate import Tally
    from benchmarks.experiments import Experiment
    from benchmarks.runner import Slice
    from benchmarks.session import Session
    from reports.document import Document


def begin(what: str, workers: int = 1, device: str = "cpu", dry_run: bool = False, **_: Any) -> None:
    """Say what begins, and let worker processes begin their imports before this one begins its own."""
    echo(f"Opening {what} …", err=True)
    # Imports and a large store are a million small objects without cycles: walking through them took a third of the
    # time.
    gc.set_threshold(1_000_000, 20, 50)
    from benchmarks.processes import start_server

    if workers > 1 and device == "cpu" and not dry_run:
        start_server()


def with_chosen(choice: Choice, do: Callable[[Kind, Choice], Sequence[str]], out: str | None) -> None:
    """Do something with the experiment that was chosen, or with each of them; `out` is where an index of all goes."""
    if choice.name != ALL:
        do(open_kind(choice.name), choice)
        return
    if choice.data or choice.models:
        raise click.UsageError("--data and --model change one experiment: give its name in place of `all`.")
    from benchmarks.everything import each

    each(lambda name: do(open_kind(name), replace(choice, name=name)), out)


def declared(choice: Choice) -> Experiment:
    """The table that was chosen, with the data and models that were typed in place of the declared ones."""
    from benchmarks.experiments import load_experiment

    # Typed models replace those of the declared rows, or add rows.
    experiment = load_experiment(choice.name, choice.preset).with_models(choice.typed_models())
    return experiment.with_data(choice.data) if choice.data else experiment


def open_session(experiment: Experiment, store: str, **settings: Any) -> Session:
    """Open an experiment; if something is missing, the error ends in what the declaration says that it needs."""
    from benchmarks.session import Session
    from benchmarks.store import Store

    try:
        return Session(experiment, Store(store), **settings)
    except CasarbiError as error:
        if not experiment.needs:
            raise
        needs = "; ".join(experiment.needs)
        raise CasarbiError(f"{error} Preset {experiment.preset} of {experiment.name} needs: {needs}.") from None


def execute(
    experiment: Experiment,
    *,
    store: str,
    out: str,
    device: str,
    workers: int,
    batch: int | None,
    rank: int | None,
    world: int | None,
    spreadsheet: str | None,
    again: bool,
    dry_run: bool,
) -> None:
    """Measure what the store lacks of an experiment and write its report, or print what that would cost.

    Raises:
        CasarbiError: after the report is written, if an output failed or a model was left out.
    """
    part = chosen_slice(rank, world)
    with Bars() as bars:
        session = open_session(
            experiment, store, device=device, workers=workers, batch=batch, part=part, again=again, watch=bars
        )
        # What was understood, and what is not measured now because it was before.
        states = [state for panel in session.states().values() for state in panel]
        bars.clear()
        announce(session)
        tell_store(session.store, states, again)
        if dry_run:
            _print_estimate(session, bars)
            return
        # Made before the work: if the folder cannot be written, the user learns it now and not after hours.
        folder = Path(out) / experiment.name
        folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        tally = session.measure(sum(len(state.todo) for state in states))
        bars.clear()
        tell_times(tally, time.perf_counter() - started, session.processes)
        write(session, folder, spreadsheet, bars)
    _raise_failures(session, tally)


def chosen_slice(rank: int | None, world: int | None) -> Slice:
    """The slice of the images that this machine takes: from the flags, or from the launcher's variables."""
    from benchmarks.runner import Slice

    if (rank is None) != (world is None):
        raise click.UsageError("--rank and --world go together.")
    return Slice(rank, world) if rank is not None and world is not None else Slice.from_environment(os.environ)


def _print_estimate(session: Session, bars: Bars) -> None:
    from benchmarks.estimate import estimate

    expected = estimate(session)
    bars.clear()
    tell_estimate(session, expected)


def _raise_failures(session: Session, tally: Tally) -> None:
    # By now the report is written, with all that could be measured.
    if tally.failures:
        method, scale, image, reason = tally.failures[0]
        raise CasarbiError(
            f"{len(tally.failures)} outputs failed, the first {image} at x{scale_label(scale)} by {method}: {reason}"
        )
    for bench in session.benches.values():
        for reference, reason in bench.failed.items():
            raise CasarbiError(f"{reference} was left out: {reason}")


class Reported(Protocol):
    """What a report is written of."""

    def document(self, date: str, command: str) -> Document:
        """Everything that is known now; date and command are printed as given."""


def when_and_how() -> tuple[str, str]:
    """The time in UTC and the command that runs, as every report prints them."""
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return date, shlex.join(["casarbi-bench", *sys.argv[1:]])


def write(session: Reported, folder: Path, spreadsheet: str | None, bars: Bars) -> None:
    """Write and print the report of what the store holds of a session now."""
    from reports.formats import to_text, write_report
    from reports.replaced import lost_values

    document = session.document(*when_and_how())
    # Files first: a console that cannot print a sign must not lose the work.
    lost = lost_values(document, folder)
    paths = write_report(document, folder, spreadsheet)
    bars.clear()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(to_text(document, sys.stdout.encoding, width))
    for line in (*map(str, paths), *([f"Note: {lost}"] if lost else [])):
        echo(line)
