"""`casarbi-bench`: run the paper's tables, any grid of methods and scales, and look after their results."""

from __future__ import annotations

from typing import Any

import click

from benchmarks.commands import completion, datasets, doctor, store, weights
from benchmarks.kinds import Choice, experiment_names, open_kind, title_of
from benchmarks.launch import begin, execute, with_chosen
from benchmarks.metrics import NOISES
from benchmarks.options import (
    OUT,
    SPREADSHEET,
    STORE,
    Name,
    ScaleList,
    experiments_or_all,
    known_datasets,
    known_experiments,
    known_ledgers,
    known_metrics,
    known_models,
    known_protocols,
    names_option,
    run_options,
)
from casarbi.console import CasarbiGroup, echo

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
      casarbi-bench selfssim --scales 5.3,7,10
      casarbi-bench doctor
    """


@main.command()
@click.argument("experiment", type=Name(experiments_or_all))
@click.option("--preset", default="mini", show_default=True, help="mini: minutes on two cores; paper: the real data.")
@click.option("--data", metavar="REF", help="Measure on this data set in place of the declared ones.")
@click.option("--model", "models", multiple=True, metavar="ROW=REF", help="Model of a row, or a new row; repeatable.")
@run_options
def run(experiment: str, preset: str, data: str | None, models: tuple[str, ...], **options: Any) -> None:
    """Run a table or figure of the paper, then write and print its report.

    EXPERIMENT is the name of a declaration (see `casarbi-bench status`), a TOML file of yours, or `all`, which goes on
    after a failure and ends with what could not be run, and why. What the store already holds is not measured again, so
    a run that was stopped goes on where it was.

    \b
    Examples:
      casarbi-bench run table1
      casarbi-bench run table1 --dry-run
      casarbi-bench run table1 --model Mine=my_package.module:factory
      casarbi-bench run table1 --preset paper --data celebahq:/data/CelebA-HQ --device cuda
      casarbi-bench run all
    """
    out = None if options["dry_run"] else options["out"]
    with_chosen(Choice(experiment, preset, data, models), lambda kind, choice: kind.run(choice, **options), out)


@main.command()
@names_option("--models", known_models, required=True, help="Model references, joined by commas.")
@names_option("--data", known_datasets, required=True, help="Data set references, joined by commas.")
@click.option("--scales", type=ScaleList(), required=True, help="Scales, such as 2,3.5,8.")
@names_option("--metrics", known_metrics, help="Metrics; default psnr,ssim (sr-benchmark: psnr-y).")
@click.option("--protocol", type=Name(known_protocols), metavar="NAME", help="Crops, LR and borders; see `datasets`.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--small-n", is_flag=True, help="Give FID and its kin even of fewer images than an honest value needs.")
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
    begin(f"{len(models)} model(s) and {len(data)} data set(s)", **options)
    from benchmarks.experiments import grid_experiment

    # The sets of sr-benchmark are published as PSNR over luma.
    metrics = metrics or (("psnr-y",) if protocol == "sr-benchmark" else ("psnr", "ssim"))
    experiment = grid_experiment(
        "grid", "Grid", data, models, scales, metrics, protocol=protocol, seed=seed, small_n=small_n
    )
    execute(experiment, **options)


@main.command()
@click.option("--scales", type=ScaleList(), default=PAPER_SCALES, show_default=True, help="Scales to compare.")
@names_option("--models", known_models, help="Model references; default: every method of Table II, mini weights.")
@names_option("--data", known_datasets, default=["portraits?split=test&n=16"], show_default=True)
@click.option("--protocol", type=Name(known_protocols), metavar="NAME", help="A protocol with one LR for all scales.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--noise",
    type=click.Choice(NOISES),
    default="shared",
    show_default=True,
    help="One seed per image, whose noise scales share as far as the method does, or a seed per image and scale.",
)
@run_options
def selfssim(
    scales: tuple[float, ...],
    models: tuple[str, ...],
    data: tuple[str, ...],
    protocol: str | None,
    seed: int,
    noise: str,
    **options: Any,
) -> None:
    """Print matrices of SelfSSIM: how well a method agrees with itself across scales.

    The row is the scale of the output that is resized, the column the scale at which SSIM is taken. Without --models,
    the methods are those of Table II, and the paper's matrices are printed too.

    \b
    Examples:
      casarbi-bench selfssim --scales 5.3,7,10
      casarbi-bench selfssim --scales 5.3,7,10 --noise independent
      casarbi-bench selfssim --scales 2,3 --models bicubic,liif:edsr-baseline-div2k --data photos
    """
    begin(f"{f'{len(models)} model(s)' if models else 'Table II'} and {len(data)} data set(s)", **options)
    from benchmarks.experiments import grid_experiment, load_experiment

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
        noise=noise,
    )
    execute(experiment if models else experiment.with_rows_of(load_experiment("table2")), **options)


@main.command()
@click.argument("experiment", type=Name(experiments_or_all))
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
    """Write and print a report from what is measured, without measuring anything; `all` writes every report.

    \b
    Examples:
      casarbi-bench report table1
      casarbi-bench report all
    """
    with_chosen(
        Choice(experiment, preset, data, models),
        lambda kind, choice: kind.report(choice, store=store, out=out, spreadsheet=spreadsheet),
        out,
    )


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
        for name in experiment_names():
            echo(f"{name}: {title_of(name)}")
        return
    open_kind(experiment).status(Choice(experiment, preset, data, models), store=store)


@main.command()
@click.argument("ledger", type=Name(known_ledgers), default="claims")
@click.option("--preset", default="mini", show_default=True, help="Preset of the tables whose values are tested.")
@click.option("--data", multiple=True, metavar="REF", help="As given to the tables' runs; one per reader of data.")
@click.option(
    "--model", "models", multiple=True, metavar="[TABLE:]ROW=REF", help="As given to the tables' runs, or to one's."
)
@click.option("--store", default=STORE, show_default=True, metavar="DIR", help="Folder of the results.")
@click.option("--out", default=OUT, show_default=True, metavar="DIR", help="Folder of the reports.")
def claims(ledger: str, preset: str, data: tuple[str, ...], models: tuple[str, ...], store: str, out: str) -> None:
    """Say of each claim of the paper whether the stored values support or refute it, without measuring anything.

    LEDGER is the name of a ledger or a TOML file of yours. docs/claims.md defines the verdicts.

    \b
    Examples:
      casarbi-bench claims
      casarbi-bench claims --preset paper --data celebahq:/data/CelebA-HQ --model table1:Ours=casarbi:face.safetensors
    """
    from benchmarks.claims.commands import write_claims

    write_claims(ledger, preset, data, models, store=store, out=out)


for command in (doctor, weights, datasets, store, completion):
    main.add_command(command)


if __name__ == "__main__":
    main()
