"""Figures that draw what a table or a timing measured: over the scale, in the plane of two metrics, between scales."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from benchmarks.experiments import folded
from benchmarks.figures.declaration import ChartFile
from casarbi.errors import CasarbiError
from reports.charts import metric_figure
from reports.document import Document, MetricColumn, Panel
from reports.figure import FigureReport, Picture, Section
from reports.plots import chart_picture, matrix_figure, plane_figure


def draw_charts(name: str, declared: ChartFile, document: Document, store: str) -> FigureReport:
    """The report of a figure from the values that a table or a timing put into the store.

    Args:
        name: of the figure.
        declared: its declaration.
        document: what the store holds of the table.
        store: its folder.

    Raises:
        CasarbiError: if nothing of what it draws is measured; it names the table to run.
    """
    command = _command(declared, document.preset)
    sections = [_section(declared, command, panel) for panel in document.panels if _has_drawn(declared, panel)]
    if not any(section.pictures for section in sections):
        raise CasarbiError(
            f"{name} draws what {declared.table} measured, and {store} holds none of it: run {command} first."
        )
    return FigureReport(
        title=folded(declared.title),
        experiment=name,
        preset=document.preset,
        sections=sections,
        date=document.date,
        limits=folded(declared.limits),
        summary=folded(declared.summary),
        command=document.command,
        facts=(*document.facts, ("Values", f"of {document.title}, read from {store}")),
    )


def _has_drawn(declared: ChartFile, panel: Panel) -> bool:
    """Whether a panel has any of the metrics that are drawn; the paper's numbers share no axes with ours."""
    if panel.cited or (declared.drawing == "times" and not panel.lr_side):  # stages are parts of a time
        return False
    names = {metric.name for metric in panel.metrics} | {matrix.metric for matrix in panel.matrices}
    return bool(names & set(declared.metrics))


def _command(declared: ChartFile, preset: str) -> str:
    chosen = "" if preset == "mini" else f" --preset {preset}"
    return f"casarbi-bench run {declared.table}{chosen}"


def _section(declared: ChartFile, command: str, panel: Panel) -> Section:
    names = set(declared.metrics)
    columns = {metric.name: metric for metric in panel.metrics if metric.name in names}
    pictures = tuple(_DRAW[declared.drawing](declared, panel, columns))
    others = {words for m in panel.metrics if m.name not in names for words in (m.name, f"Paired {m.label}")}
    facts = [fact for fact in panel.facts if fact[0] not in others]
    return Section(panel.name, panel.caption, pictures, (), tuple(_warnings(declared, command, panel)), tuple(facts))


def _warnings(declared: ChartFile, command: str, panel: Panel) -> Iterator[str]:
    """Methods without values, and what a reader must know of those drawn."""
    names = set(declared.metrics)
    drawn = panel.frame[panel.frame["metric"].isin(names)]
    measured = {
        *drawn[drawn["source"] == "measured"]["method"],
        *(m.method for m in panel.matrices if m.values is not None),
    }
    left_out: dict[str, list[str]] = {}
    for method in panel.methods:
        if method.name not in measured:
            left_out.setdefault(method.reason.rstrip(".") or "there is no measured value", []).append(method.title)
        elif (drawn[drawn["method"] == method.name]["source"] == "missing").any():
            yield f"{method.title} lacks values: {command} measures them."
    for reason, titles in left_out.items():
        yield f"Not drawn, {', '.join(titles)}: {reason}."
    others = {metric.label for metric in panel.metrics if metric.name not in names}
    yield from (warning for warning in panel.warnings if not warning.startswith(tuple(f"{o} " for o in others)))


Columns = Mapping[str, MetricColumn]


def _scales(declared: ChartFile, panel: Panel, columns: Columns) -> Iterator[Picture]:
    for name in declared.metrics:
        if name in columns and (figure := metric_figure(panel, columns[name])):
            bands = panel.frame[panel.frame["metric"] == name]["ci_low"].notna().any()
            words = (
                "mean over images with its 95 % bootstrap interval as a band" if bands else "one value of all images"
            )
            shaded = "; scales beyond training are shaded" if panel.split is not None else ""
            caption = f"{columns[name].label} against the scale: {words}{shaded}."
            yield chart_picture(figure, f"{panel.name}-{name}", caption)


def _times(declared: ChartFile, panel: Panel, columns: Columns) -> Iterator[Picture]:
    for name in declared.metrics:
        if name in columns and (figure := metric_figure(panel, columns[name])):
            words = f"{columns[name].label} against the side of the output, both axes logarithmic"
            bands = "; medians, with their 95 % intervals as bands" if "seconds" in name else ""
            yield chart_picture(figure, f"{panel.name}-{name}", f"{words}{bands}.")


def _plane(declared: ChartFile, panel: Panel, columns: Columns) -> Iterator[Picture]:
    x, y = (columns.get(name) for name in declared.metrics)
    if x and y and (figure := plane_figure(panel, x, y)):
        words = "a field per scale with axes of its own; lines are 95 % bootstrap intervals of the means over images"
        yield chart_picture(figure, f"{panel.name}-plane", f"{y.label} against {x.label}: {words}.")


def _selfssim(declared: ChartFile, panel: Panel, columns: Columns) -> Iterator[Picture]:
    chosen = replace(panel, matrices=tuple(m for m in panel.matrices if m.metric in declared.metrics))
    if figure := matrix_figure(chosen):
        words = "row: scale of the output that is resized; column: scale at which SSIM is taken"
        shared = "one scale of colours for all, finest near its top; the diagonal is 1 by definition and not coloured"
        yield chart_picture(figure, f"{panel.name}-selfssim", f"SelfSSIM of each method; {words}; {shared}.")


_DRAW: Mapping[str, Callable[[ChartFile, Panel, Columns], Iterator[Picture]]] = {
    "scales": _scales,
    "times": _times,
    "plane": _plane,
    "selfssim": _selfssim,
}
