"""Experiments that are tables, as TOML declarations; `benchmarks.kinds` tells of the other kinds in this folder."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.experiments.declaration import Declaration, PanelTable, PaperTable, read_declaration
from benchmarks.job import Job
from benchmarks.kinds import experiment_path
from casarbi.data.protocol import Protocol, default_protocol, get_protocol
from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote
from casarbi.references import DATASETS, MODELS, Reference


@dataclass(frozen=True)
class MethodSpec:
    """A method of a table, one row of it.

    Attributes:
        name: what it is called; as in the paper's CSV, if the paper has it.
        model: model reference, or "" if it is only cited.
        reason: why it is not measured.
        group: heading it stands under.
        cited: whether it is a row of the paper's numbers alone.
    """

    name: str
    model: str = ""
    reason: str = ""
    group: str = ""
    cited: bool = False


@dataclass(frozen=True)
class PanelSpec:
    """A table on one data set.

    Attributes:
        name: short name, unique in the experiment.
        data: data set reference.
        protocol: how pairs are made and compared.
        methods: rows in order.
        caption: what the table shows.
        cite: whether it mirrors the paper's table: all rows are shown, and the paper's numbers, beside the measured
            ones if the data is the paper's (see `Experiment.beside`), else in a table of their own.
        samples: images to show side by side, at `sample_scale`.
        metrics: what is measured here in place of the experiment's metrics, or none.
        noise, along: as in `benchmarks.job.Job`.
    """

    name: str
    data: str
    protocol: Protocol
    methods: tuple[MethodSpec, ...]
    caption: str = ""
    cite: bool = False
    samples: int = 0
    sample_scale: float = 0.0
    metrics: tuple[str, ...] = ()
    noise: str = "shared"
    along: tuple[str, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """A table with one preset chosen.

    Attributes:
        name: file name of the declaration and of the report.
        title, summary: heading and a sentence or two.
        preset: the chosen preset's name.
        panels: data sets, each with its rows.
        scales, metrics, seed: as measured.
        optional: metrics that are measured if their weights are here, else only cited.
        split: highest scale in the training distribution.
        small_n: whether distances are given of fewer images than an honest value takes, with a warning.
        paper: the paper's table.
        needs: what the user has to provide, as sentences.
    """

    name: str
    title: str
    preset: str
    panels: tuple[PanelSpec, ...]
    scales: tuple[float, ...]
    metrics: tuple[str, ...]
    summary: str = ""
    optional: tuple[str, ...] = ()
    seed: int = 0
    split: float | None = None
    small_n: bool = False
    paper: PaperTable | None = None
    needs: tuple[str, ...] = ()

    def job(self, panel: PanelSpec, device: str) -> Job:
        """What has to be measured for a panel."""
        # Two rows may share a model: it is measured once.
        models = tuple(dict.fromkeys(method.model for method in panel.methods if method.model))
        metrics = panel.metrics or self.metrics
        return Job(
            panel.data, panel.protocol, self.scales, models, metrics, self.seed, device, panel.noise, panel.along
        )

    def beside(self, panel: PanelSpec) -> bool:
        """Whether the paper's numbers stand beside a panel's: only if both are of the same data set."""
        same = self.paper is not None and self.paper.data == Reference.parse(panel.data).name
        return panel.cite and same

    @property
    def apart(self) -> bool:
        """Whether the paper's numbers get a table of their own: a panel mirrors its table on other data."""
        return self.paper is not None and any(panel.cite and not self.beside(panel) for panel in self.panels)

    def with_data(self, reference: str) -> Experiment:
        """The experiment on another data set in place of its first panel's; panels on yet other data are left out.

        If another reader reads it, names and captions no longer speak of the declared data set.
        """
        # The panels of one data set are one table's views of it, or of a part of it: all of them move to the new one.
        declared = self.panels[0].data
        old, new = (Reference.parse(text).name for text in (declared, reference))
        panels = [replace(panel, data=reference) for panel in self.panels if Reference.parse(panel.data).name == old]
        if new != old:
            caption = f"Measured on {reference} in place of {declared}."
            panels = [replace(p, name=_renamed(p.name, old, new), caption=caption) for p in panels]
        return replace(self, panels=tuple(panels))

    def with_models(self, models: Mapping[str, str]) -> Experiment:
        """The experiment with other models in named rows of every panel; a new name adds a row."""
        return replace(self, panels=tuple(_with_models(panel, models) for panel in self.panels))

    def with_rows_of(self, table: Experiment) -> Experiment:
        """The experiment with the methods of a table's first panel, and with the paper's numbers for them."""
        panels = tuple(replace(panel, methods=table.panels[0].methods, cite=True) for panel in self.panels)
        return replace(self, panels=panels, paper=table.paper, summary=table.summary)


def _renamed(panel: str, old: str, new: str) -> str:
    """Name of a panel on new data: portraits and portraits-independent are named after theirs."""
    return new + panel.removeprefix(old) if panel == old or panel.startswith(f"{old}-") else panel


def _with_models(panel: PanelSpec, models: Mapping[str, str]) -> PanelSpec:
    # A typed model ends the reason why its row was not measured; rows of new names come last.
    known = {method.name for method in panel.methods}
    rows = [replace(m, model=models[m.name], reason="", cited=False) if m.name in models else m for m in panel.methods]
    rows += [MethodSpec(name, model) for name, model in models.items() if name not in known]
    return replace(panel, methods=tuple(rows))


def load_experiment(name: str, preset: str = "mini") -> Experiment:
    """Read a declaration by name, or from a TOML file of the user's, with one of its presets.

    Raises:
        CasarbiError: on an unknown name or preset, or a declaration that lacks or misspells something.
    """
    path = experiment_path(name)
    # The whole file is checked, other presets too: a mistake in it shows with whichever preset runs first.
    declared = read_declaration(path)
    if preset not in declared.presets:
        raise CasarbiError(f"{path} has no preset {quote(preset)}: {near_names(preset, declared.presets)}")
    try:
        experiment = _experiment(path.stem, declared, preset)
    except CasarbiError as error:  # an unknown protocol
        raise CasarbiError(f"{path}: {error}") from None
    check_references(experiment, path)
    return experiment


def check_references(experiment: Experiment, path: Path) -> None:
    """Refuse references other than registered names: a declaration must not import code."""
    for panel in experiment.panels:
        DATASETS.check_from_file(panel.data, path)
        for method in panel.methods:
            if method.model:
                MODELS.check_from_file(method.model, path)


def _experiment(name: str, declared: Declaration, preset: str) -> Experiment:
    chosen = declared.presets[preset]
    return Experiment(
        name=name,
        title=folded(declared.title),
        summary=folded(declared.summary),
        preset=preset,
        panels=tuple(_panel(panel, declared, chosen.models) for panel in chosen.panels),
        scales=chosen.scales,
        metrics=chosen.metrics,
        optional=chosen.optional,
        seed=chosen.seed,
        split=declared.split,
        small_n=chosen.small_n,
        paper=declared.paper and _folded_paper(declared.paper),
        needs=tuple(map(folded, chosen.needs)),
    )


def _panel(panel: PanelTable, declared: Declaration, models: Mapping[str, str]) -> PanelSpec:
    # Rows as declared, then the preset's models, then those of this panel.
    models, paper = {**models, **panel.models}, declared.paper
    methods = tuple(
        MethodSpec(row.name, group=folded(row.group), reason=folded(row.reason), cited=row.cited)
        for row in declared.methods
        # Any other row would be empty: not measured here, not the paper's, and without a reason.
        if row.name in models or row.reason or not paper or paper.has(row.name)
    )
    spec = PanelSpec(
        name=panel.name,
        data=panel.data,
        protocol=get_protocol(panel.protocol),
        methods=methods,
        caption=folded(panel.caption),
        cite=panel.cite,
        samples=panel.samples,
        sample_scale=panel.sample_scale,
        metrics=panel.metrics,
        noise=panel.noise,
        along=panel.along,
    )
    return _with_models(spec, models)


def _folded_paper(paper: PaperTable) -> PaperTable:
    return replace(paper, note=folded(paper.note), cautions=tuple(map(folded, paper.cautions)))


def folded(prose: str) -> str:
    """A text that may run over several lines of the file, as one line."""
    return " ".join(prose.split())


def grid_experiment(
    name: str,
    title: str,
    data: tuple[str, ...],
    models: tuple[str, ...],
    scales: tuple[float, ...],
    metrics: tuple[str, ...],
    *,
    protocol: str | None,
    seed: int,
    small_n: bool,
    noise: str = "shared",
) -> Experiment:
    """An experiment made on the command line; without a protocol, each data set's usual one is taken."""
    panels: list[PanelSpec] = []
    rows = tuple(MethodSpec(model, model) for model in models)
    for reference in data:
        short = Reference.parse(reference).name
        chosen = get_protocol(protocol) if protocol else default_protocol(short)
        # Panels are told apart by name in every report: photos, photos-2, …
        names = itertools.chain((short,), (f"{short}-{n}" for n in itertools.count(2)))
        called = next(name for name in names if name not in {panel.name for panel in panels})
        caption = f"{reference} by protocol {chosen.name}."
        panels.append(PanelSpec(called, reference, chosen, rows, caption, noise=noise))
    return Experiment(
        name=name,
        title=title,
        preset="custom",
        panels=tuple(panels),
        scales=scales,
        metrics=metrics,
        seed=seed,
        small_n=small_n,
    )
