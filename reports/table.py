"""From a panel to printable blocks: numbers as text, marks, footnotes; every format draws these and decides nothing.

With several scales a block is one metric (methods down, scales across), so that no two metrics ever share a column;
with one scale the metrics stand side by side in a single block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from casarbi.plain import visible
from casarbi.scales import scale_label
from reports.document import Method, MetricColumn, Panel

MISSING, FAILED = "—", "failed"
INSIDE, BEYOND = "in distribution", "out of distribution"


@dataclass(frozen=True)
class Cell:
    """One printed value.

    Attributes:
        state: "measured", "failed" (measured, but not a number), "cited" or "missing".
        text: the number, or the mark of a failed or missing one.
        interval: "24.60, 25.20", or "" where there is none.
        half: the larger half of the interval, such as "0.31".
        paper: the paper's number beside a measured or missing one, or "".
        mark: "best", "second" or "".
        outside: whether the scale lies outside the method's trained range.
        n: number of images where it is below the panel's largest, else 0.
    """

    state: str
    text: str
    interval: str = ""
    half: str = ""
    paper: str = ""
    mark: str = ""
    outside: bool = False
    n: int = 0


@dataclass(frozen=True)
class Column:
    """Heading of a column: label, group above it, and its direction where metrics share a block."""

    label: str
    group: str = ""
    arrow: str = ""


@dataclass(frozen=True)
class Row:
    """One method's cells; `series` is its place in the panel (its colour), `footnote` the number of its reason."""

    title: str
    group: str
    series: int
    cited: bool
    reason: str
    footnote: int
    cells: tuple[Cell, ...]

    @property
    def has_paper(self) -> bool:
        """Whether the paper gives a number for any cell."""
        return any(cell.paper for cell in self.cells)


@dataclass(frozen=True)
class Block:
    """One printed table. `arrow` is empty where the columns carry their own; `metrics` are the ones it shows."""

    title: str
    arrow: str
    notes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    metrics: tuple[MetricColumn, ...]
    paper_metric: str = ""
    cells: tuple[Cell, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(cell for row in self.rows for cell in row.cells))

    @property
    def cited_only(self) -> bool:
        """Whether every number is the paper's."""
        return not any(cell.state in ("measured", "failed") for cell in self.cells)


def panel_blocks(panel: Panel) -> tuple[Block, ...]:
    """Blocks of a panel, in the order of its metrics; a method without a row for a metric is left out there."""
    rows = {(row.method, row.scale, row.metric): row for row in panel.frame.itertuples()}
    footnotes = _footnotes(panel)
    if len(panel.scales) == 1:
        return (_side_by_side(panel, rows, footnotes),) if panel.metrics else ()
    blocks = (_one_metric(panel, metric, rows, footnotes) for metric in panel.metrics)
    return tuple(block for block in blocks if block.rows)


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


def legend(blocks: tuple[Block, ...], panel: Panel, best: str, second: str, interval: str) -> list[str]:
    """Sentences that explain the marks which occur.

    Args:
        blocks: the panel's blocks.
        panel: the panel, for its note on the paper.
        best: how the format marks the best value, such as "bold".
        second: how it marks the second best.
        interval: how it writes an interval, such as "[low, high]".
    """
    cells = [cell for block in blocks for cell in block.cells]
    split = scale_label(panel.split) if panel.split is not None else ""
    sentences = {
        f"{interval}: 95 % bootstrap interval of the mean over images.": any(c.interval for c in cells),
        f"Best {best}, second best {second}, among the measured values of a column{_shared_words(panel)}; values equal "
        "as printed share the mark.": any(c.mark for c in cells),
        f"{_paper_words(cells)}: number of the paper{_in_brackets(panel.paper_note)}, not measured here, never "
        "ranked.": any(c.state == "cited" or c.paper for c in cells),
        "† scale outside the range the method was trained on.": any(c.outside for c in cells),
        f"In distribution: scales up to {split}, the paper's training range.": any(
            column.group for block in blocks for column in block.columns
        ),
        f"{FAILED}: measured, but no number came of it (the notes say why); it enters no mean.": any(
            c.state == "failed" for c in cells
        ),
        f"{MISSING} not measured.": any(c.state == "missing" for c in cells),
    }
    return [sentence for sentence, occurs in sentences.items() if occurs]


def footnotes(blocks: tuple[Block, ...]) -> dict[int, str]:
    """Numbered reasons that occur in the blocks, each with the methods it holds for."""
    titles: dict[int, dict[str, None]] = {}
    reasons: dict[int, str] = {}
    for row in (row for block in blocks for row in block.rows if row.footnote):
        titles.setdefault(row.footnote, {})[row.title] = None
        reasons[row.footnote] = row.reason
    return {number: f"{', '.join(titles[number])}: {reasons[number]}" for number in sorted(reasons)}


def _shared_words(panel: Panel) -> str:
    return ", by the images that all its methods have in common" if panel.shared else ""


def _paper_words(cells: list[Cell]) -> str:
    words = {"cited": any(c.state == "cited" for c in cells), "paper": any(c.paper for c in cells)}
    return ", ".join(word for word, occurs in words.items() if occurs)


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _footnotes(panel: Panel) -> dict[str, int]:
    reasons = dict.fromkeys(method.reason for method in panel.methods if method.reason)
    return {reason: number for number, reason in enumerate(reasons, 1)}


def _one_metric(panel: Panel, metric: MetricColumn, rows: dict, footnotes: dict[str, int]) -> Block:
    keys = [(scale, metric) for scale in panel.scales]
    columns = tuple(Column(f"×{scale_label(scale)}", _group(panel, scale)) for scale in panel.scales)
    return Block(
        title=visible(metric.label),
        arrow=_arrow(metric),
        notes=(visible(metric.note),) if metric.note else (),
        columns=columns,
        rows=_rows(panel, keys, rows, footnotes),
        metrics=(metric,),
        paper_metric=metric.paper_metric,
    )


def _side_by_side(panel: Panel, rows: dict, footnotes: dict[str, int]) -> Block:
    scale = panel.scales[0]
    columns = tuple(Column(visible(metric.label), arrow=_arrow(metric)) for metric in panel.metrics)
    return Block(
        title=f"×{scale_label(scale)}",
        arrow="",
        notes=tuple(f"{visible(metric.label)}: {visible(metric.note)}" for metric in panel.metrics if metric.note),
        columns=columns,
        rows=_rows(panel, [(scale, metric) for metric in panel.metrics], rows, footnotes),
        metrics=panel.metrics,
    )


def _rows(panel: Panel, keys: list[tuple[float, MetricColumn]], rows: dict, footnotes: dict[str, int]) -> tuple:
    marks = [_marks(panel, scale, metric, rows) for scale, metric in keys]
    most = _all_images(panel)
    digits = {metric.name: _cited_decimals(panel, metric) for _, metric in keys}
    built = []
    for series, method in enumerate(panel.methods):
        found = [rows.get((method.name, scale, metric.name)) for scale, metric in keys]
        if not any(row is not None for row in found):
            continue
        cells = tuple(
            _cell(row, method, scale, metric, marks[place].get(method.name, ""), most, digits[metric.name])
            for place, (row, (scale, metric)) in enumerate(zip(found, keys, strict=True))
        )
        states = {cell.state for cell in cells}
        reason = visible(method.reason) if states & {"missing", "failed", "cited"} else ""
        built.append(
            Row(
                title=visible(method.title),
                group=visible(method.group),
                series=series,
                cited="cited" in states and not states & {"measured", "failed"},
                reason=reason,
                footnote=footnotes[method.reason] if reason else 0,
                cells=cells,
            )
        )
    return tuple(built)


def _cell(row: Any, method: Method, scale: float, metric: MetricColumn, mark: str, all_images: int, cited: int) -> Cell:
    if row is None:
        return Cell("missing", MISSING)
    paper = "" if math.isnan(row.paper_value) or not metric.paper_metric else fixed(row.paper_value, cited)
    if row.source == "missing" or (row.source == "cited" and math.isnan(row.value)):
        return Cell("missing", MISSING, paper=paper)
    if row.source == "cited":
        return Cell("cited", fixed(row.value, cited))
    outside = method.outside(scale)
    if math.isnan(row.value):
        return Cell("failed", FAILED, paper=paper, outside=outside)
    interval, half = "", ""
    if not (math.isnan(row.ci_low) or math.isnan(row.ci_high)):
        interval = f"{fixed(row.ci_low, metric.decimals)}, {fixed(row.ci_high, metric.decimals)}"
        half = fixed(max(row.ci_high - row.value, row.value - row.ci_low), metric.decimals)
    n = int(row.n) if row.n == row.n and row.n != all_images else 0
    return Cell("measured", fixed(row.value, metric.decimals), interval, half, paper, mark, outside, n)


def _marks(panel: Panel, scale: float, metric: MetricColumn, rows: dict) -> dict[str, str]:
    """Best and second best of the measured values, compared as printed; nothing to mark where only one is."""
    printed: dict[str, float] = {}
    for method in panel.methods:
        row = rows.get((method.name, scale, metric.name))
        if row is None or row.source != "measured":
            continue
        value = panel.shared.get((method.name, scale, metric.name), row.value)
        if not math.isnan(value):
            printed[method.name] = float(fixed(value, metric.decimals).replace("∞", "inf"))
    if len(printed) < 2:
        return {}
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
    return "↑" if metric.higher_is_better else "↓"
