"""Plain text for a terminal, whatever its encoding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import tabulate

from casarbi.plain import PLAIN_SIGNS, visible
from casarbi.scales import scale_label
from reports.document import Document, Matrix
from reports.table import Block, Cell
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

    def table(block: Block) -> str:
        return _fitting(block, width)

    text = render("report.txt.j2", document, visible, table, _text_matrix, ("marked *", "marked +"))
    return text.encode(encoding or "ascii", PLAIN_SIGNS).decode(encoding or "ascii")


def _fitting(block: Block, width: int | None) -> str:
    """Table of a block, its columns halved until each part fits."""
    text = _text_table(block)
    count = len(block.columns)
    if width is None or count < 2 or max(map(len, text.split("\n"))) <= width:
        return text
    parts = (slice(0, (count + 1) // 2), slice((count + 1) // 2, count))
    return "\n\n".join(_fitting(_part(block, part), width) for part in parts)


def _part(block: Block, part: slice) -> Block:
    rows = tuple(replace(row, cells=row.cells[part]) for row in block.rows)
    return replace(block, columns=block.columns[part], rows=rows)


def _text_table(block: Block) -> str:
    groups = any(column.group for column in block.columns)
    short = {"in distribution": "in distr.", "out of distribution": "out of distr."}
    header = ["\nMethod" if groups else "Method"]
    for column in block.columns:
        label = f"{column.label} {column.arrow}".strip()
        header.append(f"{short.get(column.group, '')}\n{label}" if groups else label)
    widths = _column_widths(block)
    lines: list[list[str]] = []
    for heading, row in grouped(block.rows):
        if heading:
            lines.append([f"[{heading}]", *("" for _ in row.cells)])
        note = f" ({row.footnote})" if row.footnote else ""
        lines.append(
            [row.title + (" cited" if row.cited else "") + note, *_padded(map(_cell_parts, row.cells), widths)]
        )
        if row.has_paper:
            lines.append([f"{PAD}{PAD}paper", *_padded(((cell.paper, "") for cell in row.cells), widths)])
    return _tabulate(lines, header)


def _cell_parts(cell: Cell) -> tuple[str, str]:
    """Split a cell into the number and what follows it, so that numbers can stand under each other."""
    half = f" ±{cell.half}" if cell.half else ""
    mark = {"best": "*", "second": "+", "": ""}[cell.mark]
    return cell.text, half + mark + ("†" if cell.outside else "") + (f" n={cell.n}" if cell.n else "")


def _column_widths(block: Block) -> list[int]:
    """Room behind the number in each column."""
    rows = [[len(_cell_parts(cell)[1]) for cell in row.cells] for row in block.rows]
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
