"""What a report says, as plain data: one Document, its panels, and nothing about how it will look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from casarbi.scales import scale_label

CONDITIONS = ("data", "model", "protocol", "crop", "border", "size", "seed", "key")
"""Last columns of every frame and CSV: what a value was measured under; empty if it was not measured.

Data and model are references; `border` is the pixels cut from each side before comparing, `size` the WIDTHxHEIGHT of
outputs before that ("various" if they differ). `key` is a hash of all of these, the weights, the metric and the
images behind the value: two values with one key are the same measurement.
"""

COLUMNS = (
    "experiment",
    "preset",
    "method",
    "scale",
    "metric",
    "value",
    "ci_low",
    "ci_high",
    "n",
    "source",
    "paper_value",
    *CONDITIONS,
)
"""Columns of every tidy frame and CSV, in this order."""

IMAGE_COLUMNS = ("experiment", "preset", "image", "method", "scale", "metric", "value", "reason", *CONDITIONS)
"""Columns of the frame and CSV of single images: a value, or the reason why there is none."""

SOURCES = ("measured", "cited", "missing")
"""Where a value is from; `measured` with a NaN value means that the measurement failed."""

Facts = tuple[tuple[str, str], ...]
"""Lines (label, text) printed under a table: data, protocol, weights, backbones, seed, versions."""


@dataclass(frozen=True)
class Method:
    """One row of a table.

    Attributes:
        name: what the frame's `method` column holds.
        label: what is printed; the name if empty.
        group: heading the row stands under ("Diffusion"); rows of a group must follow each other.
        trained: lowest and highest scale of its training; cells outside are marked with a dagger. None: unknown.
        reason: why values are missing or only cited, as the end of a sentence ("its weights are not here").
    """

    name: str
    label: str = ""
    group: str = ""
    trained: tuple[float, float] | None = None
    reason: str = ""

    @property
    def title(self) -> str:
        """Label, or the name if there is none."""
        return self.label or self.name

    def outside(self, scale: float) -> bool:
        """Tell whether a scale lies outside the trained range."""
        return self.trained is not None and not self.trained[0] <= scale <= self.trained[1]


@dataclass(frozen=True)
class MetricColumn:
    """One metric of a table.

    Attributes:
        name: what the frame's `metric` column holds.
        label: heading with the unit, such as "PSNR (dB)".
        higher_is_better: direction; None if neither is better, and nothing is ranked.
        decimals: digits printed, and the precision at which values tie.
        paper_metric: the paper's heading whose values `paper_value` holds, or "" if the paper has no such metric:
            ST-LPIPS has none, and no LPIPS value may stand beside it.
        note: one sentence under the heading (variant, backbone), or why the metric appears only as cited.
        constant: whether it is the same at every scale, such as a number of parameters: printed once, never drawn.
        logarithmic: whether both axes of its chart are.
    """

    name: str
    label: str
    higher_is_better: bool | None
    decimals: int
    paper_metric: str = ""
    note: str = ""
    constant: bool = False
    logarithmic: bool = False


@dataclass(frozen=True, eq=False)
class Matrix:
    """Values of one method over pairs of scales, such as SelfSSIM.

    Attributes:
        method: row label of the method.
        labels: scales in order; rows are the generated scale, columns the reference scale.
        values: float (K, K), NaN if missing; None if the method was not measured and only the paper's are shown.
        low, high: ends of the 95 % intervals, float (K, K), or None.
        n: images behind each value: one number for all, or int (K, K).
        paper: the paper's values (K, K), NaN if it has none, or None.
        reason: why `values` is None.
        metric: name of the metric, which the CSV gives as METRIC@REFERENCE.
        label: what is printed for it.
        decimals: digits printed.
        conditions: the `CONDITIONS` of each value, row by row; empty if they are not known.
    """

    method: str
    labels: tuple[float, ...]
    values: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    n: int | np.ndarray = 0
    paper: np.ndarray | None = None
    reason: str = ""
    metric: str = "selfssim"
    label: str = "SelfSSIM"
    decimals: int = 3
    conditions: tuple[Mapping[str, object], ...] = ()

    def __post_init__(self) -> None:
        side = len(self.labels)
        for name in ("values", "low", "high", "paper"):
            array = getattr(self, name)
            if array is not None and np.shape(array) != (side, side):
                raise ValueError(f"Matrix {self.method}: {name} is {np.shape(array)}, expected {(side, side)}.")


@dataclass(frozen=True)
class Sheet:
    """A contact sheet: PNG bytes (see `casarbi.pictures.sheet`), a caption, and words for who cannot see it."""

    png: bytes
    caption: str
    alt: str


@dataclass(frozen=True, eq=False)
class Panel:
    """One table: one data set and protocol, some methods at some scales under some metrics.

    Attributes:
        name: short name, such as "portraits"; unique in the document.
        caption: what the table shows, in one or two sentences.
        frame: tidy values with exactly `COLUMNS`; one row per (method, scale, metric).
        scales: scales in the order of the columns; none for a panel of matrices alone.
        metrics: metrics in order.
        methods: rows in order.
        split: highest scale of the training range; columns beyond it are headed "out of distribution". None: no groups.
        paper_note: what the paper's values are ("Table I: CelebA-HQ, 16x16 input, 100 images").
        warnings: sentences a reader must see before the numbers.
        facts: lines under the table.
        matrices: matrices, such as SelfSSIM's.
        sheets: contact sheets of samples.
        images: values of single images with exactly `IMAGE_COLUMNS`, or None.
        cited: whether it holds the paper's numbers alone, which are of other data than what was measured.
        shared: by (method, scale, metric), the value over the images that all measured methods have in common, if
            they were measured on different ones: it decides which is best and second.
        flags: by (method, scale, metric), what a reader must know of a single value, as sentences without their end;
            such a value bears a mark.
        lr_side: side of the LR images in pixels, if all have the same: charts then tell the output's.
        interval: what the ends of an interval are.
    """

    name: str
    caption: str
    frame: pd.DataFrame
    scales: tuple[float, ...] = ()
    metrics: tuple[MetricColumn, ...] = ()
    methods: tuple[Method, ...] = ()
    split: float | None = None
    paper_note: str = ""
    warnings: tuple[str, ...] = ()
    facts: Facts = ()
    matrices: tuple[Matrix, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    images: pd.DataFrame | None = None
    cited: bool = False
    shared: Mapping[tuple[str, float, str], float] = field(default_factory=dict)
    flags: Mapping[tuple[str, float, str], tuple[str, ...]] = field(default_factory=dict)
    lr_side: int = 0
    interval: str = "95 % bootstrap interval of the mean over images"

    def __post_init__(self) -> None:
        _check_frame(self)


@dataclass(frozen=True, eq=False)
class Document:
    """One report.

    Attributes:
        title: heading, such as "Table I: arbitrary-scale super-resolution of faces".
        experiment: file name of the report and of the CSV column.
        preset: "mini", "paper" or a name of the user's.
        panels: tables in order.
        date: printed as given, so that equal input gives equal bytes.
        summary: one or two sentences under the title.
        command: command that makes the report again.
        warnings: sentences for the whole report.
        facts: lines for the whole report (seed, device, versions).
    """

    title: str
    experiment: str
    preset: str
    panels: tuple[Panel, ...]
    date: str
    summary: str = ""
    command: str = ""
    warnings: tuple[str, ...] = ()
    facts: Facts = ()

    def __post_init__(self) -> None:
        names = [panel.name for panel in self.panels]
        if len(set(names)) != len(names):
            raise ValueError(f"Panels of {self.experiment} share a name: {names}.")

    def tidy(self) -> pd.DataFrame:
        """All values in one frame; with several panels `experiment` reads EXPERIMENT/PANEL, so that no key repeats.

        Matrices join as one row per value: `scale` is the generated scale and `metric` reads METRIC@REFERENCE.
        """
        # Each panel's table, then its matrices as rows.
        frames = []
        for panel in self.panels:
            name = self._key(panel)
            parts = [panel.frame, *(_matrix_frame(matrix) for matrix in panel.matrices)]
            # pandas warns of joining frames without rows, whose columns have no type.
            frame = pd.concat([part for part in parts if len(part)] or [empty_frame()], ignore_index=True)
            frames.append(frame.assign(experiment=name, preset=self.preset)[list(COLUMNS)])
        return pd.concat(frames, ignore_index=True) if frames else empty_frame()

    def images(self) -> pd.DataFrame:
        """Values of single images in one frame, `experiment` as in `tidy`; without rows if no panel has any."""
        frames = [
            panel.images.assign(experiment=self._key(panel), preset=self.preset)[list(IMAGE_COLUMNS)]
            for panel in self.panels
            if panel.images is not None and len(panel.images)
        ]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(IMAGE_COLUMNS))

    def _key(self, panel: Panel) -> str:
        # The paper's numbers come and go with the data: the keys of what was measured stay.
        measured = sum(not panel.cited for panel in self.panels)
        return f"{self.experiment}/{panel.name}" if panel.cited or measured > 1 else self.experiment


def empty_frame() -> pd.DataFrame:
    """Tidy frame without rows, for a panel that holds only matrices."""
    return pd.DataFrame({name: [] for name in COLUMNS})


def _matrix_frame(matrix: Matrix) -> pd.DataFrame:
    side = len(matrix.labels)
    blank = np.full((side, side), np.nan)
    value, low, high, paper = (
        blank if array is None else np.asarray(array, float)
        for array in (matrix.values, matrix.low, matrix.high, matrix.paper)
    )
    # As in the tables: the paper's value stands in the place of ours only if nothing was measured.
    source = "measured" if matrix.values is not None else "cited" if matrix.paper is not None else "missing"
    if source == "cited":
        value = paper
    frame = pd.DataFrame(
        {
            "method": matrix.method,
            "scale": np.repeat(matrix.labels, side),
            "metric": [f"{matrix.metric}@{scale_label(label)}" for _ in range(side) for label in matrix.labels],
            "value": value.ravel(),
            "ci_low": low.ravel(),
            "ci_high": high.ravel(),
            "n": np.broadcast_to(matrix.n, (side, side)).ravel(),
            "source": source,
            "paper_value": paper.ravel(),
        }
    )
    conditions = pd.DataFrame(list(matrix.conditions), columns=list(CONDITIONS), dtype=object)
    return frame.join(conditions).reindex(columns=list(COLUMNS))


def _check_frame(panel: Panel) -> None:
    """Refuse what would be printed wrongly or dropped in silence: a mistake of the caller, not of the user."""
    frame, where = panel.frame, f"Panel {panel.name}"
    if list(frame.columns) != list(COLUMNS):
        raise ValueError(f"{where}: columns are {list(frame.columns)}, expected {list(COLUMNS)}.")
    # A name that is not declared would be in the frame but in no table.
    declared: dict[str, set[object]] = {
        "method": {method.name for method in panel.methods},
        "metric": {metric.name for metric in panel.metrics},
        "scale": set(panel.scales),
        "source": set(SOURCES),
    }
    for column, known in declared.items():
        unknown = set(frame[column]) - known
        if unknown:
            raise ValueError(f"{where}: column {column} holds {sorted(map(str, unknown))}, which it does not declare.")
    # Two values under one key would leave it to chance which of them is printed.
    repeated = frame.duplicated(["method", "scale", "metric"])
    if repeated.any():
        key = frame.loc[repeated, ["method", "scale", "metric"]].iloc[0].tolist()
        raise ValueError(f"{where}: {key} appears more than once.")
