"""The HTML report: one file that needs nothing else, on a screen light or dark, and on paper."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from casarbi.plain import visible
from casarbi.scales import scale_label
from reports.charts import SERIES, metric_chart
from reports.document import Document, Matrix, Panel, Sheet
from reports.legend import footnotes, legend
from reports.table import MISSING, Table, fixed, panel_tables
from reports.templating import TEMPLATES, grouped, off_diagonal, off_diagonal_values, prose, runs_of_equals


@dataclass(frozen=True)
class Shade:
    """One value of a drawn matrix: text, interval for the tool tip, and how full its shade is in percent."""

    text: str
    interval: str
    percent: int
    diagonal: bool


def to_html(document: Document) -> str:
    """Draw a document as one self-contained HTML page; equal documents give equal text."""
    return page(
        "report.html.j2",
        document=document,
        tables_of=panel_tables,
        chart=_charts,
        legend=_legend,
        footnotes=footnotes,
        grouped=grouped,
        runs_of_equals=lambda table: runs_of_equals([heading.group for heading in table.headings]),
        shades=_shades,
        bounds=matrix_bounds,
        off_diagonal=off_diagonal,
        source=data_uri,
        series=len(SERIES),
    )


def page(template: str, **content: Any) -> str:
    """Fill a page of reports/templates with its content, which is escaped, and with the style sheet."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    environment.filters["prose"] = _prose
    environment.filters["scale"] = scale_label
    style = Markup(environment.get_template("report.css").render())
    return environment.get_template(template).render(style=style, **content)


def data_uri(sheet: Sheet) -> str:
    """PNG of a sheet as a data URI."""
    return "data:image/png;base64," + base64.b64encode(sheet.png).decode()


def matrix_bounds(panel: Panel) -> tuple[float, float]:
    """Lowest and highest value off the diagonal over all matrices of a panel: one shade scale for all of them."""
    # The diagonal is 1 by definition, and would wash out all other differences.
    arrays = [array for matrix in panel.matrices for array in (matrix.values, matrix.paper) if array is not None]
    values = [off_diagonal_values(np.asarray(array, float)) for array in arrays]
    joined = np.concatenate(values) if values else np.array([])
    return (float(joined.min()), float(joined.max())) if joined.size else (0.0, 1.0)


def _shades(matrix: Matrix, array: np.ndarray, panel: Panel) -> list[list[Shade]]:
    low, high = matrix_bounds(panel)
    # The paper prints no intervals, so only our values have them.
    measured = array is matrix.values
    rows = []
    for i, values in enumerate(np.asarray(array, float)):
        row = []
        for j, value in enumerate(values):
            # To the fourth power: values of SelfSSIM are close to 1 (0.88, 0.97), where small differences count.
            part = 0.0 if np.isnan(value) or high <= low else max(0.0, (value - low) / (high - low)) ** 4
            interval = ""
            if measured and matrix.low is not None and matrix.high is not None and np.isfinite(matrix.low[i, j]):
                ends = (float(matrix.low[i, j]), float(matrix.high[i, j]))
                interval = ", ".join(fixed(end, matrix.decimals) for end in ends)
            text = MISSING if np.isnan(value) else fixed(float(value), matrix.decimals)
            row.append(Shade(text, interval, round(100 * min(1.0, part)), i == j))
        rows.append(row)
    return rows


def _shown(value: object) -> object:
    """Every value on its way into the page; what is marked safe was made by us, line breaks and all."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _prose(text: str) -> Markup:
    return Markup(prose(text, lambda piece: str(escape(piece)), "<code>{}</code>"))


def _charts(table: Table, panel: Panel) -> tuple[Markup, Markup]:
    """Charts of the table's metrics, and the same with the paper's lines: charts.py escapes what goes into the SVG."""
    plain, cited = (
        "\n".join(metric_chart(panel, metric, cited) for metric in table.metrics).strip() for cited in (False, True)
    )
    return Markup(plain), Markup(cited)


def _legend(tables: tuple[Table, ...], panel: Panel) -> list[str]:
    return legend(tables, panel, "bold", "underlined", "[low, high]")
