"""Training presets: TOML files that say what is trained, on what and how, and which values the paper does not give."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from casarbi.errors import CasarbiError, near_names
from casarbi.plain import quote
from casarbi.references import DATASETS, TASKS
from casarbi.settings import Choices, build, check_choices, parse_value, read_toml
from casarbi.training.schedule import LearningRate

FOLDER = Path(__file__).parent / "presets"
_CHANGEABLE = ("data", "run", "settings", "weights")


@dataclass(frozen=True)
class DataSettings:
    """The pictures.

    Attributes:
        train: data set reference of the training pictures.
        validation: data set reference of the validation pictures; empty: the last `held_out` of the training set.
        side: whole pictures are cut to their central square and reduced to this side; 0 keeps pictures whole, for
            recipes that cut patches.
        least: pictures with a side below this are left out; 0 takes all.
        held_out: how many pictures are kept from training where `validation` is empty.
    """

    train: str
    validation: str = ""
    side: int = 0
    least: int = 0
    held_out: int = 16


@dataclass(frozen=True)
class RunSettings:
    """How the network is trained.

    Attributes:
        iterations: steps of the whole run.
        batch: items per step, over all GPUs.
        learning_rate: of Adam.
        drops: parts of the run after which the rate is multiplied by `drop_factor`.
        drop_factor: see `drops`.
        warmup: steps of linear warm-up.
        clip_norm: largest norm of the gradient; 0 does not clip.
        weight_decay: of AdamW; 0 makes it Adam.
        average_decay: decay of the moving average of the weights.
        precision: "float32" or "bfloat16" (autocast; weights and their average stay float32).
        channels_last: memory order of convolutions; changes speed alone.
        seed: of first weights, items and noise.
        log_every: steps between rows of log.csv.
        validate_every: steps between validations; one follows the last step in any case.
        snapshot_every: steps between snapshots that a resume starts from.
        skip_limit: steps in a row with a loss or gradient that is not finite, after which the run stops.
    """

    iterations: int
    batch: int
    learning_rate: float
    drops: tuple[float, ...] = ()
    drop_factor: float = 1.0
    warmup: int = 0
    clip_norm: float = 0.0
    weight_decay: float = 0.0
    average_decay: float = 0.999
    precision: Annotated[str, Choices("float32", "bfloat16")] = "float32"
    channels_last: bool = True
    seed: int = 0
    log_every: int = 50
    validate_every: int = 1000
    snapshot_every: int = 500
    skip_limit: int = 20

    def __post_init__(self) -> None:
        """Refuse what cannot be meant; raises CasarbiError."""
        check_choices(self)
        for name in ("iterations", "batch", "log_every", "validate_every", "snapshot_every", "skip_limit"):
            if getattr(self, name) < 1:
                raise CasarbiError(f"{name} = {getattr(self, name)} must be at least 1.")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise CasarbiError(f"learning_rate = {self.learning_rate} must be above 0.")
        if not 0 <= self.average_decay < 1 or min(self.clip_norm, self.weight_decay, self.seed) < 0:
            raise CasarbiError("average_decay must lie in [0, 1), and clip_norm, weight_decay and seed be at least 0.")
        if not all(0 < drop < 1 for drop in self.drops):
            raise CasarbiError(f"drops = {list(self.drops)} must lie between 0 and 1: they are parts of the run.")

    @property
    def rate(self) -> LearningRate:
        """The learning rate as a function of the step."""
        return LearningRate(self.learning_rate, self.iterations, self.drops, self.drop_factor, self.warmup)


@dataclass(frozen=True)
class WeightsSettings:
    """What the weights files that a run writes are like, and what they say of themselves; training does not see it.

    Attributes:
        precision: type of the numbers in the files, which networks load as float32. float16 halves a file.
        trained_on: the pictures in words, with their authors if their licence asks for it.
        licence: of the weights, which may follow from that of the pictures; empty: files state none.
    """

    precision: Annotated[str, Choices("float32", "float16")] = "float32"
    trained_on: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        """Refuse an unknown precision; raises CasarbiError."""
        check_choices(self)


@dataclass(frozen=True)
class Preset:
    """A preset.

    Attributes:
        name: its file name without the suffix.
        description: one sentence.
        task: name of the training task.
        data: the pictures.
        run: how it is trained.
        settings: the task's own table.
        weights: what the weights files are like.
        assumed: settings such as "run.batch" whose values are not the paper's, which may give none.
    """

    name: str
    description: str
    task: str
    data: DataSettings
    run: RunSettings
    settings: Mapping[str, Any]
    weights: WeightsSettings = WeightsSettings()
    assumed: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return dataclasses.asdict(self) | {"settings": dict(self.settings)}


def preset_names() -> list[str]:
    """Names of the presets that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_preset(name: str, changes: Sequence[str] = (), values: Mapping[str, Any] | None = None) -> Preset:
    """Load a preset by name, or from a TOML file, and change what a person typed.

    Args:
        name: of a preset, or a TOML file.
        changes: settings as text, such as "run.batch=8".
        values: settings such as {"run.batch": 8}, put in place before `changes`.

    Raises:
        CasarbiError: on an unknown preset, setting or value, and if the file names a task or data set that is not
            registered: only what was typed may be `module:factory`.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not name.endswith(".toml") and not os.path.isfile(path):
        raise CasarbiError(f"There is no preset {quote(name)}: {near_names(name, preset_names())}")
    # What may be left out of the file, then the file, then what a person typed.
    tables: dict[str, Any] = {"description": "", "task": "", "data": {}, "run": {}, "settings": {}, "weights": {}}
    tables |= read_toml(path)
    if "name" in tables:
        raise CasarbiError(f"{path.name} has no setting 'name': a preset is called as its file is.")
    _check_references(tables, path)
    for setting, value in (values or {}).items():
        _put(tables, setting, value)
    for change in changes:
        _apply(tables, change)
    return build(Preset, tables | {"name": path.stem}, path.name)


def _check_references(tables: Mapping[str, Any], path: Path) -> None:
    """Text in a file names nothing but what is registered; what is typed is put in its place later."""
    data = tables.get("data")
    data = data if isinstance(data, Mapping) else {}
    for registry, text in (
        (TASKS, tables.get("task")),
        (DATASETS, data.get("train")),
        (DATASETS, data.get("validation")),
    ):
        if isinstance(text, str) and text:
            registry.check_from_file(text, path)


def _apply(tables: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    table, dot, _ = name.strip().partition(".")
    if not equals or not dot or table not in _CHANGEABLE:
        known = ", ".join(f"{table}.NAME=VALUE" for table in _CHANGEABLE)
        raise CasarbiError(f"'{change}' changes nothing: expected one of {known}.")
    _put(tables, name.strip(), parse_value(text.strip()))


def _put(tables: dict[str, Any], setting: str, value: Any) -> None:
    # Tables that the file leaves out are made, so that every setting can be typed.
    *parents, last = setting.split(".")
    table = tables
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise CasarbiError(f"'{setting}' goes into '{parent}', which is no table.")
    table[last] = value
