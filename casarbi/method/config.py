"""The whole configuration of CasArbi, and its weights files, whose header holds it: loading needs no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from casarbi.checkpoints import Checkpoint, find_state, load_new, read_checkpoint, read_config, write_weights
from casarbi.errors import CasarbiError
from casarbi.method.cascade import CascadeConfig
from casarbi.method.diffusion import ShiftConfig
from casarbi.method.guidance import GuidanceConfig
from casarbi.method.network import Denoiser, NetworkConfig
from casarbi.method.residuals import ResidualConfig
from casarbi.method.tiling import TileConfig
from casarbi.plain import quote, visible
from casarbi.references import near_names, whole

METHOD = "casarbi"
PRECISIONS = ("float32", "bfloat16")
CLAMPS = ("steps", "last")

T = TypeVar("T")


@dataclass(frozen=True)
class SamplingConfig:
    """How the chain is run. Nothing of it is trained.

    Attributes:
        steps: steps of the chain; None for all T that were trained.
        clamp: whether every step's composed image is clamped (`steps`) or that of the last alone (`last`). The paper
            does not say; clamping every step keeps a wrong early prediction from being carried on.
        precision: type of the network's weights and features, `float32` or `bfloat16`. The chain is always float32.
    """

    steps: int | None = None
    clamp: str = "steps"
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Refuse unknown words."""
        for name, value, known in (("clamp", self.clamp, CLAMPS), ("precision", self.precision, PRECISIONS)):
            if value not in known:
                raise CasarbiError(f"{name} is {quote(value)}, wanted {' or '.join(known)}.")


@dataclass(frozen=True)
class CasArbiConfig:
    """Everything that makes a CasArbi.

    Training fixes network, process and residual; the others may be changed when a model is opened.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    process: ShiftConfig = field(default_factory=ShiftConfig)
    residual: ResidualConfig = field(default_factory=ResidualConfig)
    cascade: CascadeConfig = field(default_factory=CascadeConfig)
    guidance: GuidanceConfig = field(default_factory=GuidanceConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    tiles: TileConfig = field(default_factory=TileConfig)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, every value stated."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, settings: Mapping[str, Any], where: str) -> CasArbiConfig:
        """Read a configuration; what is not given has its default.

        Args:
            settings: tables by the names of the attributes, as `as_json` gives them or as a TOML file has them.
            where: the file, for messages.

        Raises:
            CasarbiError: naming the setting that is unknown, of another type or impossible.
        """
        return _read(cls, settings, where, "")


def _read(kind: type[T], settings: Any, where: str, path: str) -> T:
    if not isinstance(settings, Mapping):
        raise CasarbiError(f"{where} has {path or 'its settings'} = {quote(settings)}, wanted a table.")
    defaults = kind()
    known = {f.name: getattr(defaults, f.name) for f in fields(kind)}  # type: ignore[arg-type]
    values = {}
    for name, value in settings.items():
        full = f"{path}.{name}" if path else name
        if name not in known:
            raise CasarbiError(f"{where} has the unknown setting {visible(full[:100])}: {near_names(name, known)}")
        default = known[name]
        if is_dataclass(default):
            values[name] = _read(type(default), value, where, full)
        else:
            values[name] = _value(value, default, where, full)
    try:
        return kind(**values)
    except CasarbiError as error:
        raise CasarbiError(f"{where}: {error}") from None


def _value(value: Any, default: Any, where: str, name: str) -> Any:
    if default is None or isinstance(default, int):
        value = whole(value)
    if default is None:  # the one such setting is a number of steps
        fits = value is None or (isinstance(value, int) and not isinstance(value, bool))
    elif isinstance(default, tuple):
        fits = isinstance(value, list | tuple) and all(_is_number(item) for item in value)
        if fits and default and isinstance(default[0], float):
            value = tuple(float(item) for item in value)
        elif fits:
            value = tuple(map(whole, value))
            fits = not any(isinstance(item, float) for item in value)
    elif isinstance(default, float):
        fits = _is_number(value)
        value = float(value) if fits else value
    else:
        fits = type(value) is type(default)
    if not fits:
        wanted = "a whole number" if default is None else f"a value like {json.dumps(default)}"
        raise CasarbiError(f"{where} has {name} = {quote(value)}, wanted {wanted}.")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def save_weights(path: Path, network: Denoiser, config: CasArbiConfig, header: Mapping[str, str]) -> None:
    """Write weights, their configuration under `config` in the header beside the given texts.

    Args:
        path: a .safetensors file.
        network: of `config.network`; written as float32.
        config: the whole configuration.
        header: texts such as `licence` and `source`, which reports print, and what `casarbi info` is to show.
    """
    write_weights(path, network, METHOD, config.as_json(), header)


def load_weights(path: Path) -> tuple[Denoiser, CasArbiConfig, Checkpoint]:
    """Read weights that `save_weights` wrote, strictly: every tensor fits and is finite, every setting is known.

    Raises:
        CasarbiError: where the file is missing, damaged, or not of CasArbi.
    """
    checkpoint = read_checkpoint(path)
    header = checkpoint.metadata
    if header.get("method") != METHOD or "config" not in header:
        raise CasarbiError(
            f"{path} holds no CasArbi weights: its header has the method {quote(header.get('method'))} and "
            f"{'a' if 'config' in header else 'no'} config; wanted a file that casarbi train wrote."
        )
    config = CasArbiConfig.from_json(read_config(checkpoint), str(path))
    network = load_new(lambda: Denoiser(config.network), find_state(checkpoint.content, path).tensors, path)
    return network, config, checkpoint
