"""Markdown, as GitHub shows it."""

from __future__ import annotations

import re

from casarbi.plain import visible
from casarbi.scales import scale_label
from reports.document import Document, Matrix
from reports.table import Block, Cell
from reports.templating import grouped, matrix_rows, render


def to_markdown(document: Document) -> str:
    """Markdown for GitHub: one table a metric, the paper's numbers in a row of their own under each method."""
    return render(
        "report.md.j2",
        document,
        markdown_text,
        _markdown_table,
        _markdown_matrix,
        ("bold", "underlined"),
        "<code>{}</code>",  # escapes hold in it, unlike between backticks
    )


def markdown_text(text: str) -> str:
    r"""Escape what would format, link, split a table cell, or begin a list, heading or formula.

    Example:
        >>> markdown_text("a|b *c* <i>")
        'a\\|b \\*c\\* &lt;i&gt;'
    """
    escaped = re.sub(r"([\\`*|~#])", r"\\\1", re.sub(r"&(?=#?\w+;)", "&amp;", visible(text)))
    escaped = escaped.replace("<", "&lt;").replace(">", "&gt;").replace("](", "]\\(")
    escaped = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", escaped)
    escaped = re.sub(r"^(\s*)([-+=])|^(\s*\d+)([.)])(?=\s|$)", r"\1\3\\\2\4", escaped)
    # GitHub reads formulas and emoji names after the escapes are gone; only an element keeps these signs apart.
    return re.sub(r"\$|:(?=[\w+-]+:)", r"<span>\g<0></span>", escaped)


def _markdown_table(block: Block) -> str:
    header = ["Method", *(_markdown_heading(column.label, column.arrow, column.group) for column in block.columns)]
    lines = [header, [":--", *("--:" for _ in block.columns)]]
    for heading, row in grouped(block.rows):
        if heading:
            lines.append([f"**{markdown_text(heading)}**", *("" for _ in row.cells)])
        note = f" <sup>{row.footnote}</sup>" if row.footnote else ""
        title = markdown_text(row.title)
        lines.append([(f"_{title}_ (cited)" if row.cited else title) + note, *map(_markdown_cell, row.cells)])
        if row.has_paper:
            lines.append(["&emsp;_paper_", *(f"_{cell.paper}_" if cell.paper else "" for cell in row.cells)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _markdown_heading(label: str, arrow: str, group: str) -> str:
    return " ".join(part for part in (markdown_text(label), arrow, f"<br><sub>{group}</sub>" if group else "") if part)


def _markdown_cell(cell: Cell) -> str:
    if cell.state == "cited":
        return f"_{cell.text}_"
    text = {"best": f"**{cell.text}**", "second": f"<u>{cell.text}</u>"}.get(cell.mark, cell.text)
    text += "†" if cell.outside else ""
    text += f" [{cell.interval}]" if cell.interval else ""
    return text + (f" n={cell.n}" if cell.n else "")


def _markdown_matrix(matrix: Matrix) -> str:
    lines = [["generated \\ reference", *(f"×{scale_label(label)}" for label in matrix.labels)]]
    lines.append([":--", *("--:" for _ in matrix.labels)])
    for label, values, paper in matrix_rows(matrix):
        cited = matrix.values is None
        lines.append([f"×{label}", *(f"_{v}_" if cited else v for v in values)])
        if any(paper):
            lines.append(["&emsp;_paper_", *(f"_{v}_" if v else "" for v in paper)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
