"""Infers Kim's configuration from the shapes of the tensors in a published checkpoint, which does not hold it."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from baselines.kim.config import PUBLISHED, DiffusionConfig, FirstStageConfig, KimConfig, UNetConfig
from casarbi.errors import CasarbiError

Tensors = Mapping[str, Tensor]
Told = TypeVar("Told")


def infer_config(tensors: Tensors, path: Path, lr_side: int | None = None, hr_side: int | None = None) -> KimConfig:
    """Configuration of a whole model; groups and channels of attention heads are taken as published.

    Args:
        tensors: under the published keys.
        path: the file, for messages.
        lr_side: side of the LR images in training, on which no shape depends; by default that of the
            published configuration with this layout.
        hr_side: side of the HR images.

    Raises:
        CasarbiError: if a tensor that decides is missing, the layout cannot be built, or its sides are unknown.
    """
    first_stage = _told(_infer_first_stage, tensors, path, "first_stage_model.")
    unet = _told(_infer_unet, tensors, path, "model.diffusion_model.")
    diffusion = _told(_infer_diffusion, tensors, path)
    # The sides of a published layout are known.
    fits = (p for p in PUBLISHED.values() if first_stage == p.first_stage and unet == _effective(p.unet))
    known = next(fits, None)
    if known:
        lr_side = known.lr_side if lr_side is None else lr_side
        hr_side = known.hr_side if hr_side is None else hr_side
        if (lr_side, hr_side) == (known.lr_side, known.hr_side):
            return replace(known, diffusion=diffusion)
    # No tensor depends on the sides, so those of other layouts have to be given.
    if lr_side is None or hr_side is None:
        raise CasarbiError(
            f"{path} has a layout that was not published, so the sides of its training are unknown: give both, as in "
            f"kim:FILE?lr_side=16&hr_side=128."
        )
    try:
        return KimConfig(first_stage, unet, diffusion, lr_side=lr_side, hr_side=hr_side, sizes=(lr_side, hr_side))
    except CasarbiError as error:
        raise CasarbiError(f"{path}: {error}") from None


def infer_first_stage(tensors: Tensors, path: Path) -> FirstStageConfig:
    """Configuration of an autoencoder from its bare keys; raises as `infer_config`."""
    return _told(_infer_first_stage, tensors, path)


def _infer_first_stage(tensors: Tensors) -> FirstStageConfig:
    channels = _width(tensors, "encoder.0.conv_in.weight")
    # One width per level: the output channels of its first convolution.
    levels = _count(tensors, "encoder.0.down.{}.block.0.conv1.weight")
    widths = [_width(tensors, f"encoder.0.down.{i}.block.0.conv1.weight") for i in range(levels)]
    latent = _width(tensors, "decoder.decoder.0.weight")
    # Weights lie at every second place, relus between them.
    layers = _count(tensors, "decoder.inr.imnet.layers.{}.weight", stride=2)
    return FirstStageConfig(
        channels=channels,
        multipliers=tuple(width // channels for width in widths),
        blocks=_count(tensors, "encoder.0.down.0.block.{}.conv1.weight"),
        latent=latent,
        gaussian=_width(tensors, "encoder.1.weight") == 2 * latent,
        hidden=tuple(_width(tensors, f"decoder.inr.imnet.layers.{2 * i}.weight") for i in range(layers - 1)),
    )


def _infer_unet(tensors: Tensors) -> UNetConfig:
    channels = _width(tensors, "input_blocks.0.0.weight")
    levels: list[list[int]] = [[]]  # of each level the places of its residual blocks
    # The first layer of each block has number 0.
    present = {".".join(key.split(".")[:3]) for key in tensors}
    for i in range(1, _count(present, "input_blocks.{}.0")):
        # A downsampling ends a level; every other entry is a residual block, perhaps with attention.
        if f"input_blocks.{i}.0.op.weight" in tensors:
            levels.append([])
        else:
            levels[-1].append(i)
    # The first block of a level tells its width, and whether it has attention.
    widths = [_width(tensors, f"input_blocks.{places[0]}.0.in_layers.2.weight") for places in levels]
    attentive = [f"input_blocks.{places[0]}.1.qkv.weight" in tensors for places in levels]
    return UNetConfig(
        channels=channels,
        multipliers=tuple(width // channels for width in widths),
        blocks=len(levels[0]),
        attention=tuple(2**level for level, found in enumerate(attentive) if found),
    )


def _infer_diffusion(tensors: Tensors) -> DiffusionConfig:
    stored = tensors["betas"].flatten()
    # Stored as float32: six digits give back what was typed.
    start, end = (float(f"{stored[i].item():.6g}") for i in (0, -1))
    return DiffusionConfig(start, end, len(stored))


def _effective(unet: UNetConfig) -> UNetConfig:
    """The same network with its attention as shapes tell it: the factors that a level has, in rising order."""
    factors = (2**level for level in range(len(unet.multipliers)))
    return replace(unet, attention=tuple(factor for factor in factors if factor in unet.attention))


def _part(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _width(tensors: Tensors, key: str) -> int:
    return tensors[key].shape[0]


def _count(keys: Container[str], pattern: str, *, stride: int = 1) -> int:
    """How many of the keys of a pattern there are, from 0 on in strides."""
    return next(found for found in count() if pattern.format(found * stride) not in keys)


def _told(tell: Callable[[Tensors], Told], tensors: Tensors, path: Path, prefix: str = "") -> Told:
    """What the tensors under a prefix tell."""
    try:
        return tell(_part(tensors, prefix))
    except KeyError as error:
        raise CasarbiError(f"{path} is not wholly of Kim: it lacks the tensor '{prefix}{error.args[0]}'.") from None
    except (IndexError, ZeroDivisionError, ValueError):
        raise CasarbiError(
            f"{path} is not wholly of Kim: blocks of its denoiser or tensors are empty, or of another kind."
        ) from None
    except CasarbiError as error:
        raise CasarbiError(f"{path} is of a layout that cannot be built: {error}") from None
