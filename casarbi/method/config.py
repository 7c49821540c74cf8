"""The whole configuration of CasArbi, and its weights files, whose header holds it: loading needs no other file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from casarbi.checkpoints import Checkpoint, find_state, load_new, read_checkpoint, read_config, write_weights
from casarbi.errors import CasarbiError
from casarbi.method.diffusion import ShiftConfig
from casarbi.method.guidance import GuidanceConfig
from casarbi.method.network import Denoiser, NetworkConfig
from casarbi.method.residuals import ResidualConfig
from casarbi.method.strategies import CascadeConfig
from casarbi.method.tiling import TileConfig
from casarbi.plain import quote
from casarbi.precision import Precision
from casarbi.settings import Choices, Option, as_json, build, check_choices

METHOD = "casarbi"


@dataclass(frozen=True)
class SamplingConfig:
    """How the chain is run. Nothing of it is trained."""

    steps: Annotated[int | None, Option("steps of the chain in each stage, at most the T that were trained")] = None
    # The paper does not say. Clamping every step keeps a wrong early prediction from being carried on.
    clamp: Annotated[
        str, Choices("steps", "last"), Option("whether the composed image is clamped at all steps or at the last alone")
    ] = "steps"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        """Refuse unknown words."""
        check_choices(self)


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


def save_weights(path: Path, network: Denoiser, config: CasArbiConfig, header: Mapping[str, str]) -> None:
    """Write weights, their configuration under `config` in the header beside the given texts.

    Args:
        path: a .safetensors file.
        network: of `config.network`; written in its own type.
        config: the whole configuration.
        header: texts such as `licence` and `source`, which reports print, and what `casarbi info` is to show.
    """
    write_weights(path, network, METHOD, as_json(config), header)


def load_weights(path: Path) -> tuple[Denoiser, CasArbiConfig, Checkpoint]:
    """Read weights that `save_weights` wrote, strictly: every tensor fits and is finite, every setting is known.

    Raises:
        CasarbiError: if the file is missing, damaged, or not of CasArbi.
    """
    checkpoint = read_checkpoint(path)
    header = checkpoint.metadata
    if header.get("method") != METHOD or "config" not in header:
        raise CasarbiError(
            f"{path} holds no CasArbi weights: its header has the method {quote(header.get('method'))} and "
            f"{'a' if 'config' in header else 'no'} config; expected a file that casarbi train wrote."
        )
    config = build(CasArbiConfig, read_config(checkpoint), str(path))
    network = load_new(lambda: Denoiser(config.network), find_state(checkpoint.content, path).tensors, path)
    return network, config, checkpoint
