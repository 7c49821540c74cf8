"""From a panel to printable tables: numbers as text, marks, footnotes; every format draws these and decides nothing.

With several scales a table is one metric (methods down, scales across), so that no two metrics ever share a column;
with one scale the metrics stand side by side in a single table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from casarbi.plain import visible
from casarbi.scales import scale_label
from reports.document import Method, MetricColumn, Panel

MISSING, FAILED = "—", "failed"
INSIDE, BEYOND = "in distribution", "out of distribution"


@dataclass(frozen=True)
class Entry:
    """One printed value of a table.

    Attributes:
        state: "measured", "failed" (measured, but not a number), "cited" or "missing".
        text: the number, or the mark of a failed or missing one.
        interval: "24.60, 25.20", or "" if there is none.
        half: the larger half of the interval, such as "0.31".
        paper: the paper's number beside a measured or missing one, or "".
        mark: "best", "second" or "".
        outside: whether the scale lies outside the method's trained range.
        flags: what a reader must know of this value.
        n: number of images if it is below the panel's largest, else 0.
    """

    state: str
    text: str
    interval: str = ""
    half: str = ""
    paper: str = ""
    mark: str = ""
    outside: bool = False
    n: int = 0
    flags: tuple[str, ...] = ()

    @property
    def signs(self) -> str:
        """Signs behind the number, which the legend explains."""
        return "†" * self.outside + "‡" * bool(self.flags)


@dataclass(frozen=True)
class Heading:
    """Heading of a column: label, group above it, and its direction if metrics share a table."""

    label: str
    group: str = ""
    arrow: str = ""


@dataclass(frozen=True)
class TableRow:
    """One method's entries; `series` is its place in the panel (its colour), `footnote` the number of its reason."""

    title: str
    group: str
    series: int
    cited: bool
    reason: str
    footnote: int
    entries: tuple[Entry, ...]

    @property
    def has_paper(self) -> bool:
        """Whether the paper gives a number for any entry."""
        return any(entry.paper for entry in self.entries)


@dataclass(frozen=True)
class Table:
    """One printed table. `arrow` is empty if the headings carry their own; `metrics` are the ones it shows."""

    title: str
    arrow: str
    notes: tuple[str, ...]
    headings: tuple[Heading, ...]
    rows: tuple[TableRow, ...]
    metrics: tuple[MetricColumn, ...]
    paper_metric: str = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, row by row."""
        return tuple(entry for row in self.rows for entry in row.entries)

    @property
    def cited_only(self) -> bool:
        """Whether every number is the paper's."""
        states = {entry.state for entry in self.entries}
        return "cited" in states and not states & {"measured", "failed"}


def panel_tables(panel: Panel) -> tuple[Table, ...]:
    """Blocks of a panel, in the order of its metrics; a method without a row for a metric is left out there."""
    rows = {(row.method, row.scale, row.metric): row for row in panel.frame.itertuples()}
    footnotes = _footnotes(panel)
    if len(panel.scales) == 1:
        return (_side_by_side(panel, rows, footnotes),) if panel.metrics else ()
    tables = (_one_metric(panel, metric, rows, footnotes) for metric in panel.metrics)
    return tuple(table for table in tables if table.rows)


def fixed(value: float, decimals: int) -> str:
    """Print a number with fixed digits, without a minus before nothing and without a flood of digits.

    Example:
        >>> fixed(-1e-9, 2), fixed(float("inf"), 2), fixed(1e9, 2)
        ('0.00', '∞', '1.000e+09')
    """
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= 1e7:
        return f"{value:.3e}"
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _footnotes(panel: Panel) -> dict[str, int]:
    reasons = dict.fromkeys(method.reason for method in panel.methods if method.reason)
    return {reason: number for number, reason in enumerate(reasons, 1)}


def _one_metric(panel: Panel, metric: MetricColumn, rows: dict, footnotes: dict[str, int]) -> Table:
    keys = [(scale, metric) for scale in panel.scales]
    headings = tuple(Heading(f"×{scale_label(scale)}", _group(panel, scale)) for scale in panel.scales)
    if metric.constant:
        keys, headings = keys[:1], (Heading("at every scale"),)
    return Table(
        title=visible(metric.label),
        arrow=_arrow(metric),
        notes=(visible(metric.note),) if metric.note else (),
        headings=headings,
        rows=_rows(panel, keys, rows, footnotes),
        metrics=(metric,),
        paper_metric=metric.paper_metric,
    )


def _side_by_side(panel: Panel, rows: dict, footnotes: dict[str, int]) -> Table:
    scale = panel.scales[0]
    headings = tuple(Heading(visible(metric.label), arrow=_arrow(metric)) for metric in panel.metrics)
    return Table(
        title=f"×{scale_label(scale)}",
        arrow="",
        notes=tuple(f"{visible(metric.label)}: {visible(metric.note)}" for metric in panel.metrics if metric.note),
        headings=headings,
        rows=_rows(panel, [(scale, metric) for metric in panel.metrics], rows, footnotes),
        metrics=panel.metrics,
    )


def _rows(panel: Panel, keys: list[tuple[float, MetricColumn]], rows: dict, footnotes: dict[str, int]) -> tuple:
    # Decided by whole columns: the marks, the usual number of images, and the digits that the paper prints.
    marks = [_marks(panel, scale, metric, rows) for scale, metric in keys]
    most = _all_images(panel)
    metrics = {metric.name: metric for _, metric in keys}
    digits = {name: _cited_decimals(panel, metric) for name, metric in metrics.items()}
    built = []
    for series, method in enumerate(panel.methods):
        found = [rows.get((method.name, scale, metric.name)) for scale, metric in keys]
        if not any(row is not None for row in found):
            continue
        entries = tuple(
            replace(
                _entry(row, method, scale, metric, marks[place].get(method.name, ""), most, digits[metric.name]),
                flags=panel.flags.get((method.name, scale, metric.name), ()),
            )
            for place, (row, (scale, metric)) in enumerate(zip(found, keys, strict=True))
        )
        # A reason is told only if the row has something to explain.
        states = {entry.state for entry in entries}
        reason = visible(method.reason) if states & {"missing", "failed", "cited"} else ""
        built.append(
            TableRow(
                title=visible(method.title),
                group=visible(method.group),
                series=series,
                cited="cited" in states and not states & {"measured", "failed"},
                reason=reason,
                footnote=footnotes[method.reason] if reason else 0,
                entries=entries,
            )
        )
    return tuple(built)


def _entry(
    row: Any, method: Method, scale: float, metric: MetricColumn, mark: str, all_images: int, cited: int
) -> Entry:
    if row is None:
        return Entry("missing", MISSING)
    # The paper's number stands small beside ours, or alone if we have none.
    paper = "" if math.isnan(row.paper_value) or not metric.paper_metric else fixed(row.paper_value, cited)
    if row.source == "missing" or (row.source == "cited" and math.isnan(row.value)):
        return Entry("missing", MISSING, paper=paper)
    if row.source == "cited":
        return Entry("cited", fixed(row.value, cited))
    outside = method.outside(scale)
    if math.isnan(row.value):
        return Entry("failed", FAILED, paper=paper, outside=outside)
    # An interval may be lopsided: `half` is its larger side, so that ± never claims too much.
    interval, half = "", ""
    if not (math.isnan(row.ci_low) or math.isnan(row.ci_high)):
        interval = f"{fixed(row.ci_low, metric.decimals)}, {fixed(row.ci_high, metric.decimals)}"
        half = fixed(max(row.ci_high - row.value, row.value - row.ci_low), metric.decimals)
    n = int(row.n) if row.n == row.n and row.n != all_images else 0
    return Entry("measured", fixed(row.value, metric.decimals), interval, half, paper, mark, outside, n)


def _marks(panel: Panel, scale: float, metric: MetricColumn, rows: dict) -> dict[str, str]:
    """Best and second best of the measured values, compared as printed; none if one is flagged or there is only one."""
    # Compared as printed: of two numbers that look equal, both are bold or neither is.
    printed: dict[str, float] = {}
    for method in panel.methods:
        row = rows.get((method.name, scale, metric.name))
        if row is None or row.source != "measured":
            continue
        value = panel.shared.get((method.name, scale, metric.name), row.value)
        if not math.isnan(value):
            printed[method.name] = float(fixed(value, metric.decimals).replace("∞", "inf"))
    doubtful = any(panel.flags.get((name, scale, metric.name)) for name in printed)
    if len(printed) < 2 or metric.higher_is_better is None or doubtful:
        return {}
    # Equal printed values share a mark, so ranks are of distinct values.
    order = sorted(set(printed.values()), reverse=metric.higher_is_better)
    words = dict(zip(order, ("best", "second"), strict=False))
    return {name: words[value] for name, value in printed.items() if value in words}


def _cited_decimals(panel: Panel, metric: MetricColumn) -> int:
    """Digits the paper prints, so that its 0.83 never looks like our 0.8300."""
    rows = panel.frame[panel.frame["metric"] == metric.name]
    cited = [*rows["paper_value"], *rows["value"][rows["source"] == "cited"]]
    digits = (len(repr(float(value)).partition(".")[2]) for value in cited if math.isfinite(value))
    return min(metric.decimals, max(digits, default=0))


def _all_images(panel: Panel) -> int:
    """Most images behind a value of the panel: a value of fewer says so."""
    measured = panel.frame[panel.frame["source"] == "measured"]
    return max((int(n) for n in measured["n"] if n == n), default=0)


def _group(panel: Panel, scale: float) -> str:
    if panel.split is None:
        return ""
    return INSIDE if scale <= panel.split else BEYOND


def _arrow(metric: MetricColumn) -> str:
    if metric.higher_is_better is None:
        return ""
    return "↑" if metric.higher_is_better else "↓"
