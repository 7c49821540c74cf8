"""Files of LIIF weights: those of yinboc/liif (docs/liif.md §4), and safetensors with the same spec in the header."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines.liif.encoders import RDN, EDSRBaseline
from baselines.liif.network import LIIFNetwork
from casarbi.checkpoints import (
    Checkpoint,
    State,
    examples,
    find_state,
    load_new,
    read_checkpoint,
    read_table,
    write_checkpoint,
)
from casarbi.checkpoints.bounds import check_settings
from casarbi.errors import CasarbiError
from casarbi.network_model import WeightsInfo
from casarbi.plain import quote
from casarbi.settings import build

OFFICIAL_SCALES = (1.0, 4.0)
"""Of official training; assumed for torch files, which do not record theirs."""

Table = Mapping[str, Any]


@dataclass(frozen=True)
class LIIFArgs:
    """Arguments of the model; the flags are the published ones."""

    encoder_spec: Table
    imnet_spec: Table
    local_ensemble: bool = True
    feat_unfold: bool = True
    cell_decode: bool = True


@dataclass(frozen=True)
class EDSRArgs:
    """Arguments of EDSR-baseline."""

    no_upsampling: bool = False
    n_resblocks: int = 16
    n_feats: int = 64
    res_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if min(self.n_resblocks, self.n_feats) < 1 or not math.isfinite(self.res_scale):
            raise CasarbiError(
                f"n_resblocks={self.n_resblocks}, n_feats={self.n_feats} and res_scale={self.res_scale} are an "
                f"encoder of impossible size."
            )


@dataclass(frozen=True)
class RDNArgs:
    """Arguments of RDN, of which one configuration is published."""

    no_upsampling: bool = False


@dataclass(frozen=True)
class MLPArgs:
    """Arguments of the decoder; the width of its input follows from the encoder and the flags."""

    out_dim: int
    hidden_list: tuple[int, ...]
    in_dim: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.out_dim != 3 or min(self.hidden_list, default=1) < 1:
            raise CasarbiError(
                f"out_dim={self.out_dim} and hidden_list={quote(self.hidden_list)} are an unknown decoder: expected 3 "
                f"colours and widths of at least 1."
            )


@dataclass(frozen=True)
class Spec:
    """A part of a network as checkpoints describe it: a name and its arguments."""

    name: str
    args: Table = field(default_factory=dict)


def load_liif(path: Path) -> tuple[LIIFNetwork, WeightsInfo]:
    """Read a network strictly, and what its file says.

    Raises:
        CasarbiError: if the file is missing, unreadable, or not of a LIIF that is known here.
    """
    checkpoint = read_checkpoint(path)
    spec, state = _spec_and_state(checkpoint)
    network = load_new(lambda: build_network(spec, path), state.tensors, path)
    scales = _trained_scales(checkpoint)
    return network, WeightsInfo.from_file(path, checkpoint.metadata, trained_scales=scales, notes=state.notes)


def save_liif(path: Path, network: LIIFNetwork, spec: Table, header: Mapping[str, str]) -> None:
    """Write a network as safetensors, its spec under `model` in the header beside the given texts.

    The header may hold `trained_scales` (a JSON pair), `licence` and `source`, which reports print.
    """
    write_checkpoint(path, network.state_dict(), {**header, "model": json.dumps(dict(spec))})


def build_network(spec: Table, path: Path) -> LIIFNetwork:
    """Build the network that a checkpoint's spec describes, its weights still random.

    Args:
        spec: `{"name": "liif", "args": {"encoder_spec": …, "imnet_spec": …, flags}}`.
        path: the file, for messages.

    Raises:
        CasarbiError: naming the part of the spec that is not known here.
    """
    args: LIIFArgs = _args({"liif": LIIFArgs}, spec, path, "model")
    mlp: MLPArgs = _args({"mlp": MLPArgs}, args.imnet_spec, path, "imnet_spec")
    return LIIFNetwork(
        _encoder(args.encoder_spec, path),
        mlp.hidden_list,
        local_ensemble=args.local_ensemble,
        feat_unfold=args.feat_unfold,
        cell_decode=args.cell_decode,
    )


def _encoder(spec: Table, path: Path) -> EDSRBaseline | RDN:
    args: EDSRArgs | RDNArgs = _args({"edsr-baseline": EDSRArgs, "rdn": RDNArgs}, spec, path, "encoder_spec")
    # LIIF replaces the upsampling of these encoders; features must have the size of the input.
    if not args.no_upsampling:
        raise CasarbiError(f"{path} has an encoder that enlarges by itself: expected one with no_upsampling.")
    return RDN() if isinstance(args, RDNArgs) else EDSRBaseline(args.n_resblocks, args.n_feats, args.res_scale)


def _args(kinds: Mapping[str, type], spec: Table, path: Path, place: str) -> Any:
    """Arguments of a part of the network, as the class that `kinds` has for its name."""
    part = build(Spec, spec, str(path), (place,))
    if part.name not in kinds:
        raise CasarbiError(f"{path}: [{place}] is {quote(part.name)}, unknown here: expected {' or '.join(kinds)}.")
    return build(kinds[part.name], part.args, str(path), (place, "args"))


def _spec_and_state(checkpoint: Checkpoint) -> tuple[Table, State]:
    """Spec and tensors: in a torch file under `model` and its `sd`, in safetensors the spec is in the header."""
    path, content = checkpoint.path, checkpoint.content
    spec = read_table(checkpoint, "model") if "model" in checkpoint.metadata else content.get("model")
    if not isinstance(spec, Mapping) or "name" not in spec:
        keys = examples(content) or "nothing"
        raise CasarbiError(
            f"{path} is not a LIIF checkpoint: it holds {keys}; expected 'model' with name, args and sd."
        )
    # A torch file has the weights in the spec (`sd`), safetensors beside it.
    tensors = spec.get("sd", content)
    spec = {name: value for name, value in spec.items() if name != "sd"}
    check_settings(spec, str(path))
    return spec, find_state(tensors if isinstance(tensors, Mapping) else {}, path)


def _trained_scales(checkpoint: Checkpoint) -> tuple[float, float]:
    text = checkpoint.metadata.get("trained_scales", json.dumps(OFFICIAL_SCALES))
    try:
        low, high = map(float, json.loads(text))
        if not 0 < low <= high < math.inf:
            raise ValueError
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise CasarbiError(
            f"{checkpoint.path} has trained_scales {quote(text)} in its header: expected a pair like [1, 4]."
        ) from None
    return low, high
