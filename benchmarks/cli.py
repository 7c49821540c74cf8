"""`casarbi-bench`: run the paper's tables, any grid of methods and scales, and look after their results."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.commands import completion, datasets, doctor, weights
from benchmarks.options import (
    OUT,
    SPREADSHEET,
    STORE,
    Name,
    ScaleList,
    known_datasets,
    known_experiments,
    known_metrics,
    known_models,
    known_protocols,
    names_option,
    run_options,
)
from benchmarks.waiting import Bars
from casarbi.console import CasarbiGroup, echo
from casarbi.errors import CasarbiError
from casarbi.scales import scale_label

if TYPE_CHECKING:
    from benchmarks.evaluate import Outcome
    from benchmarks.experiments import Experiment
    from benchmarks.session import Bill, Session
    from benchmarks.store import Store
    from benchmarks.survey import CellState

PAPER_SCALES = "5.3,7,10,10.7,12"


@click.group(
    cls=CasarbiGroup,
    stopped="Stopped: what was measured is kept, and the same command goes on from there.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="casarbi", prog_name="casarbi-bench")
def main() -> None:
    """Measure arbitrary-scale super-resolution by one set of rules.

    \b
    Examples, all offline:
      casarbi-bench run table1
      casarbi-bench grid --models bicubic,liif:edsr-baseline-div2k --data photos --scales 2,3.5,8
      casarbi-bench selfssim --scales 5.3,7,10 --models bicubic
      casarbi-bench doctor
    """


@main.command()
@click.argument("experiment", type=Name(known_experiments))
@click.option("--preset", default="mini", show_default=True, help="mini: minutes on two cores; paper: the real data.")
@click.option("--data", metavar="REF", help="Measure on this data set in place of the declared ones.")
@click.option("--model", "models", multiple=True, metavar="ROW=REF", help="Model of a row, or a new row; repeatable.")
@run_options
def run(experiment: str, preset: str, data: str | None, models: tuple[str, ...], **options: Any) -> None:
    """Run a table of the paper, then write and print its report.

    EXPERIMENT is the name of a declaration (see `casarbi-bench status`) or a TOML file of yours. What the store
    already holds is not measured again, so a run that was stopped goes on where it was.

    \b
    Examples:
      casarbi-bench run table1
      casarbi-bench run table1 --dry-run
      casarbi-bench run table1 --model Mine=my_package.module:factory
      casarbi-bench run table1 --preset paper --data celebahq:/data/CelebA-HQ --device cuda
    """
    _begin(f"{experiment}, preset {preset}", **options)
    _execute(_declared(experiment, preset, data, models), **options)


@main.command()
@names_option("--models", known_models, required=True, help="Model references, joined by commas.")
@names_option("--data", known_datasets, required=True, help="Data set references, joined by commas.")
@click.option("--scales", type=ScaleList(), required=True, help="Scales, such as 2,3.5,8.")
@names_option("--metrics", known_metrics, help="Metrics; default psnr,ssim (sr-benchmark: psnr-y).")
@click.option("--protocol", type=Name(known_protocols), metavar="NAME", help="Crops, LR and borders; see `datasets`.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--small-n", is_flag=True, help="Give FID and its kin even if there are fewer images than an honest value takes."
)
@run_options
def grid(
    models: tuple[str, ...],
    data: tuple[str, ...],
    scales: tuple[float, ...],
    metrics: tuple[str, ...],
    protocol: str | None,
    seed: int,
    small_n: bool,
    **options: Any,
) -> None:
    """Measure any methods on any data sets at any scales.

    \b
    Examples:
      casarbi-bench grid --models bicubic --data photos --scales 2,4,8
      casarbi-bench grid --models bicubic,liif:edsr-baseline-div2k --data "portraits?n=8" --scales 5.3,12
      casarbi-bench grid --models outputs:my_results --data folder:my_photos --scales 4 --metrics psnr,ssim
      casarbi-bench grid --models outputs:results --data folder:references --scales 1   (pairs of equal size)
      casarbi-bench grid --models liif:edsr-baseline-div2k --data folder:Set5 --scales 2,3,4 --protocol sr-benchmark
    """
    _begin(f"{len(models)} model(s) and {len(data)} data set(s)", **options)
    from benchmarks.experiments import grid_experiment

    metrics = metrics or (("psnr-y",) if protocol == "sr-benchmark" else ("psnr", "ssim"))
    experiment = grid_experiment(
        "grid", "Grid", data, models, scales, metrics, protocol=protocol, seed=seed, small_n=small_n
    )
    _execute(experiment, **options)


@main.command()
@click.option("--scales", type=ScaleList(), default=PAPER_SCALES, show_default=True, help="Scales to compare.")
@names_option("--models", known_models, default=["bicubic,liif:edsr-baseline-div2k"], show_default=True)
@names_option("--data", known_datasets, default=["portraits?split=test&n=16"], show_default=True)
@click.option("--protocol", type=Name(known_protocols), metavar="NAME", help="A protocol with one LR for all scales.")
@click.option("--seed", type=int, default=0, show_default=True)
@run_options
def selfssim(
    scales: tuple[float, ...],
    models: tuple[str, ...],
    data: tuple[str, ...],
    protocol: str | None,
    seed: int,
    **options: Any,
) -> None:
    """Print matrices of SelfSSIM: how well a method agrees with itself across scales.

    The row is the scale of the output that is resized, the column the scale at which SSIM is taken.

    \b
    Examples:
      casarbi-bench selfssim --scales 5.3,7,10 --models bicubic,liif:edsr-baseline-div2k
      casarbi-bench selfssim --scales 2,3 --models bicubic --data photos
    """
    _begin(f"{len(models)} model(s) and {len(data)} data set(s)", **options)
    from benchmarks.experiments import grid_experiment

    experiment = grid_experiment(
        "selfssim",
        "SelfSSIM",
        data,
        models,
        scales,
        ("selfssim",),
        protocol=protocol,
        seed=seed,
        small_n=False,
    )
    _execute(experiment, **options)


@main.command()
@click.argument("experiment", type=Name(known_experiments))
@click.option("--preset", default="mini", show_default=True)
@click.option("--data", metavar="REF", help="As given to run.")
@click.option("--model", "models", multiple=True, metavar="ROW=REF", help="As given to run.")
@click.option("--store", default=STORE, show_default=True, metavar="DIR", help="Folder of the results.")
@click.option("--out", default=OUT, show_default=True, metavar="DIR", help="Folder of the reports.")
@SPREADSHEET
def report(
    experiment: str,
    preset: str,
    data: str | None,
    models: tuple[str, ...],
    store: str,
    out: str,
    spreadsheet: str | None,
) -> None:
    """Write and print a report from what is measured, without measuring anything.

    \b
    Example:
      casarbi-bench report table1
    """
    _begin(f"{experiment}, preset {preset}")
    with Bars() as bars:
        session = _open(_declared(experiment, preset, data, models), store, watch=bars)
        _write(session, Path(out) / session.experiment.name, spreadsheet, bars)
        _tell_damaged(session.store)


@main.command()
@click.argument("experiment", type=Name(known_experiments), required=False)
@click.option("--preset", default="mini", show_default=True)
@click.option("--data", metavar="REF", help="As given to run.")
@click.option("--model", "models", multiple=True, metavar="ROW=REF", help="As given to run.")
@click.option("--store", default=STORE, show_default=True, metavar="DIR", help="Folder of the results.")
def status(experiment: str | None, preset: str, data: str | None, models: tuple[str, ...], store: str) -> None:
    """Say of each cell of an experiment whether it is done, missing, stale or failed, and why.

    Without an experiment, list those there are.

    \b
    Examples:
      casarbi-bench status
      casarbi-bench status table1
    """
    if experiment is None:
        from benchmarks.experiments import load_experiment

        for name in known_experiments():
            echo(f"{name}: {load_experiment(name).title}")
        return
    _begin(f"{experiment}, preset {preset}")
    with Bars() as bars:
        session = _open(_declared(experiment, preset, data, models), store, watch=bars)
        panels = session.states()
    _tell_damaged(session.store)
    for panel, states in panels.items():
        echo(f"{panel}: {session.benches[panel].job.data}")
        for state in states:
            echo(f"  {state.word:8} {state.title}: {state.why}")
        for reference, reason in session.benches[panel].failed.items():
            echo(f"  {'failed':8} {reference}: {reason}")


for command in (doctor, weights, datasets, completion):
    main.add_command(command)


def _begin(what: str, workers: int = 1, device: str = "cpu", dry_run: bool = False, **_: Any) -> None:
    """Say what begins, and let worker processes begin their imports before this one begins its own."""
    echo(f"Opening {what} …", err=True)
    from benchmarks.processes import start_server

    if workers > 1 and device == "cpu" and not dry_run:
        start_server()


def _declared(name: str, preset: str, data: str | None, models: tuple[str, ...]) -> Experiment:
    from benchmarks.experiments import load_experiment

    experiment = load_experiment(name, preset)
    pairs = [model.partition("=") for model in models]
    for row, equals, reference in pairs:
        if not (row and equals and reference):
            raise click.UsageError(f"--model {row} must read ROW=REFERENCE, such as Mine=my_package.module:factory.")
    chosen = {row: reference for row, _, reference in pairs}
    if len(chosen) < len(pairs):
        raise click.UsageError("--model names a row twice: give each row one model.")
    experiment = experiment.with_models(chosen)
    return experiment.with_data(data) if data else experiment


def _open(experiment: Experiment, store: str, **settings: Any) -> Session:
    from benchmarks.session import Session
    from benchmarks.store import Store

    try:
        return Session(experiment, Store(store), **settings)
    except CasarbiError as error:
        if not experiment.needs:
            raise
        needs = "; ".join(experiment.needs)
        raise CasarbiError(f"{error} Preset {experiment.preset} of {experiment.name} needs: {needs}.") from None


def _execute(
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
    from benchmarks.runner import Slice

    if (rank is None) != (world is None):
        raise click.UsageError("--rank and --world go together.")
    part = Slice(rank, world) if rank is not None and world is not None else Slice.from_environment(os.environ)
    batch = batch or (1 if device == "cpu" else 16)
    with Bars() as bars:
        session = _open(
            experiment, store, device=device, workers=workers, batch=batch, part=part, again=again, watch=bars
        )
        states = [state for panel in session.states().values() for state in panel]
        bars.clear()
        _announce(session)
        _tell_store(session.store, states, again)
        if dry_run:
            bill = session.bill()
            bars.clear()
            _print_bill(session, bill)
            return
        folder = Path(out) / experiment.name
        folder.mkdir(parents=True, exist_ok=True)  # before the work: a place that refuses is better known now
        started = time.perf_counter()
        outcome = session.measure(sum(len(state.todo) for state in states))
        bars.clear()
        _print_times(outcome, time.perf_counter() - started, session.processes)
        _write(session, folder, spreadsheet, bars)
    if outcome.failures:
        method, scale, image, reason = outcome.failures[0]
        raise CasarbiError(
            f"{len(outcome.failures)} outputs failed, the first {image} at x{scale_label(scale)} by {method}: {reason}"
        )
    for bench in session.benches.values():
        for reference, reason in bench.failed.items():
            raise CasarbiError(f"{reference} was left out: {reason}")


def _announce(session: Session) -> None:
    """Echo how scales, data and protocols were understood, before hours of work."""
    experiment = session.experiment
    echo(f"{experiment.title}: scales {', '.join(scale_label(scale) for scale in experiment.scales)}")
    if session.part.world > 1:
        echo(f"  Here only slice {session.part.rank} of {session.part.world}: every {session.part.world}th image.")
    for spec in experiment.panels:
        bench = session.benches[spec.name]
        echo(f"  {spec.data}: {len(bench.dataset.ids)} images, protocol {spec.protocol.name}. {spec.protocol.about}")
        for reference, reason in bench.failed.items():
            echo(f"Warning: {reference} is left out: {reason}", err=True)


def _tell_store(store: Store, states: Sequence[CellState], again: bool) -> None:
    """Say what is not measured now because it was before, and what was but does not count any more."""
    from benchmarks.survey import span

    values = sum(state.values for state in states)
    held = values - sum(len(columns) for state in states for columns in state.todo.values())
    dates = {date for state in states for date in state.dates}
    if again:
        echo(f"  All {values} values are measured, whether or not they are in the store.")
    elif held:
        when = f", measured {span(dates)}" if dates else ""
        echo(f"  {held} of {values} values are from the store{when}; --again measures them again.")
    for method, why in {state.method: state.changed for state in states if state.changed}.items():
        echo(f"Warning: {method}: {why}; it is measured again.", err=True)
    _tell_damaged(store)


def _tell_damaged(store: Store) -> None:
    shown = 3
    for path, why in sorted(store.damaged.items())[:shown]:
        echo(f"Warning: {path} is damaged ({why}): what it held is not used, and a run measures it again.", err=True)
    if len(store.damaged) > shown:
        echo(f"Warning: {len(store.damaged) - shown} more files in {store.folder} are damaged.", err=True)


def _print_bill(session: Session, bill: Bill) -> None:
    echo(f"To do: {bill.images} images, {bill.outputs} outputs, {bill.evaluations} network evaluations.")
    if bill.seconds is not None:
        minutes, seconds = divmod(round(bill.seconds), 60)
        echo(f"Time: about {minutes} min {seconds} s with {session.processes} process(es), from {bill.basis}.")
        echo(f"Memory: about {bill.memory_bytes / 2**30:.1f} GiB. Disk: about {bill.disk_bytes / 2**20:.1f} MiB.")
    for need in session.experiment.needs:
        echo(f"Needs {need}.")


def _print_times(outcome: Outcome, wall: float, processes: int) -> None:
    if outcome.outputs:
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in outcome.seconds.items())
        echo(f"Measured {outcome.outputs} outputs in {wall:.1f} s; summed over {processes} process(es): {parts}.")


def _write(session: Session, folder: Path, spreadsheet: str | None, bars: Bars) -> None:
    import datetime

    from reports.formats import to_text, write_report
    from reports.replaced import lost_values

    command = shlex.join(["casarbi-bench", *sys.argv[1:]])
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    document = session.document(date, command)
    # Files first: a console that cannot print a sign must not lose the work.
    lost = lost_values(document, folder)
    paths = write_report(document, folder, spreadsheet)
    bars.clear()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(to_text(document, sys.stdout.encoding, width))
    for line in (*map(str, paths), *([f"Note: {lost}"] if lost else [])):
        echo(line)


if __name__ == "__main__":
    main()
