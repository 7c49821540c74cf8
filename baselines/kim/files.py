"""Kim's weights files: the published checkpoint layouts (docs/kim.md §6) and ours, read strictly.

Ours are safetensors with the published keys and the whole configuration in the header. The published ones hold no
configuration: `baselines.kim.layout` infers it from the shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from baselines.ddpm import TABLES, ddpm_tables, differing
from baselines.kim.config import FirstStageConfig, KimConfig
from baselines.kim.first_stage import FirstStage
from baselines.kim.layout import infer_config, infer_first_stage
from baselines.kim.network import KimNetwork
from casarbi.checkpoints import (
    Checkpoint,
    State,
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

METHOD, FIRST_STAGE_METHOD = "kim", "kim-first-stage"
UNET, FIRST_STAGE, AVERAGE = "model.diffusion_model.", "first_stage_model.", "model_ema."


def load_kim(
    path: Path, *, ema: bool = False, lr_side: int | None = None, hr_side: int | None = None
) -> tuple[KimNetwork, WeightsInfo]:
    """Read a whole model, and what its file says: one of ours or a published one (Lightning checkpoint or bare state).

    Args:
        path: the file.
        ema: take the averaged weights of the denoiser; published evaluation takes the raw ones.
        lr_side: side of the LR images in training, for a published layout of unknown sides.
        hr_side: side of the HR images.

    Raises:
        CasarbiError: if the file is missing, damaged, would run code, or is not wholly of Kim.
    """
    checkpoint = read_checkpoint(path)
    # Files of ours name their method and hold their configuration.
    if "method" in checkpoint.metadata:
        return _load_ours(checkpoint, ema, lr_side, hr_side)
    state = find_state(checkpoint.content, path)
    tensors = dict(state.tensors)
    _refuse_other_kinds(tensors, path)
    # The file holds no configuration: it is inferred from shapes and schedule.
    config = infer_config(tensors, path, lr_side, hr_side)
    _check_schedule(config, {key: tensors.pop(key) for key in TABLES if key in tensors}, path)
    warning = ""
    if "scale_factor" not in tensors:
        tensors["scale_factor"] = torch.tensor(1.0)
        warning = "the file has no scale_factor, so 1 was taken, as official code does"
    # Both sets of weights are stored; one is used.
    averages = {key: tensors.pop(key) for key in list(tensors) if key.startswith(AVERAGE)}
    if ema:
        tensors |= _averaged(tensors, averages, path)
    network = _load_network(config, tensors, path)
    kind = "averaged (EMA)" if ema else "raw"
    return network, _info(network, checkpoint, state, f"{kind} weights", warning=warning)


def load_first_stage(path: Path) -> FirstStage:
    """Read the autoencoder alone, out of its own file or that of a whole model, published or ours.

    Raises:
        CasarbiError: as `load_kim`.
    """
    checkpoint = read_checkpoint(path)
    content = checkpoint.content.get("model")
    # Official code also reads {"model": {"sd": …}}.
    nested = content.get("sd") if isinstance(content, Mapping) else None
    tensors = find_state(nested if isinstance(nested, Mapping) else checkpoint.content, path).tensors
    if any(key.startswith(FIRST_STAGE) for key in tensors):
        tensors = {key[len(FIRST_STAGE) :]: t for key, t in tensors.items() if key.startswith(FIRST_STAGE)}
    # Ours state their configuration; that of published ones is inferred from shapes.
    method = checkpoint.metadata.get("method")
    if method is not None and method not in (METHOD, FIRST_STAGE_METHOD):
        raise CasarbiError(f"{path} holds weights of {quote(method)}: expected Kim's first stage.")
    if method is None:
        config = infer_first_stage(tensors, path)
    else:
        config = build(FirstStageConfig, read_config(checkpoint).get("first_stage", {}), str(path), ("first_stage",))
    return load_new(lambda: FirstStage(config), tensors, path)


def save_kim(path: Path, network: KimNetwork, header: Mapping[str, str]) -> None:
    """Write a whole model as safetensors that `kim:FILE` loads.

    Args:
        path: a .safetensors file.
        network: with its configuration.
        header: texts such as `licence` and `source`, which reports print.
    """
    write_weights(path, network, METHOD, as_json(network.config), header)


def save_first_stage(path: Path, first_stage: FirstStage, header: Mapping[str, str]) -> None:
    """Write an autoencoder that `load_first_stage` reads."""
    write_weights(path, first_stage, FIRST_STAGE_METHOD, {"first_stage": asdict(first_stage.config)}, header)


def _load_ours(
    checkpoint: Checkpoint, ema: bool, lr_side: int | None, hr_side: int | None
) -> tuple[KimNetwork, WeightsInfo]:
    path, method = checkpoint.path, checkpoint.metadata["method"]
    if method != METHOD:
        what = "Kim's first stage alone" if method == FIRST_STAGE_METHOD else f"weights of {quote(method)}"
        raise CasarbiError(f"{path} holds {what}: expected a whole model of Kim, which casarbi train writes.")
    state = find_state(checkpoint.content, path)
    config = build(KimConfig, read_config(checkpoint), str(path))
    if ema or lr_side not in (None, config.lr_side) or hr_side not in (None, config.hr_side):
        raise CasarbiError(
            f"{path} was written by this project: it has one set of weights and states its sides, {config.lr_side} and "
            f"{config.hr_side}, so ema and other sides are not for it."
        )
    network = _load_network(config, state.tensors, path)
    return network, _info(network, checkpoint, state)


def _load_network(config: KimConfig, tensors: Mapping[str, Tensor], path: Path) -> KimNetwork:
    network = load_new(lambda: KimNetwork(config), tensors, path)
    if not network.scale_factor > 0:
        raise CasarbiError(f"{path} has scale_factor {network.scale_factor:g}, by which no latent can be scaled.")
    return network


def _refuse_other_kinds(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse a file that lacks the denoiser or the first stage, and say what it holds."""
    parts = {prefix: any(key.startswith(prefix) for key in tensors) for prefix in (UNET, FIRST_STAGE)}
    # The same UNet keys as Kim's, but another autoencoder.
    if f"{FIRST_STAGE}quant_conv.weight" in tensors:
        raise CasarbiError(
            f"{path} holds a latent diffusion model of CompVis: expected Kim's, with an implicit decoder."
        )
    if all(parts.values()):
        return
    if "decoder.inr.imnet.layers.0.weight" in tensors:
        found = "Kim's first stage alone"
    elif parts[UNET]:
        found = f"a latent diffusion model without {FIRST_STAGE}*"
    else:
        found = f"keys such as {examples(tensors)}"
    raise CasarbiError(f"{path} holds {found}: expected a checkpoint of Kim's diffusion: {UNET}* and {FIRST_STAGE}*.")


def _check_schedule(config: KimConfig, tables: Mapping[str, Tensor], path: Path) -> None:
    """Whatever the file stores of its schedule must follow from the ends of its betas."""
    if wrong := differing(tables, ddpm_tables(config.diffusion.betas())):
        raise CasarbiError(
            f"{path} has another noise schedule than the published one, whose betas have evenly spaced roots: "
            f"{', '.join(wrong)} would have other values."
        )


def _averaged(tensors: Mapping[str, Tensor], averages: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Averaged weights under the names of the raw ones: the published names of averages have no dots."""
    # model.diffusion_model.out.0.weight is averaged as model_ema.diffusion_modelout0weight (docs/kim.md §6).
    names = {key: AVERAGE + key.removeprefix("model.").replace(".", "") for key in tensors if key.startswith(UNET)}
    # All of them, and none of another network; two counters may lie beside them.
    missing = [name for name in names.values() if name not in averages]
    if missing:
        raise CasarbiError(
            f"{path} lacks {len(missing)} of {len(names)} averaged weights ({examples(missing, 2)}): take the raw "
            f"ones with ema=false."
        )
    surplus = set(averages) - set(names.values()) - {f"{AVERAGE}decay", f"{AVERAGE}num_updates"}
    if surplus:
        raise CasarbiError(f"{path} has averaged weights of another network: {examples(sorted(surplus), 2)}.")
    return {key: averages[name] for key, name in names.items()}


def _info(network: KimNetwork, checkpoint: Checkpoint, state: State, *notes: str, warning: str = "") -> WeightsInfo:
    found = (note for note in state.notes if not note.startswith("plain weights"))
    return WeightsInfo.from_file(
        checkpoint.path,
        checkpoint.metadata,
        trained_scales=network.config.trained_scales,
        notes=(*found, *notes),
        warning=warning,
    )
