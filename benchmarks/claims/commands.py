"""The kind of experiment that is a ledger of claims: read from what tables measured, never measured itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.kinds import Choice
from benchmarks.launch import begin, when_and_how
from benchmarks.messages import tell_damaged
from benchmarks.waiting import Bars
from casarbi.console import echo

if TYPE_CHECKING:
    from benchmarks.claims.verdicts import Judged


def run(choice: Choice, *, store: str, out: str, dry_run: bool = False, **_: Any) -> list[str]:
    """Write and print the ledger from what the store holds: a ledger has nothing to measure."""
    if dry_run:
        echo("To do: nothing, claims are tested on what tables measured.")
        return []
    return report(choice, store=store, out=out)


def report(choice: Choice, *, store: str, out: str, spreadsheet: str | None = None) -> list[str]:
    """Write and print the ledger from what the store holds (see `benchmarks.kinds.Kind`)."""
    data = (choice.data,) if choice.data else ()
    return write_claims(choice.name, choice.preset, data, choice.models, store=store, out=out)


def status(choice: Choice, *, store: str) -> None:
    """Print the verdict on each claim, or why there is none, without a report."""
    begin(f"{choice.name}, preset {choice.preset}")
    from benchmarks.claims.collect import ledger
    from benchmarks.claims.tables import Tables

    with Bars() as bars:
        tables = Tables.of(choice.preset, (choice.data,) if choice.data else (), choice.models, store, bars)
        declared, judged = tables.judge(choice.name)
    for claim in ledger(declared, judged, name="", preset=choice.preset, date="", command="").claims:
        echo(f"{claim.verdict:10} {claim.name}: {claim.why or claim.main_text}")


def write_claims(
    name: str, preset: str, data: Sequence[str], models: Sequence[str], *, store: str, out: str
) -> list[str]:
    """Write and print the ledger of a name or file.

    Args:
        name: name of the ledger, or a TOML file.
        preset: preset of the tables.
        data: data set references, each in place of the declared one of its reader.
        models: ROW=REFERENCE for every table that has the row, or TABLE:ROW=REFERENCE for one.
        store: folder of the results.
        out: folder of the reports.

    Returns:
        what waits for values, a sentence per reason.
    """
    begin(f"{name}, preset {preset}")
    from benchmarks.claims.collect import ledger
    from benchmarks.claims.tables import Tables
    from reports.ledger_files import ledger_to_text, write_ledger

    with Bars() as bars:
        tables = Tables.of(preset, data, models, store, bars)
        declared, judged = tables.judge(name)
        date, command = when_and_how()
        report = ledger(declared, judged, name=Path(name).stem, preset=preset, date=date, command=command)
        # Files first: a console that cannot print a sign must not lose the work.
        paths = write_ledger(report, Path(out) / report.experiment)
        bars.clear()
    click.echo(ledger_to_text(report, sys.stdout.encoding))
    for path in paths:
        echo(str(path))
    tell_damaged(tables.store)
    return list(_waiting(judged))


def _waiting(judged: Sequence[Judged]) -> Iterator[str]:
    reasons: dict[str, int] = {}
    for found in judged:
        for reason in {part.reason for part in found.parts if part.reason}:
            reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        yield f"{count} claim{'s' if count > 1 else ''}: {reason.rstrip('.')}."
