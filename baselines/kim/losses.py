"""The losses that Kim is trained with (docs/kim.md §7): pure functions of networks, images, and what was drawn."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.ddpm import add_noise, estimate_x0
from baselines.kim.first_stage import FirstStage
from baselines.kim.network import KimNetwork
from baselines.kim.unet import UNet
from baselines.liif.grid import centres
from casarbi.errors import CasarbiError


def first_stage_loss(
    first_stage: FirstStage, hr: Tensor, target: Tensor, noise: Tensor | None, chosen: Tensor | None = None
) -> Tensor:
    """Mean absolute error of the autoencoder at a size: the whole published loss, without LPIPS, GAN or KL term.

    Args:
        first_stage: trained in all its parts.
        hr: (B, 3, H, W) in [-1, 1], which the encoder always sees whole.
        target: (B, 3, T, U), the same pictures at another size; see `training_target`.
        noise: of the posterior, (B, latent, h, w).
        chosen: indices (Q,) of the pixels that count, row by row; by default, as published, all of them, whose
            prediction costs far more than everything else.
    """
    features = first_stage.features(first_stage.encode(hr, noise))
    height, width = target.shape[-2:]
    # All pixels of the target, as published.
    if chosen is None:
        return (first_stage.render(features, (height, width)) - target).abs().mean()
    # Only the chosen pixels, asked one by one.
    rows, columns = centres(height).to(chosen.device), centres(width).to(chosen.device)
    coord = torch.stack((rows[chosen // width], columns[chosen % width]), dim=-1).expand(len(hr), -1, -1)
    cell = coord.new_tensor((2 / height, 2 / width)).expand_as(coord)
    answers = first_stage.decoder.inr.query(features, coord, cell)
    return (answers - target.flatten(2)[..., chosen].mT).abs().mean()


def scale_of(latents: Tensor) -> Tensor:
    """Factor that brings latents to deviation 1; official code takes it once, from the first batch's samples.

    Raises:
        CasarbiError: if all latents are the same.
    """
    deviation = latents.std()
    if not 0 < deviation < math.inf:
        raise CasarbiError(f"The first stage gives latents of deviation {deviation:g}, which no factor brings to 1.")
    return 1 / deviation


def noise_loss(unet: UNet, z: Tensor, condition: Tensor, t: Tensor, noise: Tensor, alpha_bars: Tensor) -> Tensor:
    """Mean squared error of the predicted noise.

    Args:
        unet: trained.
        z: (B, latent, h, w), scaled latents of the HR images.
        condition: of the LR images, of the same shape.
        t: (B,) int64; uniform in 0..T - 1 in training.
        noise: standard normal, as z.
        alpha_bars: (T,), on the device of t.
    """
    return F.mse_loss(unet(add_noise(z, noise, alpha_bars[t]), condition, t), noise)


def alignment_terms(
    network: KimNetwork,
    z: Tensor,
    condition: Tensor,
    hr: Tensor,
    t: Tensor,
    noise: Tensor,
    alpha_bars: Tensor,
    *,
    per_image: bool = False,
) -> tuple[Tensor, Tensor]:
    """Latent and image term of the alignment (the paper's §4.4), whose sum is minimised over the UNet alone.

    z_0 is estimated from one t in one step, and decoded at the HR side. Each term is the squared error weighted by
    a / (1 - a); the code logs them as l1 losses, but they are squared.

    Args:
        network: its first stage is not trained, but passes gradients.
        z: (B, latent, h, w), scaled latents of the HR images.
        condition: of the LR images, of the same shape.
        hr: (B, 3, H, W) in [-1, 1].
        t: (B,) int64.
        noise: as z.
        alpha_bars: (T,), on the device of t.
        per_image: weight each image's error by its own a / (1 - a), as the paper's formula says. Official code
            multiplies shapes (B, 1, 1, 1) and (B), so the mean weight goes with the mean error: the default.
    """
    a = alpha_bars[t]
    z_t = add_noise(z, noise, a)
    # The clean latent in one step from z_t, and its picture.
    z_0 = estimate_x0(z_t, network.unet(z_t, condition, t), a)
    image = network.decode(z_0, (hr.shape[-2], hr.shape[-1]))
    # The signal-to-noise ratio of z_t: an estimate from much noise counts little.
    weight = a / (1 - a)
    return _weighted(weight, (z_0 - z).square(), per_image), _weighted(weight, (image - hr).square(), per_image)


def _weighted(weight: Tensor, errors: Tensor, per_image: bool) -> Tensor:
    # Mean error per image, (B,); then its weight, or as official code does, the batch's (docs/kim.md §7.3).
    errors = errors.flatten(1).mean(dim=1)
    return (weight * errors).mean() if per_image else torch.mean(weight) * errors.mean()
