"""The kinds of experiment (a table, a timing, a figure, the claims), and which of them a declaration is.

Every experiment is one TOML file in benchmarks/experiments, or a file of the user's. Its `kind` names the module that
runs it; a new kind is one such module and a line in `KINDS`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import click

from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote
from casarbi.settings import read_toml

FOLDER = Path(__file__).parent / "experiments"
TABLE, CLAIMS = "table", "claims"
KINDS = {
    TABLE: "benchmarks.tables",
    "timing": "benchmarks.timing.commands",
    "figure": "benchmarks.figures.commands",
    CLAIMS: "benchmarks.claims.commands",
}
"""Module of each kind, as `Kind` says what it holds, in the order in which `all` takes them: figures and claims read
tables."""


@dataclass(frozen=True)
class Choice:
    """What was typed to choose an experiment and to change what it declares.

    Attributes:
        name: name of a declaration, or a TOML file.
        preset: name of its preset.
        data: data set reference in place of the declared one.
        models: ROW=REFERENCE, each a model for a row.
    """

    name: str
    preset: str = "mini"
    data: str | None = None
    models: tuple[str, ...] = ()

    def typed_models(self) -> dict[str, str]:
        """Model reference by row.

        Raises:
            click.UsageError: if one is not ROW=REFERENCE, or a row is named twice.
        """
        pairs = [model.partition("=") for model in self.models]
        for row, equals, reference in pairs:
            if not (row and equals and reference):
                raise click.UsageError(
                    f"--model {row} must read ROW=REFERENCE, such as Mine=my_package.module:factory."
                )
        chosen = {row: reference for row, _, reference in pairs}
        if len(chosen) < len(pairs):
            raise click.UsageError("--model names a row twice: give each row one model.")
        return chosen


class Kind(Protocol):
    """What the module of a kind holds."""

    def run(self, choice: Choice, **options: Any) -> Sequence[str]:
        """Measure what the store lacks, then write and print the report; `options` are those of `run_options`.

        Returns:
            what is declared and could not be measured, each as a sentence with the reason.

        Raises:
            CasarbiError: if nothing can be run, or, after the report is written, if something failed.
        """

    def report(self, choice: Choice, *, store: str, out: str, spreadsheet: str | None) -> Sequence[str]:
        """Write and print the report from what the store holds; returns and raises as `run`."""

    def status(self, choice: Choice, *, store: str) -> None:
        """Print what is done and what is missing."""


def experiment_names(kind: str | None = None) -> list[str]:
    """Names of the declared experiments, or of those of one kind."""
    names = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return [name for name in names if kind is None or kind_of(name) == kind]


def experiment_path(name: str) -> Path:
    """File of an experiment: of ours by its name, or the user's by its path, which ends in .toml.

    Raises:
        CasarbiError: if there is none, with the names that are near.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not os.path.exists(path):  # False for what can be no file name, too
        raise CasarbiError(f"There is no experiment {quote(name)}: {near_names(name, experiment_names())}")
    return path


def kind_of(name: str) -> str:
    """Kind of an experiment, as its file says.

    Raises:
        CasarbiError: if there is no such file or kind.
    """
    path = experiment_path(name)
    kind = read_toml(path).get("kind", TABLE)
    if not isinstance(kind, str) or kind not in KINDS:
        raise CasarbiError(f"{path}: there is no kind {quote(str(kind))}: {near_names(str(kind), list(KINDS))}")
    return kind


def title_of(name: str) -> str:
    """Title of an experiment, as its file says."""
    return " ".join(str(read_toml(experiment_path(name)).get("title", name)).split())


def open_kind(name: str) -> Kind:
    """The module that runs an experiment."""
    return cast(Kind, importlib.import_module(KINDS[kind_of(name)]))
