"""What a TOML declaration of an experiment may hold: every setting with its type, and nothing else."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

from benchmarks.kinds import TABLE
from benchmarks.metrics import METRIC_NAMES, NOISES
from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote
from casarbi.settings import Choices, build, read_toml

PAPER = Path(__file__).parents[1] / "paper"
CITED = "paper"
"""Panel of a report that holds the paper's numbers alone, if they are of other data than what was measured."""


@dataclass(frozen=True)
class MethodTable:
    """`[[methods]]`: a row of every panel; see `MethodSpec`.

    One that the paper's table lacks, without a reason, is a row of those panels alone where it has a model.
    """

    name: str
    group: str = ""
    reason: str = ""
    cited: bool = False


@dataclass(frozen=True)
class PanelTable:
    """`[[presets.NAME.panels]]`; see `PanelSpec`.

    `models` goes before the preset's, row by row; `metrics`, if there are any, are measured in place of the preset's.
    `along` are metrics of other tables on the same data: see `Job`.
    """

    name: str
    data: str
    protocol: str
    caption: str = ""
    cite: bool = False
    samples: int = 0
    sample_scale: float = 0.0
    models: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    along: tuple[str, ...] = ()
    noise: Annotated[str, NOISES] = "shared"


@dataclass(frozen=True)
class PresetTable:
    """`[presets.NAME]`; see `Experiment`. `models` maps the names of rows to model references."""

    scales: tuple[float, ...]
    metrics: tuple[str, ...]
    panels: tuple[PanelTable, ...]
    optional: tuple[str, ...] = ()
    seed: int = 0
    small_n: bool = False
    models: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper.

    Attributes:
        file: CSV in benchmarks/paper.
        columns: metric name to the CSV's column.
        note: what the paper measured on, and how.
        data: registered name of the data set that the paper measured on. Beside measurements of other data its numbers
            never stand; they get a table of their own.
        images: that data set in words, such as "CelebA-HQ".
        key: the CSV's column that tells rows apart.
        rows: name of a row to its value in that column, if they differ.
        scale: scale of a CSV that gives none; 0: it holds for every scale.
        where: column to the value that a line of the CSV must have to count.
        cautions: what a reader must know before these numbers.
    """

    file: str
    columns: Mapping[str, str]
    note: str = ""
    data: str = ""
    images: str = ""
    key: str = "method"
    rows: Mapping[str, str] = field(default_factory=dict)
    scale: float = 0.0
    where: Mapping[str, str] = field(default_factory=dict)
    cautions: tuple[str, ...] = ()

    def value(self, method: str, scale: float, metric: str, reference_scale: float | None = None) -> float | None:
        """The paper's number, or None if it prints none."""
        column = self.columns.get(metric)
        if column is None:
            return None
        for row in self._lines_of(method):
            at = float(row.get("scale") or row.get("generated_scale") or self.scale or scale)
            # Tables II and VI have pairs of scales; what belongs to one scale stands on their diagonal.
            towards = float(row.get("reference_scale") or at)
            if (at, towards) == (scale, reference_scale or scale) and row[column]:
                return float(row[column])
        return None

    def has(self, method: str) -> bool:
        """Whether it has a row of a method."""
        return any(self._lines_of(method))

    def between_scales(self, metric: str) -> bool:
        """Whether it has numbers of a metric for pairs of scales."""
        column = self.columns[metric]
        return any(row[column] and row.get("reference_scale") != row.get("generated_scale") for row in self._lines())

    def _lines_of(self, method: str) -> Iterator[dict[str, str]]:
        called = self.rows.get(method, method)
        for row in self._lines():
            # Table III has a method once for each training set.
            name = f"{row[self.key]} ({row['datasets']})" if "datasets" in row else row[self.key]
            if name == called:
                yield row

    def _lines(self) -> Iterator[dict[str, str]]:
        return (row for row in _paper_rows(self.file) if self.where.items() <= row.items())


@cache
def _paper_rows(name: str) -> list[dict[str, str]]:
    """Rows of a CSV in benchmarks/paper, read once: every cell of a report asks for its number."""
    with open(PAPER / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True)
class Declaration:
    """The whole file of a table."""

    title: str
    methods: tuple[MethodTable, ...]
    presets: Mapping[str, PresetTable]
    kind: Annotated[str, Choices(TABLE)] = TABLE
    summary: str = ""
    split: float | None = None
    paper: PaperTable | None = None

    def __post_init__(self) -> None:
        """Refuse what no table can be made of."""
        _check(self)


def read_declaration(path: Path) -> Declaration:
    """Read a declaration.

    Raises:
        CasarbiError: naming the file and the setting that is unknown, missing, of another type or impossible.
    """
    return build(Declaration, read_toml(path), str(path))


def _check(declared: Declaration) -> None:
    # Checked here, in the words of the file, before a later step meets a missing key or an empty table.
    rows = [row.name for row in declared.methods]
    check_once("[[methods]]", rows)
    if declared.paper:
        _check_paper(declared.paper, rows)
    for name, preset in declared.presets.items():
        where = f"[presets.{name}]"
        check_known("metric", (*preset.metrics, *preset.optional), METRIC_NAMES)
        check_once(f"{where} panels", [panel.name for panel in preset.panels])
        check_once(f"{where} scales", preset.scales)
        check_once(f"{where} metrics", preset.metrics)
        for scale in preset.scales:
            if not (math.isfinite(scale) and scale >= 1):
                raise CasarbiError(f"{where} scales holds {scale:g}, expected finite numbers of at least 1.")
        for panel in preset.panels:
            check_known("metric", (*panel.metrics, *panel.along), METRIC_NAMES)
            if panel.metrics:
                check_once(f"{where} panel {quote(panel.name)} metrics", panel.metrics)
            if declared.paper and panel.name == CITED:
                raise CasarbiError(
                    f"{where} has a panel {quote(CITED)}, which names the paper's numbers: name it otherwise."
                )
            check_known("row in methods", (*preset.models, *panel.models), rows)
            if panel.samples < 0 or (panel.samples and not 1 <= panel.sample_scale < math.inf):
                raise CasarbiError(
                    f"{where} panel {quote(panel.name)} has samples = {panel.samples} at sample_scale = "
                    f"{panel.sample_scale:g}, expected none or more, at a scale of at least 1."
                )


def _check_paper(paper: PaperTable, rows: Sequence[str]) -> None:
    tables = sorted(table.name for table in PAPER.glob("*.csv"))
    check_known("table of the paper", (paper.file,), tables)
    check_known("metric", paper.columns, METRIC_NAMES)
    columns = list(_paper_rows(paper.file)[0])
    check_known(f"column in {paper.file}", (*paper.columns.values(), paper.key, *paper.where), columns)
    check_known("row in methods", paper.rows, rows)
    names = list(dict.fromkeys(row[paper.key] for row in _paper_rows(paper.file)))
    check_known(f"{paper.key} in {paper.file}", paper.rows.values(), names)


def check_known(kind: str, names: Iterable[str], known: Sequence[str]) -> None:
    """Raise CasarbiError, with the names that are near, if one is none of a kind."""
    for name in names:
        if name not in known:
            raise CasarbiError(f"there is no {kind} {quote(name)}: {near_names(name, known)}")


def check_once(what: str, values: Sequence[object]) -> None:
    """Raise CasarbiError if there is no value, or one twice."""
    if not values:
        raise CasarbiError(f"{what} is empty, expected at least one.")
    for value in values:
        if values.count(value) > 1:
            raise CasarbiError(f"{what} has {quote(value)} twice: give each once.")
