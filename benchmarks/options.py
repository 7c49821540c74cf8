"""Types and options of the `casarbi-bench` command line, with what a shell completes for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from casarbi.errors import CasarbiError
from casarbi.scales import parse_scales

STORE = "results"
OUT = "reports/out"
ALL = "all"
"""What stands in place of an experiment's name for all of them."""


class ScaleList(click.ParamType):
    """Scales such as `5.3,7,10`."""

    name = "SCALES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Parse, turning a bad piece into a usage error."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_scales(value)
        except CasarbiError as error:
            self.fail(str(error), param, ctx)


class NameList(click.ParamType):
    """Names or references joined by commas; the path of a file or folder that exists may hold commas."""

    name = "NAMES"

    def __init__(self, known: Callable[[], list[str]] | None = None) -> None:
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split at commas, each name once."""
        if isinstance(value, tuple):
            return value
        names = split_references(value)
        return names or self.fail(f"'{value}' names nothing.", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Complete the last name of the list."""
        from click.shell_completion import CompletionItem

        # A shell replaces the whole word, so the names before the last comma are part of every answer.
        done, comma, last = incomplete.rpartition(",")
        names = self.known() if self.known else []
        return [CompletionItem(f"{done}{comma}{name}") for name in names if name.startswith(last)]


def split_references(text: str) -> tuple[str, ...]:
    """Split at commas, each name once; a reference whose path is a file or folder that has commas stays whole."""
    # Take the longest run of pieces that names an existing path, else the next piece alone.
    pieces, names = text.split(","), []
    while pieces:
        joined = [",".join(pieces[:count]).strip() for count in range(len(pieces), 0, -1)]
        taken = next((name for name in joined[:-1] if _names_a_path(name)), joined[-1])
        pieces = pieces[len(joined) - joined.index(taken) :]
        names.append(taken)
    return tuple(dict.fromkeys(name for name in names if name))


def _names_a_path(reference: str) -> bool:
    place, _, options = reference.partition("?")
    name, _, target = place.partition(":")
    return bool(target) and "," not in name + options and os.path.exists(os.path.expanduser(target))


def names_option(flag: str, known: Callable[[], list[str]], **settings: Any) -> Callable[..., Any]:
    """An option that takes a list of names and may be repeated: all are taken, each once."""
    return click.option(flag, type=NameList(known), multiple=True, callback=_joined, **settings)


def _joined(ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in value for name in names))


class Name(click.ParamType):
    """One name, completed from those known."""

    name = "NAME"

    def __init__(self, known: Callable[[], list[str]]) -> None:
        self.known = known

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Complete a name."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in self.known() if name.startswith(incomplete)]


def known_models() -> list[str]:
    """Names of models, for completion."""
    from casarbi.known_models import known_references

    return known_references()


def known_datasets() -> list[str]:
    """Names of datasets, for completion."""
    from casarbi.references import DATASETS

    return DATASETS.names()


def known_metrics() -> list[str]:
    """Names of metrics, for completion."""
    from benchmarks.metrics import METRIC_NAMES

    return list(METRIC_NAMES)


def known_experiments() -> list[str]:
    """Names of experiments, for completion."""
    from benchmarks.kinds import experiment_names

    return experiment_names()


def known_ledgers() -> list[str]:
    """Names of ledgers of claims, for completion."""
    from benchmarks.kinds import CLAIMS, experiment_names

    return experiment_names(CLAIMS)


def experiments_or_all() -> list[str]:
    """Names of experiments, and the word for all of them, for completion."""
    return [*known_experiments(), ALL]


def known_protocols() -> list[str]:
    """Names of protocols, for completion."""
    from casarbi.data.protocol import PROTOCOLS

    return list(PROTOCOLS)


def known_weights() -> list[str]:
    """Names of weights, for completion."""
    from casarbi.weights import CATALOGUE

    return list(CATALOGUE)


SPREADSHEET = click.option(
    "--spreadsheet",
    type=click.Choice([".", ","]),
    help="Also write a CSV that a spreadsheet opens as it is, with this decimal sign; names that would run as formulas "
    "get an apostrophe.",
)


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that every command which measures has."""
    # The cores that this process may use: a container or a SLURM task may have fewer than the machine.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for option in reversed(
        (
            click.option("--store", default=STORE, show_default=True, metavar="DIR", help="Folder of the results."),
            click.option("--out", default=OUT, show_default=True, metavar="DIR", help="Folder of the reports."),
            click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 or auto."),
            click.option(
                "--workers",
                type=click.IntRange(1),
                default=cores,
                show_default="one per core",
                help="Processes on the CPU, one thread each; numbers do not depend on it.",
            ),
            click.option(
                "--batch",
                type=click.IntRange(1),
                show_default="1 on a CPU, 64 on a GPU",
                help="Images per batch; numbers do not depend on it, but for a GPU's rounding.",
            ),
            click.option("--rank", type=click.IntRange(0), help="This machine's slice of the images, with --world."),
            click.option("--world", type=click.IntRange(1), help="Number of machines that share the store."),
            SPREADSHEET,
            click.option(
                "--again",
                is_flag=True,
                help="Measure again what the store holds; old values count until new ones are there.",
            ),
            click.option("--dry-run", is_flag=True, help="Print what it would cost, and stop."),
        )
    ):
        command = option(command)
    return command
