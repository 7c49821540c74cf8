"""LIIF (Chen et al., CVPR 2021; yinboc/liif): local implicit image functions, with the official checkpoints."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from baselines.liif.network import RDN, EDSRBaseline, LIIFNetwork
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
from casarbi.network_model import NetworkModel, WeightsInfo
from casarbi.plain import quote
from casarbi.scales import Size
from casarbi.settings import Option
from casarbi.weights import find_weights, packaged_weights

OFFICIAL_SCALES = (1.0, 4.0)
CPU_CHUNK = 4096
"""Predictions at once on a CPU: few enough to stay in its cache, which saves a quarter of the time."""
GPU_CHUNK = 2**18
UNUSED = ("encoder.sub_mean.", "encoder.add_mean.")
"""Parameters that files hold and no output depends on."""
FLAGS = ("local_ensemble", "feat_unfold", "cell_decode")


class LIIF(NetworkModel):
    """LIIF behind the common interface.

    The chunk size and the device change a result by rounding alone (about 1e-6), so they are no part of its identity.
    """

    method, title, stochastic = "liif", "LIIF", False
    network: LIIFNetwork

    def __init__(self, network: LIIFNetwork, weights: WeightsInfo | None = None, chunk: int | None = None) -> None:
        super().__init__(network, weights)
        self.chunk = chunk

    @property
    def settings(self) -> dict[str, Any]:
        """No option changes a result."""
        return {"precision": "float32"}

    @property
    def parameters(self) -> int:
        """Number of parameters that an output depends on."""
        return sum(p.numel() for name, p in self.network.named_parameters() if not name.startswith(UNUSED))

    def memory_bytes(self, lr_size: Size, size: Size) -> int:
        """Features of the part of the image that is encoded at once, one chunk and the output; measured on a CPU."""
        region = min(lr_size[0], self.network.encoder.region) * min(lr_size[1], self.network.encoder.region)
        return 4 * self.network.feature_inputs * region + 4000 * (self.chunk or CPU_CHUNK) + 24 * size[0] * size[1]

    def enlarge(self, images: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> Iterator[Tensor]:
        """Enlarge to several sizes, encoding each image once; nothing is drawn."""
        chunk = self.chunk or default_chunk(images.device)
        made = [self.network.render(image, sizes, chunk, report=self.report) for image in images]
        return (torch.stack(same) for same in zip(*made, strict=True))


def liif(
    weights: str = "edsr-baseline-div2k",
    *,
    chunk: Annotated[int | None, Option("predictions at once, which bounds memory (about 4 kB each) alone")] = None,
) -> LIIF:
    """Build the model that `liif[:WEIGHTS][?chunk=N]` names.

    The weights are a file as yinboc/liif saves them, a safetensors file of ours, or a name of the weights catalogue or
    of weights that come with this project, such as mini-face.

    Raises:
        CasarbiError: if the weights are missing, unreadable, or not of a LIIF that is known here.
    """
    check_chunk(chunk)
    checkpoint = read_checkpoint(packaged_weights("liif", weights) or find_weights(weights))
    spec, state = _spec_and_state(checkpoint)
    network = load_new(lambda: build_network(spec, checkpoint.path), state.tensors, checkpoint.path)
    scales = _trained_scales(checkpoint)
    known = WeightsInfo.from_file(checkpoint.path, checkpoint.metadata, trained_scales=scales, notes=state.notes)
    return LIIF(network, known, chunk)


def default_chunk(device: torch.device) -> int:
    """Predictions at once, on a device."""
    return CPU_CHUNK if device.type == "cpu" else GPU_CHUNK


def check_chunk(chunk: int | None) -> None:
    """Refuse the option chunk of an implicit decoder where not even one pixel fits."""
    if chunk is not None and chunk < 4:
        raise CasarbiError(f"Option chunk={chunk} must be at least 4, the predictions that one pixel takes.")


def save_liif(path: Path, network: LIIFNetwork, spec: Mapping[str, Any], header: Mapping[str, str]) -> None:
    """Write a network as safetensors, its spec under `model` in the header beside the given texts.

    The header may hold `trained_scales` (a JSON pair), `licence` and `source`, which reports print.
    """
    write_checkpoint(path, network.state_dict(), {**header, "model": json.dumps(dict(spec))})


def build_network(spec: Mapping[str, Any], path: Path) -> LIIFNetwork:
    """Build the network that a checkpoint's spec describes (docs/liif.md §4), its weights still random.

    Args:
        spec: `{"name": "liif", "args": {"encoder_spec": …, "imnet_spec": …, flags}}`.
        path: the file, for messages.

    Raises:
        CasarbiError: naming the part of the spec that is not known here.
    """
    args = dict(_args(spec, "liif", path))
    encoder_spec, imnet_spec = args.pop("encoder_spec", None), args.pop("imnet_spec", None)
    flags = {name: args.pop(name, True) for name in FLAGS}
    if not all(isinstance(flag, bool | int) for flag in flags.values()):
        raise CasarbiError(f"{path} has {quote(flags)}, wanted each true or false.")
    _refuse_rest(args, "liif", path)
    mlp = dict(_args(imnet_spec, "mlp", path))
    hidden, outputs = mlp.pop("hidden_list", None), mlp.pop("out_dim", None)
    mlp.pop("in_dim", None)  # follows from the encoder and the flags; strict loading checks it
    _refuse_rest(mlp, "mlp", path)
    if outputs != 3 or not isinstance(hidden, list) or not all(isinstance(n, int) and n > 0 for n in hidden):
        raise CasarbiError(
            f"{path} has an unknown decoder (hidden_list {quote(hidden)}, out_dim {quote(outputs)}), wanted RGB."
        )
    return LIIFNetwork(_encoder(encoder_spec, path), hidden, **{name: bool(flag) for name, flag in flags.items()})


def _encoder(spec: Any, path: Path) -> EDSRBaseline | RDN:
    name = spec.get("name") if isinstance(spec, Mapping) else None
    if name not in ("edsr-baseline", "rdn"):
        raise CasarbiError(f"{path} has the encoder {quote(name)}, which is unknown here: wanted edsr-baseline or rdn.")
    args = dict(_args(spec, name, path))
    if args.pop("no_upsampling", False) is not True:
        raise CasarbiError(f"{path} has an encoder that enlarges by itself: LIIF wants one with no_upsampling.")
    if name == "rdn":
        _refuse_rest(args, "rdn", path)
        return RDN()
    sizes = {"blocks": args.pop("n_resblocks", 16), "features": args.pop("n_feats", 64)}
    res_scale = args.pop("res_scale", 1.0)
    _refuse_rest(args, "edsr-baseline", path)
    whole = all(isinstance(n, int) and n > 0 for n in sizes.values())
    if not whole or not isinstance(res_scale, int | float) or not math.isfinite(res_scale):
        raise CasarbiError(f"{path} has an encoder of impossible size: {quote(sizes)}, res_scale {quote(res_scale)}.")
    return EDSRBaseline(**sizes, res_scale=res_scale)


def _spec_and_state(checkpoint: Checkpoint) -> tuple[Mapping[str, Any], State]:
    """Spec and tensors: in a torch file under `model` and its `sd`, in safetensors the spec is in the header."""
    path, content = checkpoint.path, checkpoint.content
    spec = read_table(checkpoint, "model") if "model" in checkpoint.metadata else content.get("model")
    if not isinstance(spec, Mapping) or "name" not in spec:
        keys = examples(content) or "nothing"
        raise CasarbiError(f"{path} is not a LIIF checkpoint: it holds {keys}, wanted 'model' with name, args and sd.")
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
            f"{checkpoint.path} has trained_scales {quote(text)} in its header, wanted like [1, 4]."
        ) from None
    return low, high


def _args(spec: Any, name: str, path: Path) -> Mapping[str, Any]:
    found = spec.get("name") if isinstance(spec, Mapping) else None
    args = spec.get("args", {}) if isinstance(spec, Mapping) else None
    if found != name or not isinstance(args, Mapping):
        raise CasarbiError(f"{path} has {quote(found)} where a spec of '{name}' with its args is wanted.")
    return args


def _refuse_rest(args: Mapping[str, Any], name: str, path: Path) -> None:
    if args:
        raise CasarbiError(
            f"{path} gives {name} the unknown settings {quote(dict(args))}: this layout cannot be built here."
        )
