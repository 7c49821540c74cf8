"""Charts that a figure's report has and a table's has not, and any chart as the files of a picture."""

from __future__ import annotations

import io
import math

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from casarbi.plain import visible
from casarbi.scales import scale_label
from reports.charts import FAINT, INK, MARKERS, SERIES, SHADE, STYLE, inline_svg, short_titles, svg_text
from reports.document import Matrix, MetricColumn, Panel
from reports.figure import Picture

HEAT = "Blues"
FINE = 4
"""Power of the scale of colours: values of SelfSSIM are close to 1 (0.88, 0.97), where small differences count."""
DARK_FROM = 0.55
"""Share of the colours from which a number is written in white."""


def chart_picture(figure: Figure, name: str, caption: str) -> Picture:
    """A chart as SVG and PDF on white, and as a part of a page; equal charts give equal bytes."""
    figure.patch.set_facecolor("white")
    svg, stream = svg_text(figure), io.BytesIO()
    with matplotlib.rc_context({**STYLE, "pdf.fonttype": 42}):
        FigureCanvasPdf(figure).print_pdf(stream, metadata={"CreationDate": None})
    return Picture(name, caption, svg=svg, pdf=stream.getvalue(), inline=inline_svg(figure, name, caption))


def plane_figure(panel: Panel, distortion: MetricColumn, perception: MetricColumn) -> Figure | None:
    """Draw methods in the plane of two metrics (Blau and Michaeli, CVPR 2018), a field per scale, with intervals.

    Returns None if no method has both at any scale.
    """
    points = {scale: _points(panel, scale, distortion, perception) for scale in panel.scales}
    points = {scale: found for scale, found in points.items() if found}
    if not points:
        return None
    columns = min(3, len(points))
    rows = math.ceil(len(points) / columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.6 * columns, 2.5 * rows), layout="constrained")
        fields = figure.subplots(rows, columns, squeeze=False).ravel()
        for field, (scale, found) in zip(fields, points.items(), strict=False):
            _draw_plane(field, scale, found, distortion, perception)
        for field in fields[len(points) :]:
            field.set_visible(False)
        _legend_of_methods(figure, panel, {series for found in points.values() for series, *_ in found})
    return figure


Point = tuple[int, list[float], list[float]]
"""Place of a method, and value, low and high of the two metrics."""


def _points(panel: Panel, scale: float, *metrics: MetricColumn) -> list[Point]:
    frame = panel.frame[(panel.frame["scale"] == scale) & (panel.frame["source"] == "measured")]
    points: list[Point] = []
    for series, method in enumerate(panel.methods):
        rows = [frame[(frame["method"] == method.name) & (frame["metric"] == metric.name)] for metric in metrics]
        if all(len(row) for row in rows):
            x, y = ([float(row.iloc[0][part]) for part in ("value", "ci_low", "ci_high")] for row in rows)
            if math.isfinite(x[0]) and math.isfinite(y[0]):
                points.append((series, x, y))
    return points


def _draw_plane(
    axes: Axes, scale: float, points: list[Point], distortion: MetricColumn, perception: MetricColumn
) -> None:
    for series, x, y in points:
        colour, marker = SERIES[series % len(SERIES)], MARKERS[series % len(MARKERS)]
        axes.plot([x[0]], [y[0]], marker, color=colour, ms=6)
        for ends, line in (((x[1], x[2]), axes.hlines), ((y[1], y[2]), axes.vlines)):
            if all(map(math.isfinite, ends)):
                line(y[0] if line == axes.hlines else x[0], *ends, color=colour, lw=1.2)
    axes.set_title(f"×{scale_label(scale)}", loc="left", fontsize=9)
    axes.set_xlabel(visible(distortion.label), fontsize=8)
    axes.set_ylabel(visible(perception.label), fontsize=8)
    axes.tick_params(labelsize=8, length=3)
    axes.grid(color=SHADE, lw=0.8)
    axes.set_axisbelow(True)
    axes.margins(0.12)
    # The corner in which both are best.
    right, top = bool(distortion.higher_is_better), bool(perception.higher_is_better)
    arrow = {(True, True): "↗", (True, False): "↘", (False, True): "↖", (False, False): "↙"}[right, top]
    axes.annotate(
        f"better {arrow}",
        (0.97 if right else 0.03, 0.96 if top else 0.04),
        xycoords="axes fraction",
        fontsize=8,
        color=FAINT,
        ha="right" if right else "left",
        va="top" if top else "bottom",
    )


def _legend_of_methods(figure: Figure, panel: Panel, shown: set[int]) -> None:
    titles = short_titles([visible(method.title) for method in panel.methods])
    handles = [
        matplotlib.lines.Line2D(
            [], [], ls="", marker=MARKERS[s % len(MARKERS)], color=SERIES[s % len(SERIES)], label=titles[s]
        )
        for s in sorted(shown)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)


def matrix_figure(panel: Panel) -> Figure | None:
    """Draw the measured matrices of a panel as heat maps on one scale of colours; None if there are none."""
    matrices = [matrix for matrix in panel.matrices if matrix.values is not None]
    if not matrices:
        return None
    off = [values[~np.eye(len(values), dtype=bool)] for matrix in matrices if (values := _values(matrix)) is not None]
    found = np.concatenate(off)
    found = found[np.isfinite(found)]
    low, high = (float(found.min()), float(found.max())) if found.size else (0.0, 1.0)
    norm = matplotlib.colors.PowerNorm(FINE, low, high)
    columns = min(3, len(matrices))
    rows = math.ceil(len(matrices) / columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.7 * columns, 2.75 * rows), layout="constrained")
        fields = figure.subplots(rows, columns, squeeze=False).ravel()
        for field, matrix in zip(fields, matrices, strict=False):
            mesh = _draw_matrix(field, matrix, norm)
        for field in fields[len(matrices) :]:
            field.set_visible(False)
        bar = figure.colorbar(mesh, ax=list(fields), location="bottom", shrink=0.5, aspect=40, pad=0.02)
        bar.set_label(f"{visible(matrices[0].label)} off the diagonal", fontsize=8)
        bar.ax.tick_params(labelsize=8, length=3)
        bar.outline.set_visible(False)
    return figure


def _values(matrix: Matrix) -> np.ndarray:
    return np.asarray(matrix.values, float)


def _draw_matrix(axes: Axes, matrix: Matrix, norm: matplotlib.colors.Normalize) -> matplotlib.cm.ScalarMappable:
    values = _values(matrix)
    side = len(values)
    # The diagonal is 1 by definition and would wash out all other differences: it is left white.
    inside = np.ma.masked_where(np.eye(side, dtype=bool) | ~np.isfinite(values), values)
    mesh = axes.pcolormesh(inside, cmap=HEAT, norm=norm, edgecolors="white", lw=1.5)
    for i, j in np.ndindex(side, side):
        # Not INK, which a dark page makes light: the cell under it stays as it is.
        colour = FAINT if i == j else "#ffffff" if norm(values[i, j]) > DARK_FROM else "#000000"
        text = f"{values[i, j]:.{matrix.decimals}f}" if np.isfinite(values[i, j]) else "–"
        axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=6.5, color=colour)
    labels = [f"×{scale_label(label)}" for label in matrix.labels]
    axes.set_xticks(np.arange(side) + 0.5, labels, fontsize=8)
    axes.set_yticks(np.arange(side) + 0.5, labels, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    mean = inside.mean()
    shown = "" if np.ma.is_masked(mean) else f", mean {mean:.{matrix.decimals}f}"
    axes.set_title(f"{visible(matrix.method)}{shown}", loc="left", fontsize=9, color=INK)
    axes.set_xlabel("reference", fontsize=8)
    axes.set_ylabel("generated", fontsize=8)
    return mesh
