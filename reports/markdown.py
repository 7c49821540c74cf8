"""Markdown, as GitHub shows it."""

from __future__ import annotations

import re

from casarbi.plain import visible
from casarbi.scales import scale_label
from reports.document import Document, Matrix
from reports.table import Entry, Heading, Table
from reports.templating import grouped, matrix_rows, render


def to_markdown(document: Document) -> str:
    """Markdown for GitHub: one table per metric, the paper's numbers in a row of their own under each method."""
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
    # First the signs that format anywhere, then links, underscores at the edge of a word, and starts of lists.
    escaped = re.sub(r"([\\`*|~#])", r"\\\1", re.sub(r"&(?=#?\w+;)", "&amp;", visible(text)))
    escaped = escaped.replace("<", "&lt;").replace(">", "&gt;").replace("](", "]\\(")
    escaped = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", escaped)
    escaped = re.sub(r"^(\s*)([-+=])|^(\s*\d+)([.)])(?=\s|$)", r"\1\3\\\2\4", escaped)
    # GitHub reads formulas and emoji names after the escapes are gone; only an element keeps these signs apart.
    return re.sub(r"\$|:(?=[\w+-]+:)", r"<span>\g<0></span>", escaped)


def _markdown_table(table: Table) -> str:
    header = ["Method", *(_markdown_heading(heading) for heading in table.headings)]
    lines = [header, [":--", *("--:" for _ in table.headings)]]
    for group, row in grouped(table.rows):
        if group:
            lines.append([f"**{markdown_text(group)}**", *("" for _ in row.entries)])
        note = f" <sup>{row.footnote}</sup>" if row.footnote else ""
        title = markdown_text(row.title)
        lines.append([(f"_{title}_ (cited)" if row.cited else title) + note, *map(_markdown_entry, row.entries)])
        # The paper's numbers in a row of their own, so that no cell holds two.
        if row.has_paper:
            lines.append(["&emsp;_paper_", *(f"_{entry.paper}_" if entry.paper else "" for entry in row.entries)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _markdown_heading(heading: Heading) -> str:
    group = f"<br><sub>{heading.group}</sub>" if heading.group else ""
    return " ".join(part for part in (markdown_text(heading.label), heading.arrow, group) if part)


def _markdown_entry(entry: Entry) -> str:
    if entry.state == "cited":
        return f"_{entry.text}_"
    text = {"best": f"**{entry.text}**", "second": f"<u>{entry.text}</u>"}.get(entry.mark, entry.text)
    text += entry.signs
    text += f" [{entry.interval}]" if entry.interval else ""
    return text + (f" n={entry.n}" if entry.n else "")


def _markdown_matrix(matrix: Matrix) -> str:
    lines = [["generated \\ reference", *(f"×{scale_label(label)}" for label in matrix.labels)]]
    lines.append([":--", *("--:" for _ in matrix.labels)])
    for label, values, paper in matrix_rows(matrix):
        cited = matrix.values is None
        lines.append([f"×{label}", *(f"_{v}_" if cited else v for v in values)])
        if any(paper):
            lines.append(["&emsp;_paper_", *(f"_{v}_" if v else "" for v in paper)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
