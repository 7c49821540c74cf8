"""What the text formats share: the template engine, rows under headings, rows of a matrix."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from casarbi.plain import visible
from casarbi.scales import scale_label
from reports.document import Document, Matrix, Panel
from reports.legend import footnotes, legend
from reports.table import MISSING, Table, TableRow, fixed, panel_tables

TEMPLATES = Path(__file__).parent / "templates"


def render(
    template: str,
    document: Document,
    escape: Callable[[str], str],
    draw_table: Callable[[Table], str],
    draw_matrix: Callable[[Matrix], str],
    marks: tuple[str, str],
    code: str = "`{}`",
) -> str:
    """Draw a document through a template with << >> and <% %>, which neither LaTeX nor Markdown uses.

    Args:
        template: file name in reports/templates.
        document: what to draw.
        escape: the format's escape, called `e` in the template.
        draw_table: draws a table.
        draw_matrix: draws a matrix.
        marks: how the format marks best and second best, in words.
        code: how it sets a command or file name; {} holds the escaped text.
    """
    interval = "±" if template.endswith("txt.j2") else "[low, high]"

    def notes(tables: tuple[Table, ...], panel: Panel) -> list[str]:
        return legend(tables, panel, *marks, interval)

    return fill(
        template,
        escape,
        code,
        document=document,
        tables_of=panel_tables,
        draw_table=draw_table,
        draw_matrix=lambda matrix: "" if matrix.values is None and matrix.paper is None else draw_matrix(matrix),
        legend=notes,
        footnotes=footnotes,
        status=matrix_status,
    )


def fill(template: str, escape: Callable[[str], str], code: str = "`{}`", **content: Any) -> str:
    """Fill a template of reports/templates; `escape` and `code` as in `render`."""
    text = _environment(escape, code).get_template(template).render(**content)
    # Whatever a template leaves out leaves an empty line behind.
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def _environment(escape: Callable[[str], str], code: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        autoescape=False,
    )

    def prose_filter(text: str) -> str:
        return prose(text, escape, code)

    environment.filters |= {
        "e": escape,
        "prose": prose_filter,
        "line": visible,
        "label": _label,
        "short": _short_hashes,
    }
    return environment


def grouped(rows: tuple[TableRow, ...]) -> Iterator[tuple[str, TableRow]]:
    """Rows with the heading to print before each, or ""."""
    last = ""
    for row in rows:
        yield (row.group if row.group != last else ""), row
        last = row.group


def matrix_rows(matrix: Matrix) -> Iterator[tuple[str, list[str], list[str]]]:
    """Printed rows of a matrix: (scale, values, the paper's values or blanks).

    If only the paper has values, they stand in the place of the measured ones and the third part is blank.
    """
    # Measured values first and the paper's beside them; if nothing is measured, the paper's take the first place.
    blank = np.full((len(matrix.labels), len(matrix.labels)), np.nan)
    paper = blank if matrix.paper is None else np.asarray(matrix.paper, float)
    values = paper if matrix.values is None else np.asarray(matrix.values, float)
    beside = blank if matrix.values is None else paper
    for place, label in enumerate(matrix.labels):
        yield (
            scale_label(label),
            [MISSING if math.isnan(v) else fixed(v, matrix.decimals) for v in values[place]],
            ["" if math.isnan(v) else fixed(v, matrix.decimals) for v in beside[place]],
        )


def runs_of_equals(names: list[str]) -> list[tuple[str, int, int]]:
    """Runs of equal neighbours: (name, first, last)."""
    runs: list[tuple[str, int, int]] = []
    for place, name in enumerate(names):
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1], place)
        else:
            runs.append((name, place, place))
    return runs


def matrix_status(matrix: Matrix) -> str:
    """Tell in brackets what a matrix comes to, whether it is the paper's, or why it is not measured."""
    array = matrix.paper if matrix.values is None else matrix.values
    if array is None:
        known = matrix.reason.startswith("not measured")  # such as "not measured yet: casarbi-bench run table2"
        return f" ({matrix.reason})" if known else f" (not measured{f': {matrix.reason}' if matrix.reason else ''})"
    mean = f"mean off the diagonal {off_diagonal(array, matrix.decimals)}"
    if matrix.values is not None:
        return f" ({mean})"
    return f" (cited: {matrix.reason}; {mean})" if matrix.reason else f" (cited; {mean})"


def off_diagonal(array: np.ndarray, decimals: int) -> str:
    """Mean of the values off the diagonal as text, or a dash if there are none."""
    values = off_diagonal_values(np.asarray(array, float))
    return fixed(float(values.mean()), decimals) if values.size else MISSING


def off_diagonal_values(array: np.ndarray) -> np.ndarray:
    """Finite values off the diagonal of a square array (K, K)."""
    values = array[~np.eye(len(array), dtype=bool)]
    return values[np.isfinite(values)]


def prose(text: str, escape: Callable[[str], str], code: str) -> str:
    """Escape a sentence in which `backticks` enclose commands and file names."""
    # Every second piece is a command or file name. Spaces at its edges stay outside the markup.
    pieces = re.split("`([^`]+)`", visible(text))
    return "".join(_piece(piece, escape, code if place % 2 else "{}") for place, piece in enumerate(pieces))


def _piece(piece: str, escape: Callable[[str], str], code: str) -> str:
    core = piece.strip()
    lead = piece[: piece.index(core)] if core else piece
    return f"{lead}{code.format(escape(core))}{piece[len(lead) + len(core) :]}" if core else piece


def _label(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def _short_hashes(text: str) -> str:
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", text)
