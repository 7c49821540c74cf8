"""Times that the paper and other papers give: beside ours never, in a panel of their own with their hardware always."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote
from reports.document import COLUMNS, Facts, Method, MetricColumn, Panel, empty_frame

PAPER = Path(__file__).parents[1] / "paper"
COLUMNS_OF_LEADS = ("scale", "method", "metric", "value", "hardware", "source", "confidence", "comment")
IN_SECONDS = {"seconds": lambda value: value, "frames_per_second": lambda value: 1 / value}
"""Seconds per image, from each metric that the file may hold."""


@dataclass(frozen=True)
class CitedTable:
    """`[cited]`: a CSV in benchmarks/paper with `COLUMNS_OF_LEADS`, and what a reader must know of it."""

    file: str
    caption: str = ""

    def __post_init__(self) -> None:
        """Refuse a file that is not there or holds no times; raises CasarbiError."""
        tables = sorted(path.name for path in PAPER.glob("*.csv"))
        if self.file not in tables:
            raise CasarbiError(f"there is no table of the paper {quote(self.file)}: {near_names(self.file, tables)}")
        for column in COLUMNS_OF_LEADS:
            if column not in self.rows()[0]:
                raise CasarbiError(f"{self.file} cannot be cited as times: it has no column {column}.")

    def rows(self) -> list[dict[str, str]]:
        """Rows of the file."""
        with open(PAPER / self.file, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def cited_panel(cited: CitedTable, experiment: str, preset: str) -> Panel:
    """The cited times, under the hardware that each was measured on."""
    rows = cited.rows()
    methods = [Method(_name(row), label=row["method"], group=row["hardware"]) for row in rows]
    records = [
        {"method": _name(row), "scale": float(row["scale"]), "metric": "seconds", "value": _seconds(row)}
        for row in rows
    ]
    frame = pd.DataFrame(records).assign(
        source="cited", n=math.nan, ci_low=math.nan, ci_high=math.nan, paper_value=math.nan
    )
    return Panel(
        name="cited",
        caption=" ".join(cited.caption.split()),
        frame=frame.reindex(columns=list(COLUMNS)).assign(experiment=experiment, preset=preset)
        if len(frame)
        else empty_frame(),
        scales=tuple(sorted({float(row["scale"]) for row in rows})),
        metrics=(MetricColumn("seconds", "Seconds per image", None, 2),),
        methods=tuple(sorted(dict.fromkeys(methods), key=lambda method: method.group)),
        facts=_facts(rows),
        cited=True,
    )


def _name(row: dict[str, str]) -> str:
    return f"{row['method']}, {row['hardware']}"


def _seconds(row: dict[str, str]) -> float:
    return float(f"{IN_SECONDS[row['metric']](float(row['value'])):.4g}")


def _facts(rows: list[dict[str, str]]) -> Facts:
    """What each value is, where it is from, and how sure that is."""
    return tuple(
        (
            f"{row['method']} ×{row['scale']}",
            f"{row['value']} {row['metric'].replace('_', ' ')} on {row['hardware']}; confidence: {row['confidence']}; "
            f"{row['source']}. {row['comment']}".rstrip(". ")
            + ".",
        )
        for row in rows
    )
