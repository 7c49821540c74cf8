"""Experiments that are timings, as TOML declarations (`kind = "timing"`): every setting with its type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from benchmarks.kinds import Choice, experiment_path
from benchmarks.timing.cited import CitedTable
from benchmarks.untrained import untrained_identity
from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote
from casarbi.references import MODELS
from casarbi.scales import Size
from casarbi.settings import Choices, build, read_toml

TIMING = "timing"
TIMED = ("seconds", "cpu_seconds", "gflop")
"""Columns of a timing that differ between scales, and can be drawn over the output's size."""


@dataclass(frozen=True)
class MethodTable:
    """`[[methods]]`: a row; `reason` says why it is not measured, if no preset has a model for it."""

    name: str
    group: str = ""
    reason: str = ""


@dataclass(frozen=True)
class PresetTable:
    """`[presets.NAME]`.

    Attributes:
        lr_side: side of the square LR image in pixels.
        scales: what it is enlarged by.
        threads: of torch, on a CPU.
        repeats: most counted runs of a method at a scale; a run that warms up comes before them.
        seconds: time after which no further run begins.
        models: rows to model references; {PRESET} stands for a network with random weights (`benchmarks.untrained`).
        caption: what the table shows.
    """

    lr_side: int
    scales: tuple[float, ...]
    models: Mapping[str, str]
    threads: int = 1
    repeats: int = 7
    seconds: float = 20.0
    caption: str = ""


@dataclass(frozen=True)
class Declaration:
    """The whole file."""

    kind: Annotated[str, Choices(TIMING)]
    title: str
    methods: tuple[MethodTable, ...]
    presets: Mapping[str, PresetTable]
    summary: str = ""
    cited: CitedTable | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be timed; raises CasarbiError."""
        rows = [row.name for row in self.methods]
        _check_once("[[methods]]", rows)
        for name, preset in self.presets.items():
            _check_preset(f"[presets.{name}]", preset, rows)


@dataclass(frozen=True)
class Rule:
    """How a method is timed at a scale; see `PresetTable`."""

    threads: int = 1
    repeats: int = 7
    seconds: float = 20.0


@dataclass(frozen=True)
class TimedMethod:
    """A row: its model reference, or "" with the reason why there is none."""

    name: str
    model: str = ""
    group: str = ""
    reason: str = ""


@dataclass(frozen=True)
class TimingExperiment:
    """A declaration with one preset chosen; attributes are as in the tables above.

    Attributes:
        name: file name of the declaration and of the report.
        preset: the chosen preset's name.
        rule: how often a method is run at a scale.
    """

    name: str
    title: str
    summary: str
    caption: str
    preset: str
    methods: tuple[TimedMethod, ...]
    lr_side: int
    scales: tuple[float, ...]
    rule: Rule
    cited: CitedTable | None = None

    @property
    def lr(self) -> Size:
        """(h, w) of the LR image."""
        return self.lr_side, self.lr_side

    def size(self, scale: float) -> Size:
        """(H, W) of the output at a scale."""
        side = math.floor(self.lr_side * scale + 0.5)
        return side, side


def load_timing(choice: Choice) -> TimingExperiment:
    """Read a declaration, with one of its presets and the models that were typed.

    Raises:
        CasarbiError: on an unknown name, preset or data set, or a declaration that lacks or misspells something.
    """
    path = experiment_path(choice.name)
    declared = build(Declaration, read_toml(path), str(path))
    if choice.preset not in declared.presets:
        raise CasarbiError(
            f"{path} has no preset {quote(choice.preset)}: {near_names(choice.preset, declared.presets)}"
        )
    if choice.data:
        raise CasarbiError(f"{path} is a timing, which needs no pictures: leave out --data {choice.data}.")
    _check_references(declared, path)
    preset = declared.presets[choice.preset]
    models = {**preset.models, **choice.typed_models()}
    known = {row.name: row for row in declared.methods}
    rows = [known.get(name, MethodTable(name)) for name in dict.fromkeys([*known, *models])]
    return TimingExperiment(
        name=path.stem,
        title=_folded(declared.title),
        summary=_folded(declared.summary),
        caption=_folded(preset.caption),
        preset=choice.preset,
        methods=tuple(TimedMethod(r.name, models.get(r.name, ""), r.group, _folded(r.reason)) for r in rows),
        lr_side=preset.lr_side,
        scales=preset.scales,
        rule=Rule(preset.threads, preset.repeats, preset.seconds),
        cited=declared.cited,
    )


def _check_references(declared: Declaration, path: Path) -> None:
    """Refuse references other than registered names: a declaration must not import code."""
    for preset in declared.presets.values():
        for reference in preset.models.values():
            MODELS.check_from_file(reference, path)
            try:
                untrained_identity(reference)
            except CasarbiError as error:  # an unknown preset
                raise CasarbiError(f"{path}: {error}") from None


def _check_preset(where: str, preset: PresetTable, rows: Sequence[str]) -> None:
    _check_once(f"{where} scales", preset.scales)
    for scale in preset.scales:
        if not 1 < scale < math.inf:
            raise CasarbiError(f"{where} scales holds {scale:g}, expected finite numbers above 1.")
    for name, least in (("lr_side", 1), ("threads", 1), ("repeats", 1)):
        if getattr(preset, name) < least:
            raise CasarbiError(f"{where} {name} = {getattr(preset, name)} must be at least {least}.")
    if not 0 < preset.seconds < math.inf:
        raise CasarbiError(f"{where} seconds = {preset.seconds:g} must be above 0 and finite.")
    for name in preset.models:
        if name not in rows:
            raise CasarbiError(f"{where} models: there is no row in methods {quote(name)}: {near_names(name, rows)}")


def _check_once(what: str, values: Sequence[object]) -> None:
    if not values:
        raise CasarbiError(f"{what} is empty, expected at least one.")
    for value in values:
        if values.count(value) > 1:
            raise CasarbiError(f"{what} has {quote(value)} twice: give each once.")


def _folded(prose: str) -> str:
    return " ".join(prose.split())
