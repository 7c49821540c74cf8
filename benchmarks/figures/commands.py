"""`run`, `report` and `status` of a figure (see `benchmarks.kinds.Kind`).

Whatever is slow to import is imported inside functions, after the first line is on the screen.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.kinds import Choice, kind_of, open_kind
from benchmarks.launch import begin, open_session, when_and_how
from benchmarks.waiting import Bars
from casarbi.console import echo
from casarbi.errors import CasarbiError

if TYPE_CHECKING:
    from benchmarks.figures.declaration import PictureFigure
    from benchmarks.figures.pictures import Output
    from benchmarks.session import Session
    from reports.document import Document
    from reports.figure import FigureReport


def run(choice: Choice, **options: Any) -> list[str]:
    """Make the pictures that the store lacks and draw the figure, or draw what a table measured."""
    begin(f"{choice.name}, preset {choice.preset}", **options)
    from benchmarks.figures.declaration import ChartFile, load_figure

    figure = load_figure(choice)
    if isinstance(figure, ChartFile):
        if options["dry_run"]:
            echo(f"Nothing to measure: {choice.name} draws what {figure.table} measured.")
            return []
        return _draw_chart(choice, options["store"], options["out"])
    return _run(figure, **options)


def report(choice: Choice, *, store: str, out: str, spreadsheet: str | None) -> list[str]:
    """Draw the figure from what the store holds; it has no values for a spreadsheet."""
    begin(f"{choice.name}, preset {choice.preset}")
    from benchmarks.figures.declaration import ChartFile, load_figure

    figure = load_figure(choice)
    if isinstance(figure, ChartFile):
        return _draw_chart(choice, store, out)
    with Bars() as bars:
        session = open_session(figure.experiment, store, watch=bars)
        _write_pictures(figure, session, out, {}, bars)
    return _left_out(figure, session)


def status(choice: Choice, *, store: str) -> None:
    """Say of each method of a figure how many of its pictures are made, or which of a table's values are missing."""
    begin(f"{choice.name}, preset {choice.preset}")
    from benchmarks.figures.declaration import ChartFile, load_figure

    figure = load_figure(choice)
    if isinstance(figure, ChartFile):
        echo(f"{choice.name} draws what {figure.table} measured; casarbi-bench status {figure.table}:")
        open_kind(figure.table).status(_of_table(choice, figure.table), store=store)
        return
    from benchmarks.figures.drawings import open_panels, wanted

    with Bars() as bars:
        session = open_session(figure.experiment, store, watch=bars)
    for panel in open_panels(figure, session):
        echo(f"{panel.spec.name}: {panel.bench.job.data}")
        outputs = wanted(panel)
        for method in panel.methods:
            mine = [output for output in outputs if output.method == method.model]
            made = len(mine) - len(_missing(session, panel.spec.name, mine))
            word = "done" if made == len(mine) else "missing"
            echo(f"  {word:8} {method.name}: {made} of {len(mine)} pictures made")
        for reference, reason in panel.bench.failed.items():
            echo(f"  {'failed':8} {reference}: {reason}")


def _missing(session: Session, panel: str, outputs: Sequence[Output], again: bool = False) -> Sequence[Output]:
    from benchmarks.figures.pictures import missing

    return outputs if again else missing(session.benches[panel], session.store, outputs)


def _run(figure: PictureFigure, *, store: str, out: str, again: bool, dry_run: bool, **options: Any) -> list[str]:
    from benchmarks.figures.drawings import open_panels, wanted
    from benchmarks.figures.pictures import make

    if options["world"] or options["rank"]:
        raise click.UsageError("--rank and --world deal the images of a table; a figure is made on one machine.")
    with Bars() as bars:
        session = open_session(
            figure.experiment, store, device=options["device"], workers=options["workers"], watch=bars
        )
        panels = open_panels(figure, session)
        todo = [_missing(session, panel.spec.name, wanted(panel), again) for panel in panels]
        bars.clear()
        echo(f"{figure.experiment.title}")
        for panel, outputs in zip(panels, todo, strict=True):
            echo(f"  {panel.bench.job.data}: {', '.join(panel.images)}; {len(outputs)} pictures to make.")
            for reference, reason in panel.bench.failed.items():
                echo(f"Warning: {reference} is left out: {reason}", err=True)
        if dry_run:
            for need in figure.experiment.needs:
                echo(f"Needs {need}.")
            return []
        # Made before the work: if the folder cannot be written, the user learns it now and not after hours.
        (Path(out) / figure.experiment.name).mkdir(parents=True, exist_ok=True)
        progress = bars("Making pictures", sum(map(len, todo)))
        benches = [panel.bench for panel in panels]
        failed = make(benches, session.store, todo, session.processes, progress)
        _write_pictures(figure, session, out, failed, bars)
    if failed:
        output, reason = next(iter(failed.items()))
        raise CasarbiError(f"{len(failed)} pictures failed, the first {output.image} by {output.method}: {reason}")
    for reference, reason in panels[0].bench.failed.items():
        raise CasarbiError(f"{reference} was left out: {reason}")
    return _left_out(figure, session)


def _left_out(figure: PictureFigure, session: Session) -> list[str]:
    from benchmarks.tables import unmeasured

    return list(unmeasured(figure.experiment))


def _write_pictures(figure: PictureFigure, session: Session, out: str, failed: dict[Output, str], bars: Bars) -> None:
    from benchmarks.figures.drawings import draw_report

    progress = bars("Drawing", len(session.experiment.panels))
    drawn = draw_report(figure, session, failed, progress, *when_and_how())
    bars.clear()
    _write(drawn, out)


def _draw_chart(choice: Choice, store: str, out: str) -> list[str]:
    """Draw what a table's values are in the store now; the table itself tells what it leaves out."""
    from benchmarks.figures.charts import draw_charts
    from benchmarks.figures.declaration import ChartFile, load_figure
    from benchmarks.timing.declaration import TIMING

    figure = load_figure(choice)
    assert isinstance(figure, ChartFile)
    measured = _of_timing if kind_of(figure.table) == TIMING else _of_values
    with Bars() as bars:
        document = measured(_of_table(choice, figure.table), store, bars)
        bars("Drawing", 1)
        drawn = draw_charts(Path(choice.name).stem, figure, document, store)
    _write(drawn, out)
    return []


def _of_values(table: Choice, store: str, bars: Bars) -> Document:
    """What the store holds of a table."""
    from benchmarks.collect import collect
    from benchmarks.launch import declared

    session = open_session(declared(table), store, watch=bars)
    # Without the paper's numbers: they are of other pictures, and share no axes with ours.
    experiment, (date, command) = replace(session.experiment, paper=None), when_and_how()
    return collect(experiment, session.benches, session.store, date=date, command=command, sheets={})


def _of_timing(timing: Choice, store: str, bars: Bars) -> Document:
    """What the store holds of a timing."""
    from benchmarks.timing.commands import open_timing

    return open_timing(timing, store, bars).document(*when_and_how())


def _of_table(choice: Choice, table: str) -> Choice:
    return Choice(table, choice.preset, choice.data, choice.models)


def _write(drawn: FigureReport, out: str) -> None:
    from reports.figure import figure_text, write_figure

    paths = write_figure(drawn, Path(out) / drawn.experiment)
    click.echo(figure_text(drawn, sys.stdout.encoding))
    for path in paths:
        echo(str(path))
