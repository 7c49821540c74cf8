"""Validation that super-resolution tasks share: PSNR and pictures at some scales, and the loss of fixed batches."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from casarbi.data.pairs import centre_crop, fixed_pairs, patch_pair
from casarbi.data.psnr import mse, psnr_from_mse
from casarbi.errors import CasarbiError
from casarbi.network_model import NetworkModel
from casarbi.pictures.pixels import to_uint8
from casarbi.pictures.resize import resize
from casarbi.scales import scale_label, target_size
from casarbi.training.batches import Batches
from casarbi.training.seeds import Purpose, torch_generator
from casarbi.training.task import Batch, Recipe, Sheet, Validation

SHEET_ROWS = 6
LEAST_ERROR = 1e-3
"""Mean squared error, in squared 8-bit levels, that counts as none."""


def validation_pairs(images: Sequence[Tensor], lr_side: int, scale: float, whole: bool) -> tuple[Tensor, Tensor]:
    """LR and GT of images at one scale, (B, 3, lr_side, lr_side) and (B, 3, H, H), float32 in [0, 1].

    Args:
        images: uint8 (3, H, W), square if `whole`.
        lr_side: side of the LR images.
        scale: GT has the side lr_side times scale, rounded half up.
        whole: reduce the whole image to both, as the face protocol does; else cut the GT from its centre and reduce
            that.
    """
    size = target_size((lr_side, lr_side), scale)
    # An image is reduced to both as in the face protocol, or its middle is the GT, as a patch protocol cuts it.
    if whole:
        pairs = [fixed_pairs(image, image.shape[-1], lr_side, [scale])[0] for image in images]
    else:
        pairs = [patch_pair(centre_crop(image, size), lr_side, scale) for image in images]
    return torch.stack([pair.lr for pair in pairs]), torch.stack([pair.gt for pair in pairs])


def validate_scales(
    model: NetworkModel, images: Sequence[Tensor], lr_side: int, scales: Sequence[float], *, whole: bool
) -> Validation:
    """Mean PSNR (RGB, 8 bits, no border cut) of each scale as "psnr_x8", their mean as "psnr", and a contact sheet.

    Args:
        model: the method; image i is enlarged with seed i.
        images: validation pictures, uint8 (3, H, W).
        lr_side: see `validation_pairs`.
        scales: the sheet shows the last one.
        whole: see `validation_pairs`.
    """
    metrics: dict[str, float] = {}
    columns = ("LR", "bicubic", f"{model.title} x{scale_label(scales[-1])}", "GT")
    rows: tuple[tuple[Tensor, ...], ...] = ()
    for scale in scales:
        lr, gt = validation_pairs(images, lr_side, scale, whole)
        size = gt.shape[-2], gt.shape[-1]
        made = model.upscale(lr.to(model.device), size, range(len(lr))).cpu()
        metrics[f"psnr_x{scale_label(scale)}"] = mean_psnr(made, gt)
        rows = tuple(zip(lr, resize(lr, size), made, gt, strict=True))[:SHEET_ROWS]
    return Validation({"psnr": sum(metrics.values()) / len(metrics), **metrics}, Sheet(columns, rows))


def mean_psnr(images: Tensor, gt: Tensor) -> float:
    """Mean over images of the PSNR in dB on 8-bit values, both (B, 3, H, W) in [0, 1]; NaN if an image holds NaN.

    An image that equals its GT counts as 78 dB, so that a mean stays finite.
    """
    if not images.isfinite().all():
        return math.nan
    errors = [mse(made, true) for made, true in zip(to_uint8(images), to_uint8(gt), strict=True)]
    return statistics.fmean(psnr_from_mse(max(error, LEAST_ERROR)) for error in errors)


def check_scales(scales: Sequence[float]) -> None:
    """Refuse `validation_scales` that are none; raises CasarbiError."""
    if not scales or not all(0 < scale < math.inf for scale in scales):
        raise CasarbiError(f"validation_scales = {list(scales)} must be one or more numbers above 0.")


def validate_model(
    model: NetworkModel,
    images: Sequence[Tensor],
    lr_side: int,
    scales: Sequence[float],
    *,
    whole: bool,
    loss: Callable[[Batch, torch.Generator], Tensor],
    recipe: Recipe,
    count: int,
) -> Validation:
    """What `validate_scales` finds of a model that draws noise, and a "loss" on fixed items.

    Args:
        model: the method.
        images: for this and the next three see `validate_scales`.
        lr_side: side of the LR images.
        scales: of the PSNR.
        whole: whether whole images are reduced.
        loss: of a batch and a generator, both on the device.
        recipe: makes the items; a batch has one of each image.
        count: how many batches the loss is the mean of.
    """
    # The same items and noise at every call, so that a change of the loss is a change of the network.
    batches = Batches(images, recipe, seed=0, batch=len(images))
    found = validate_scales(model, images, lr_side, scales, whole=whole)
    total = 0.0
    for step in range(count):
        batch = {name: tensor.to(model.device) for name, tensor in batches[step].items()}
        total += loss(batch, torch_generator(model.device, 0, Purpose.LOSS, step)).item()
    return Validation({"loss": total / count, **found.metrics}, found.sheet)
