"""Charts of a report: a metric over the scale, as inline SVG."""

from __future__ import annotations

import io
import math
import re
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from casarbi.plain import visible
from casarbi.scales import scale_label
from reports.document import MetricColumn, Panel

SERIES = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#b8860b", "#333333", "#882255", "#6a7b2f")
"""Colours of the methods, after Okabe and Ito; the page's style sheet may lighten them on a dark ground."""

INK, FAINT, SHADE = "#1b1f24", "#9aa0a6", "#eef0f2"
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a dollar sign in a method's name is no formula
    "svg.fonttype": "none",
    "svg.hashsalt": "casarbi",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
MARKERS = "osD^vPX*"


class Curve(NamedTuple):
    """A method over the scales, measured or as the paper has it; a point is (scale, value, low, high)."""

    label: str
    series: int
    cited: bool
    points: list[tuple[float, float, float, float]]


def metric_chart(panel: Panel, metric: MetricColumn, cited: bool = False) -> str:
    """Draw `metric_figure` as SVG for a page, or "" if there is nothing to draw. Equal input gives equal text."""
    figure = metric_figure(panel, metric, cited)
    if figure is None:
        return ""
    name, words = f"{panel.name}-{metric.name}", f"{metric.label} over the scale"
    if cited:
        name, words = f"{name}-cited", f"{words}, with the paper's lines"
    return inline_svg(figure, name, words)


def metric_figure(panel: Panel, metric: MetricColumn, cited: bool = False) -> Figure | None:
    """Draw a metric over the scales: measured lines solid with intervals.

    With `cited` the paper's lines are drawn too, dashed and hollow. Returns None if there are fewer than two scales,
    nothing to draw, or no line of the paper though they were asked for.
    """
    curves = [curve for curve in _curves(panel, metric) if cited or not curve.cited]
    if cited and not any(curve.cited for curve in curves):
        return None
    if metric.constant or not any(len(curve.points) > 1 for curve in curves):
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.0))
        figure.subplots_adjust(left=0.11, right=0.74, top=0.93, bottom=0.2 if panel.lr_side else 0.15)
        axes = figure.add_subplot()
        for curve in curves:
            _draw(axes, curve)
        _dress(axes, panel, metric)
        _label_ends(axes, curves)
    return figure


def inline_svg(figure: Figure, name: str, words: str) -> str:
    """A figure as a part of a page, whose ground shows through, light or dark.

    Args:
        figure: any that keeps to the colours of this module.
        name: unique in the page.
        words: for who cannot see it.
    """
    for ground in (figure.patch, *(axes.patch for axes in figure.axes)):
        ground.set_visible(False)
    return _inline(svg_text(figure), name, words)


def svg_text(figure: Figure) -> str:
    """A figure as SVG; equal figures give equal text."""
    stream = io.StringIO()
    with matplotlib.rc_context(STYLE):
        # Without a date, and with a fixed salt for ids (STYLE): equal values give equal bytes.
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _curves(panel: Panel, metric: MetricColumn) -> list[Curve]:
    frame = panel.frame[panel.frame["metric"] == metric.name]
    titles = short_titles([visible(method.title) for method in panel.methods])
    curves: list[Curve] = []
    for series, method in enumerate(panel.methods):
        rows = frame[frame["method"] == method.name].sort_values("scale")
        # Ours as a line, the paper's as another of the same colour.
        measured = rows[(rows["source"] == "measured") & np.isfinite(rows["value"].astype(float))]
        points = list(zip(measured["scale"], measured["value"], measured["ci_low"], measured["ci_high"], strict=True))
        if points:
            curves.append(Curve(_cut(titles[series], 22), series, False, points))
        paper = rows["paper_value"].where(rows["source"] != "cited", rows["value"]).astype(float)
        cited = [
            (scale, value, math.nan, math.nan)
            for scale, value in zip(rows["scale"], paper, strict=True)
            if math.isfinite(value) and metric.paper_metric
        ]
        if cited:
            curves.append(Curve(f"{_cut(titles[series], 15)}, paper", series, True, cited))
    return curves


def short_titles(titles: list[str]) -> list[str]:
    """Titles for a chart: drop what stands in brackets if the rest still tells the methods apart."""
    bare = [re.sub(r"\s*\([^)]*\)", "", title) or title for title in titles]
    return [plain if bare.count(plain) == 1 else title for plain, title in zip(bare, titles, strict=True)]


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _draw(axes: Axes, curve: Curve) -> None:
    _, series, cited, points = curve
    scale, value, low, high = np.array(points, float).T
    colour, marker = SERIES[series % len(SERIES)], MARKERS[series % len(MARKERS)]
    if cited:
        axes.plot(scale, value, color=colour, marker=marker, ms=4, mfc="none", lw=1, ls=(0, (3, 2)), alpha=0.75)
        return
    axes.fill_between(scale, low, high, color=colour, alpha=0.15, lw=0)
    axes.plot(scale, value, color=colour, marker=marker, ms=4.5, lw=1.8)


def _dress(axes: Axes, panel: Panel, metric: MetricColumn) -> None:
    scales = sorted(panel.scales)
    span = scales[-1] - scales[0] or 1.0
    if metric.logarithmic:
        _make_logarithmic(axes)
        axes.set_xlim(scales[0] / 1.08, scales[-1] * 1.08)
    else:
        axes.set_xlim(scales[0] - 0.04 * span, scales[-1] + 0.04 * span)
    # Labels that would touch are left out; each scale keeps its tick.
    place = math.log if metric.logarithmic else float
    room = 0.12 * (place(scales[-1]) - place(scales[0]))
    shown: list[float] = []
    for scale in scales:
        if not shown or place(scale) - place(shown[-1]) > room:
            shown.append(scale)
    sides = [f"\n{scale * panel.lr_side:.0f} px" if panel.lr_side else "" for scale in shown]
    axes.set_xticks(shown, [f"×{scale_label(scale)}{side}" for scale, side in zip(shown, sides, strict=True)])
    axes.set_xticks(scales, [""] * len(scales), minor=True)
    axes.tick_params(which="both", length=3)
    axes.grid(axis="y", color=SHADE, lw=0.8)
    axes.set_axisbelow(True)
    axes.margins(y=0.08)
    words = {True: ", higher is better", False: ", lower is better", None: ""}[metric.higher_is_better]
    axes.set_title(f"{visible(metric.label)}{words}", loc="left", fontsize=9)
    if panel.split is not None and scales[0] <= panel.split < scales[-1]:
        axes.axvspan(panel.split, scales[-1] + 0.04 * span, color=SHADE, alpha=0.6, lw=0, zorder=0)


def _make_logarithmic(axes: Axes) -> None:
    """Both axes logarithmic, with plain numbers, as many as fit: times differ by a hundred between methods."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _label_ends(axes: Axes, curves: list[Curve]) -> None:
    """Write each line's name beside its last point, pushed apart if they would cover each other."""
    # Distances are those on the page: on a logarithmic axis, between logarithms.
    logarithmic = axes.get_yscale() == "log"
    low, high = (math.log10(end) if logarithmic else end for end in axes.get_ylim())
    step = 0.062 * (high - low)
    lasts = [math.log10(curve.points[-1][1]) if logarithmic else curve.points[-1][1] for curve in curves]
    ends = sorted((last, place) for place, last in enumerate(lasts))
    heights: list[float] = []
    for value, _ in ends:
        heights.append(max(value, heights[-1] + step) if heights else value)
    # Labels pushed up may end above the axes: then move them down again, from the top, keeping their distance.
    ceiling = high
    for place in reversed(range(len(heights))):
        heights[place] = min(heights[place], ceiling)
        ceiling = heights[place] - step
    for height, (_, place) in zip(heights, ends, strict=True):
        label, series, cited, _ = curves[place]
        axes.annotate(
            label,
            (1.02, 10**height if logarithmic else height),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=SERIES[series % len(SERIES)],
            fontstyle="italic" if cited else "normal",
            annotation_clip=False,
        )


def _inline(svg: str, name: str, words: str) -> str:
    """Make a Matplotlib SVG fit to stand among others in one page: own ids, page colours, no global style."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.S)
    # Ids must differ from those of the page's other charts.
    prefix = re.sub(r"[^a-zA-Z0-9-]", "-", name)
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    # Colours become variables of the page's style sheet, so that a dark page can change them.
    for place, colour in enumerate(SERIES):
        svg = svg.replace(colour, f"var(--s{place}, {colour})")
    for colour, variable in ((INK, "ink"), (FAINT, "faint"), (SHADE, "shade")):
        svg = svg.replace(colour, f"var(--{variable}, {colour})")
    svg = re.sub(r"<svg ([^>]*)>", rf'<svg role="img" aria-label="{_attribute(words)}" \1>', svg, count=1)
    return re.sub(r"\n\s*", "\n", svg).strip()


def _attribute(text: str) -> str:
    return visible(text).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("\\", "\\\\")
