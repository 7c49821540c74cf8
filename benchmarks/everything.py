"""`run all` and `report all`: every declared experiment, one after the other, and at the end what became of each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from natsort import natsorted

from benchmarks.kinds import KINDS, experiment_names, kind_of, title_of
from casarbi.console import echo
from casarbi.errors import CasarbiError
from casarbi.references import describe
from reports.index import Entry, write_index


@dataclass
class Outcome:
    """What became of one experiment.

    Attributes:
        name: of the experiment.
        seconds: it took.
        error: why it failed, or "".
        unmeasured: what it declares and could not measure, with the reasons.
    """

    name: str
    seconds: float = 0.0
    error: str = ""
    unmeasured: Sequence[str] = ()


def each(begin: Callable[[str], Sequence[str]], out: str | None) -> None:
    """Do something with every experiment, print what became of each, and write an index of their reports.

    Args:
        begin: called with a name; returns what could not be measured, as `benchmarks.kinds.Kind.run` does.
        out: folder of the reports; None writes no index.

    Raises:
        CasarbiError: at the end, if any failed.
    """
    # Tables first: figures are drawn of what tables measured.
    order = {kind: place for place, kind in enumerate(KINDS)}
    names = sorted(natsorted(experiment_names()), key=lambda name: order[kind_of(name)])
    outcomes = []
    for place, name in enumerate(names, 1):
        echo(f"[{place}/{len(names)}] {name}: {title_of(name)}")
        outcomes.append(_attempt(name, begin))
        echo("")
    _tell(outcomes)
    if out is not None:
        echo(str(write_index(Path(out), [_entry(outcome, Path(out)) for outcome in outcomes])))
    if failed := [outcome.name for outcome in outcomes if outcome.error]:
        raise CasarbiError(f"{len(failed)} of {len(outcomes)} failed: {', '.join(failed)}.")


def _attempt(name: str, begin: Callable[[str], Sequence[str]]) -> Outcome:
    started = time.perf_counter()
    outcome = Outcome(name)
    try:
        outcome.unmeasured = begin(name)
    except Exception as error:  # whatever one experiment meets, the others go on
        if os.environ.get("CASARBI_TRACEBACK") or _is_interrupt(error):
            raise
        outcome.error = _sentence(error)
        echo(f"Error: {outcome.error}", err=True)
    outcome.seconds = time.perf_counter() - started
    return outcome


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: a library may turn it into an exception of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _sentence(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    return str(error) if isinstance(error, CasarbiError) else describe(error)


def _tell(outcomes: Sequence[Outcome]) -> None:
    width = max(len(outcome.name) for outcome in outcomes)
    for outcome in outcomes:
        word = "failed" if outcome.error else "done"
        echo(f"{word:6}  {outcome.name:{width}}  {_minutes(outcome.seconds):>11}  {outcome.error}".rstrip())
    for outcome in outcomes:
        for sentence in outcome.unmeasured:
            echo(f"Not measured in {outcome.name}: {sentence}")
    echo(f"In all {_minutes(sum(outcome.seconds for outcome in outcomes))}.")


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _entry(outcome: Outcome, out: Path) -> Entry:
    page = out / outcome.name / f"{outcome.name}.html"
    return Entry(
        name=outcome.name,
        kind=kind_of(outcome.name),
        title=title_of(outcome.name),
        page=page.relative_to(out).as_posix() if page.exists() else "",
        time=_minutes(outcome.seconds),
        error=outcome.error,
        unmeasured=tuple(outcome.unmeasured),
    )
