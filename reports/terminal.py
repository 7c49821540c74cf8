"""Plain text for a terminal, whatever its encoding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import tabulate

from casarbi.plain import PLAIN_SIGNS, visible
from casarbi.scales import scale_label
from reports.document import Document, Matrix
from reports.table import Entry, Table
from reports.templating import grouped, matrix_rows, render

PAD = "\ue000"
"""Stands for a space until the table is laid out: tabulate strips real ones."""


def to_text(document: Document, encoding: str | None = "utf-8", width: int | None = None) -> str:
    """Text for a terminal, with only characters that its encoding has (±, ×, † become +/-, x, #).

    Args:
        document: what to print.
        encoding: encoding of the stream, as in `sys.stdout.encoding`; None means ASCII.
        width: columns of the terminal; wider tables are printed in parts, one under the other. None: never.
    """

    def draw(table: Table) -> str:
        return _fitting(table, width)

    text = render("report.txt.j2", document, visible, draw, _text_matrix, ("marked *", "marked +"))
    return text.encode(encoding or "ascii", PLAIN_SIGNS).decode(encoding or "ascii")


def _fitting(table: Table, width: int | None) -> str:
    """Text of a table, its columns halved until each part fits."""
    text = _text_table(table)
    count = len(table.headings)
    if width is None or count < 2 or max(map(len, text.split("\n"))) <= width:
        return text
    # In halves, so that the parts are about equally wide.
    parts = (slice(0, (count + 1) // 2), slice((count + 1) // 2, count))
    return "\n\n".join(_fitting(_part(table, part), width) for part in parts)


def _part(table: Table, part: slice) -> Table:
    rows = tuple(replace(row, entries=row.entries[part]) for row in table.rows)
    return replace(table, headings=table.headings[part], rows=rows)


def _text_table(table: Table) -> str:
    groups = any(heading.group for heading in table.headings)
    short = {"in distribution": "in distr.", "out of distribution": "out of distr."}
    header = ["\nMethod" if groups else "Method"]
    for heading in table.headings:
        label = f"{heading.label} {heading.arrow}".strip()
        header.append(f"{short.get(heading.group, '')}\n{label}" if groups else label)
    # Tails such as "±0.31*" differ in length; padding them puts the numbers under each other.
    widths = _column_widths(table)
    lines: list[list[str]] = []
    # A method takes one line, and a second one for the paper's numbers.
    for group, row in grouped(table.rows):
        if group:
            lines.append([f"[{group}]", *("" for _ in row.entries)])
        note = f" ({row.footnote})" if row.footnote else ""
        lines.append(
            [row.title + (" cited" if row.cited else "") + note, *_padded(map(_entry_parts, row.entries), widths)]
        )
        if row.has_paper:
            lines.append([f"{PAD}{PAD}paper", *_padded(((entry.paper, "") for entry in row.entries), widths)])
    return _tabulate(lines, header)


def _entry_parts(entry: Entry) -> tuple[str, str]:
    """Split an entry into the number and what follows it, so that numbers can stand under each other."""
    half = f" ±{entry.half}" if entry.half else ""
    mark = {"best": "*", "second": "+", "": ""}[entry.mark]
    return entry.text, half + mark + entry.signs + (f" n={entry.n}" if entry.n else "")


def _column_widths(table: Table) -> list[int]:
    """Room behind the number in each column."""
    rows = [[len(_entry_parts(entry)[1]) for entry in row.entries] for row in table.rows]
    return [max(column) for column in zip(*rows, strict=True)]


def _padded(parts: Iterable[tuple[str, str]], widths: list[int]) -> list[str]:
    return [text + tail + PAD * (width - len(tail)) for (text, tail), width in zip(parts, widths, strict=True)]


def _text_matrix(matrix: Matrix) -> str:
    header = ["generated \\ reference", *(f"×{scale_label(label)}" for label in matrix.labels)]
    lines: list[list[str]] = []
    for label, values, paper in matrix_rows(matrix):
        lines.append([f"×{label}", *values])
        if any(paper):
            lines.append([f"{PAD}{PAD}paper", *paper])
    return _tabulate(lines, header)


def _tabulate(lines: list[list[str]], header: list[str]) -> str:
    align = ("left", *("right" for _ in header[1:]))
    table = tabulate.tabulate(lines, header, tablefmt="simple", disable_numparse=True, colalign=align)
    return "\n".join(line.replace(PAD, " ").rstrip() for line in table.split("\n"))
