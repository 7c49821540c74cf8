"""Files of IDM weights: the official `PREFIX_gen.pth` (docs/idm.md §2), and ours with their configuration inside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from baselines.ddpm import TABLES, differing
from baselines.idm.config import SCALE_OF_DF2K, SCALE_OF_FACES, IDMConfig
from baselines.idm.diffusion import ScheduleConfig
from baselines.idm.network import PUBLISHED, IDMNetwork, never_used
from casarbi.checkpoints import (
    Checkpoint,
    examples,
    find_state,
    load_new,
    read_checkpoint,
    read_config,
    write_weights,
)
from casarbi.errors import CasarbiError
from casarbi.network_model import WeightsInfo
from casarbi.plain import quote
from casarbi.settings import as_json, build
from casarbi.weights import find_trained, packaged_weights

METHOD = "idm"
WIDTH_KEY = "denoise_fn.ups.3.imnet.0.weight"
"""Its width tells the published network (514) from the variant with cell decoding (516)."""

BUFFERS = (*TABLES, "ddim_c1")
"""Schedule in official files; all of them follow from the betas, and the published sampler reads the file's."""

OFFICIAL_FACTS = {"licence": "none stated (Ree1s/IDM has no licence file)", "source": "trained with Ree1s/IDM"}
OFFICIAL_WARNING = (
    "IDM: the file does not say which code trained it. Before 30 Jun 2023 that always trained at the largest scale, so "
    "other scales may come out poor (Ree1s/IDM#22), and neither code has a rule for p beyond the largest scale."
)


@dataclass(frozen=True)
class IDMWeights:
    """A network with what its file says.

    Attributes:
        network: in evaluation mode, on the CPU, its parameters frozen.
        config: the whole configuration.
        info: facts of the file.
    """

    network: IDMNetwork
    config: IDMConfig
    info: WeightsInfo


def find_idm(weights: str) -> Path:
    """Path of weights given as a shipped name such as mini-face, a file, or the PREFIX of PREFIX_gen.pth.

    Raises:
        CasarbiError: if there are none; no network is ever made without weights.
    """
    # PREFIX means PREFIX_gen.pth, unless a file or shipped weights have that very name.
    given, generator = (os.path.expanduser(text) for text in (weights, f"{weights}_gen.pth"))
    if packaged_weights(METHOD, weights) is None and not os.path.lexists(given) and os.path.isfile(generator):
        return Path(generator)
    expected = "a PREFIX_gen.pth of Ree1s/IDM or a file that casarbi train wrote"
    return find_trained(METHOD, "IDM", weights, expected)


def save_idm(path: Path, network: IDMNetwork, config: IDMConfig, header: Mapping[str, str]) -> None:
    """Write weights, their configuration under `config` in the header beside the given texts.

    Args:
        path: a .safetensors file.
        network: of `config.network`; written in its own type.
        config: the whole configuration.
        header: texts such as `licence` and `source`, which reports print.
    """
    write_weights(path, network, METHOD, as_json(config), header)


def load_idm(path: Path) -> IDMWeights:
    """Read weights strictly: every tensor fits and is finite, every setting is known, a schedule is what it must be.

    Raises:
        CasarbiError: if the file is missing, damaged, of another method, or fits only in part.
    """
    checkpoint = read_checkpoint(path)
    # Our header has these keys; an official file is a bare state dict.
    ours = bool({"method", "config"} & set(checkpoint.metadata))
    return _load_ours(checkpoint) if ours else _load_official(checkpoint)


def _load_ours(checkpoint: Checkpoint) -> IDMWeights:
    path, header = checkpoint.path, checkpoint.metadata
    if header.get("method") != METHOD or "config" not in header:
        raise CasarbiError(
            f"{path} holds no IDM weights: its header has the method {quote(header.get('method'))} and "
            f"{'a' if 'config' in header else 'no'} config; expected a file that casarbi train wrote for IDM."
        )
    config = build(IDMConfig, read_config(checkpoint), str(path))
    state = find_state(checkpoint.content, path)
    network = load_new(lambda: IDMNetwork(config.network), state.tensors, path)
    info = WeightsInfo.from_file(path, header, trained_scales=(1.0, config.max_scale), notes=state.notes)
    return IDMWeights(network, config, info)


def _load_official(checkpoint: Checkpoint) -> IDMWeights:
    """The bare state dict of the published diffusion object: 13 schedule buffers, encoder, imnet, denoise_fn."""
    path = checkpoint.path
    state = find_state(checkpoint.content, path)
    tensors = dict(state.tensors)
    # The buffers of the schedule lie among the weights.
    schedule = _schedule({name: tensors.pop(name) for name in BUFFERS if name in tensors}, path)
    if WIDTH_KEY not in tensors:
        raise CasarbiError(
            f"{path} is no IDM checkpoint: it holds {examples(tensors)}, expected encoder.*, imnet.* and "
            f"denoise_fn.* with implicit functions such as {WIDTH_KEY}."
        )
    # One width tells which of the two published networks it is.
    cells = tuple(tensors[WIDTH_KEY].shape[1:]) == (PUBLISHED.channels[-1] + 4,)
    layout = replace(PUBLISHED, cell_decode=cells)
    network = load_new(lambda: IDMNetwork(layout), tensors, path)
    # What reports say of the file.
    unused = never_used(layout)
    numbers = sum(tensors[key].numel() for key in unused)
    kind = "layout of the DF2K file, with cell decoding" if cells else "layout of the face file"
    notes = (*state.notes, kind, f"{len(unused)} tensors ({numbers:,} numbers) that no output depends on")
    config = IDMConfig(layout, schedule, max_scale=SCALE_OF_DF2K if cells else SCALE_OF_FACES)
    info = WeightsInfo.from_file(
        path, OFFICIAL_FACTS, trained_scales=(1.0, config.max_scale), notes=notes, warning=OFFICIAL_WARNING
    )
    return IDMWeights(network, config, info)


def _schedule(buffers: Mapping[str, Tensor], path: Path) -> ScheduleConfig:
    """The schedule in an official file: the published one or another linear one; without buffers the published one."""
    if not buffers:
        return ScheduleConfig()
    missing = [name for name in BUFFERS if name not in buffers]
    if missing:
        raise CasarbiError(
            f"{path} has {len(buffers)} of the {len(BUFFERS)} buffers of IDM's schedule and lacks {missing[0]}: get "
            f"the file again."
        )
    # The published schedule, or the linear one between the file's own ends.
    betas = buffers["betas"].flatten().tolist()
    wrong = []
    for linear in (ScheduleConfig(), *_linear(betas)):
        wrong = differing(buffers, linear.buffers())
        if not wrong:
            return linear
    ends = f", from {betas[0]:.3g} to {betas[-1]:.3g}" if betas else ""
    raise CasarbiError(
        f"{path} has {len(betas)} betas of the noise schedule{ends}, and with IDM's linear betas "
        f"{', '.join(wrong)} would have other values: get the file again."
    )


def _linear(betas: list[float]) -> list[ScheduleConfig]:
    """The linear schedule between the ends of what a file holds, if there is one."""
    # Stored as float32: six digits give back what was typed.
    ends = [float(f"{beta:.6g}") for beta in (*betas[:1], *betas[-1:])]
    try:
        return [ScheduleConfig(len(betas), *ends)]
    except CasarbiError:
        return []
