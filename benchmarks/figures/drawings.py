"""From an opened figure of pictures to its report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

from benchmarks.collect.facts import data_facts, method_facts
from benchmarks.experiments import folded
from benchmarks.figures import comparison, posterior, stages
from benchmarks.figures.declaration import PictureFigure, PosteriorPreset
from benchmarks.figures.panel import OpenPanel
from benchmarks.figures.pictures import Output
from benchmarks.session import Session
from casarbi.scales import scale_label
from reports.figure import FigureReport, Section

DRAWINGS: Mapping[str, ModuleType] = {"comparison": comparison, "posterior": posterior, "stages": stages}
"""What draws a panel: `wanted(panel)` says which outputs it needs, `draw(panel)` draws those that the store has."""


def open_panels(figure: PictureFigure, session: Session) -> list[OpenPanel]:
    """The panels of a figure with the jobs of its session."""
    panels = zip(figure.panels, session.experiment.panels, strict=True)
    return [OpenPanel(figure, declared, spec, session.benches[spec.name], session.store) for declared, spec in panels]


def wanted(panel: OpenPanel) -> list[Output]:
    """Outputs that a panel shows, each once: rows may share a model."""
    return list(dict.fromkeys(DRAWINGS[panel.figure.declared.drawing].wanted(panel)))


def draw_report(
    figure: PictureFigure,
    session: Session,
    failed: Mapping[Output, str],
    progress: Callable[[int], None],
    date: str,
    command: str,
) -> FigureReport:
    """The report of a figure from the pictures that the store has; `failed` says why some could not be made."""
    sections = []
    for panel in open_panels(figure, session):
        sections.append(_section(panel, failed))
        progress(1)
    experiment = figure.experiment
    return FigureReport(
        title=experiment.title,
        experiment=experiment.name,
        preset=experiment.preset,
        sections=sections,
        date=date,
        limits=folded(figure.declared.limits),
        summary=experiment.summary,
        command=command,
        facts=(("Preset", experiment.preset),),
    )


def _section(panel: OpenPanel, failed: Mapping[Output, str]) -> Section:
    drawn = DRAWINGS[panel.figure.declared.drawing].draw(panel)
    facts = (*data_facts(panel.bench), *_shown(panel), *method_facts(panel.bench, panel.spec), *drawn.facts)
    return Section(
        panel.spec.name, panel.spec.caption, drawn.pictures, drawn.tables, tuple(_warnings(panel, failed)), facts
    )


def _shown(panel: OpenPanel) -> Iterator[tuple[str, str]]:
    preset = panel.figure.preset
    yield "Pictures", f"{len(panel.images)} of {len(panel.bench.dataset.ids)}: {', '.join(panel.images)}"
    yield "Scales", ", ".join(f"×{scale_label(scale)}" for scale in panel.scales)
    several = isinstance(preset, PosteriorPreset)
    last = preset.seed + preset.samples - 1 if isinstance(preset, PosteriorPreset) else preset.seed
    yield "Seeds", f"{preset.seed} to {last}" if several else str(preset.seed)


def _warnings(panel: OpenPanel, failed: Mapping[Output, str]) -> Iterator[str]:
    """Methods that are not shown and why, and pictures that are not there."""
    for method in panel.spec.methods:
        if method.model in panel.bench.failed:
            yield f"{method.name} is left out: {panel.bench.failed[method.model]}"
        elif not method.model and method.reason:
            yield f"{method.name} is left out: {method.reason.rstrip('.')}."
    for method in panel.methods:
        model = panel.bench.model(method.model)
        if model and model.info.warning:
            yield f"{method.name}: {model.info.warning.rstrip('.')}."
        lacking = [one for one in wanted(panel) if one.method == method.model and panel.read(one) is None]
        if lacking:
            reason = failed.get(lacking[0], f"casarbi-bench run {panel.figure.experiment.name} makes them").rstrip(".")
            yield f"{method.name}: {len(lacking)} pictures are not made: {reason}."
