"""What a TOML declaration of a figure may hold, and the figure that is chosen from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from benchmarks.experiments import Experiment, MethodSpec, PanelSpec, check_references, folded
from benchmarks.experiments.declaration import MethodTable, check_known, check_once
from benchmarks.kinds import Choice, experiment_path
from benchmarks.metrics import METRIC_NAMES
from benchmarks.timing.declaration import TIMED
from casarbi.data.protocol import get_protocol
from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote
from casarbi.settings import Choices, build, read_toml

FIGURE = "figure"


@dataclass(frozen=True)
class Window:
    """A part of a picture that is shown magnified, in shares of it.

    Attributes:
        picture: place of the picture in its panel's list, from 0.
        left, top: of the picture's width and height.
        side: of its shorter side.
    """

    picture: int
    left: float
    top: float
    side: float


@dataclass(frozen=True)
class PanelTable:
    """`[[presets.NAME.panels]]` of a figure of pictures.

    Attributes:
        name, data, protocol, caption: as in a table's panel.
        pictures: which of the data set, by their places from 0.
        models: model reference by row, before the preset's.
    """

    name: str
    data: str
    protocol: str
    pictures: tuple[int, ...]
    caption: str = ""
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ComparisonPanel(PanelTable):
    """A panel of a comparison.

    Attributes:
        crops: parts shown magnified of each picture, chosen where the GT has most detail.
        crop_side: their side, as a share of the picture's shorter side.
        windows: parts that are chosen by hand, in place of the others of the same picture.
    """

    crops: int = 1
    crop_side: float = 0.3
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True)
class Preset:
    """`[presets.NAME]` of a figure of pictures; as in a table."""

    scales: tuple[float, ...]
    panels: tuple[PanelTable, ...]
    seed: int = 0
    models: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComparisonPreset(Preset):
    """`[presets.NAME]` of a comparison."""

    panels: tuple[ComparisonPanel, ...]


@dataclass(frozen=True)
class PosteriorPreset(Preset):
    """`[presets.NAME]` of posterior samples.

    Attributes:
        samples: seeds that are drawn, from `seed` on.
        shown: samples that are shown; all count for mean and deviation.
    """

    samples: int = 32
    shown: int = 3


@dataclass(frozen=True)
class PictureFile:
    """The whole file of a figure of pictures.

    Attributes:
        title, summary: as in a table.
        limits: the sentence that says what the figure does not show.
        methods: rows or columns in order.
        split: highest scale in the training distribution.
    """

    kind: Annotated[str, Choices(FIGURE)]
    drawing: str
    title: str
    limits: str
    methods: tuple[MethodTable, ...]
    presets: Mapping[str, Preset]
    summary: str = ""
    split: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no figure can be made of."""
        rows = [row.name for row in self.methods]
        for name, preset in self.presets.items():
            _check_preset(f"[presets.{name}]", preset, rows)


@dataclass(frozen=True)
class ComparisonFile(PictureFile):
    """Figures 1, 6 and 7: pictures by each method, whole and magnified."""

    presets: Mapping[str, ComparisonPreset]


@dataclass(frozen=True)
class PosteriorFile(PictureFile):
    """Figure 8: samples of several seeds, their mean and their standard deviation."""

    presets: Mapping[str, PosteriorPreset]


@dataclass(frozen=True)
class StagesFile(PictureFile):
    """Figure 10: the images on the way to a size."""


@dataclass(frozen=True)
class ChartFile:
    """The whole file of a figure that draws what a table measured; its presets are those of the table.

    Attributes:
        title, summary, limits: as in a figure of pictures.
        table: name of the declaration of the table, or of the timing for a drawing of times.
        metrics: those that are drawn, of all that the table has; of a plane, distortion and perception.
    """

    kind: Annotated[str, Choices(FIGURE)]
    drawing: str
    title: str
    limits: str
    table: str
    metrics: tuple[str, ...]
    summary: str = ""

    def __post_init__(self) -> None:
        """Refuse metrics that do not exist."""
        check_known("metric", self.metrics, TIMED if self.drawing == "times" else METRIC_NAMES)
        if self.drawing == "plane" and len(self.metrics) != 2:
            raise CasarbiError(f"metrics has {len(self.metrics)} names, expected two: distortion and perception.")


PICTURES: Mapping[str, type[PictureFile]] = {
    "comparison": ComparisonFile,
    "posterior": PosteriorFile,
    "stages": StagesFile,
}
CHARTS = ("scales", "times", "plane", "selfssim")


@dataclass(frozen=True)
class PictureFigure:
    """A figure of pictures with one preset chosen.

    Attributes:
        experiment: its data, models, scales and seed, as a table has them; it measures nothing.
        declared: the file.
        preset: the chosen preset.
        panels: its panels, in the order of the experiment's.
    """

    experiment: Experiment
    declared: PictureFile
    preset: Preset
    panels: tuple[PanelTable, ...]


def load_figure(choice: Choice) -> PictureFigure | ChartFile:
    """Read a declaration of a figure, with the data and models that were typed in place of the declared ones.

    Raises:
        CasarbiError: on an unknown preset, or a declaration that lacks or misspells something.
    """
    path = experiment_path(choice.name)
    tables = read_toml(path)
    drawing = str(tables.get("drawing", ""))
    if drawing in CHARTS:
        return build(ChartFile, tables, str(path))
    if drawing not in PICTURES:
        raise CasarbiError(f"{path}: there is no drawing {quote(drawing)}: {near_names(drawing, [*PICTURES, *CHARTS])}")
    declared = build(PICTURES[drawing], tables, str(path))
    if choice.preset not in declared.presets:
        raise CasarbiError(
            f"{path} has no preset {quote(choice.preset)}: {near_names(choice.preset, declared.presets)}"
        )
    preset = declared.presets[choice.preset]
    try:
        experiment = _experiment(path.stem, choice.preset, declared, preset)
    except CasarbiError as error:  # an unknown protocol
        raise CasarbiError(f"{path}: {error}") from None
    check_references(experiment, path)
    panels: Sequence[PanelTable] = preset.panels
    experiment = experiment.with_models(choice.typed_models())
    if choice.data:
        panels = [panel for panel in panels if panel.data == panels[0].data]
        experiment = experiment.with_data(choice.data)
    return PictureFigure(experiment, declared, preset, tuple(panels))


def _experiment(name: str, preset_name: str, declared: PictureFile, preset: Preset) -> Experiment:
    return Experiment(
        name=name,
        title=folded(declared.title),
        summary=folded(declared.summary),
        preset=preset_name,
        panels=tuple(_panel(panel, declared, preset) for panel in preset.panels),
        scales=preset.scales,
        metrics=(),
        seed=preset.seed,
        split=declared.split,
        needs=tuple(map(folded, preset.needs)),
    )


def _panel(panel: PanelTable, declared: PictureFile, preset: Preset) -> PanelSpec:
    models = {**preset.models, **panel.models}
    rows = tuple(
        MethodSpec(row.name, models.get(row.name, ""), "" if row.name in models else folded(row.reason), row.group)
        for row in declared.methods
    )
    return PanelSpec(panel.name, panel.data, get_protocol(panel.protocol), rows, folded(panel.caption))


def _check_preset(where: str, preset: Preset, rows: Sequence[str]) -> None:
    check_once(f"{where} scales", preset.scales)
    check_once(f"{where} panels", [panel.name for panel in preset.panels])
    for scale in preset.scales:
        if not (math.isfinite(scale) and scale >= 1):
            raise CasarbiError(f"{where} scales holds {scale:g}, expected finite numbers of at least 1.")
    if isinstance(preset, PosteriorPreset) and not 1 <= preset.shown <= preset.samples >= 2:
        raise CasarbiError(
            f"{where} has shown = {preset.shown} of samples = {preset.samples}, expected 2 samples or more, and 1 or "
            "more of them shown."
        )
    for panel in preset.panels:
        check_once(f"{where} panel {quote(panel.name)} pictures", panel.pictures)
        check_known("row in methods", (*preset.models, *panel.models), rows)
        if min(panel.pictures) < 0:
            raise CasarbiError(f"{where} pictures holds {min(panel.pictures)}, expected places from 0 on.")
        if isinstance(panel, ComparisonPanel):
            _check_windows(where, panel)


def _check_windows(where: str, panel: ComparisonPanel) -> None:
    if not (0 <= panel.crops <= 2 and 0 < panel.crop_side <= 0.5):
        raise CasarbiError(
            f"{where} has crops = {panel.crops} of crop_side = {panel.crop_side:g}, expected 0 to 2 of a side above 0 "
            "and up to 0.5."
        )
    for window in panel.windows:
        inside = min(window.left, window.top) >= 0 and 0 < window.side <= 1 and max(window.left, window.top) < 1
        if not (inside and 0 <= window.picture < len(panel.pictures)):
            raise CasarbiError(
                f"{where} has a window at {window.left:g}, {window.top:g} of side {window.side:g} in picture "
                f"{window.picture}, expected shares of one of the {len(panel.pictures)} pictures, counted from 0."
            )
