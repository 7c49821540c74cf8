"""Training CasArbi (Algorithm 1, Eq. 7 and 10)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from casarbi.checkpoints import weights_header
from casarbi.errors import CasarbiError
from casarbi.method.config import METHOD, CasArbiConfig, save_weights
from casarbi.method.costs import cascade_cost
from casarbi.method.diffusion import scale_input, shift
from casarbi.method.model import BASE_KEY, CasArbi
from casarbi.method.network import Denoiser
from casarbi.method.residuals import as_regressor, stage_inputs
from casarbi.method.strategies import CascadeConfig
from casarbi.pictures.pixels import from_uint8
from casarbi.pictures.resize import resize
from casarbi.scales import Size
from casarbi.settings import as_json, build
from casarbi.signed import to_signed
from casarbi.sr import SRModel, create_model
from casarbi.training.augmentation import NoiseAugmentation
from casarbi.training.crops import random_patch
from casarbi.training.task import Batch, Recipe, Task, Validation
from casarbi.training.validation import check_scales, validate_model


@dataclass(frozen=True)
class ItemSettings:
    """Items and validation; everything else is `casarbi.method.config.CasArbiConfig`.

    Attributes:
        lr_side: side of the original LR images; a stage's input is larger by the factors of the stages before.
        whole: items are whole pictures (faces); else square patches.
        mirror: mirror half of the items; the paper says nothing of it.
        noise: reading of the noise augmentation, see `NoiseAugmentation`.
        noise_amount: its steps, or deviation.
        noise_drawn: draw the amount per image.
        validation_scales: the contact sheet shows the last one.
        validation_batches: batches of the validation loss, always the same ones.
    """

    lr_side: int = 16
    whole: bool = True
    mirror: bool = True
    noise: str = "none"
    noise_amount: float = 0.0
    noise_drawn: bool = False
    validation_scales: tuple[float, ...] = (5.3, 8.0)
    validation_batches: int = 6


@dataclass(frozen=True)
class StageRecipe(Recipe):
    """One stage of the cascade per batch: its input made from the HR picture, not from the stage before."""

    items: ItemSettings
    cascade: CascadeConfig

    def draw(self, rng: np.random.Generator) -> tuple[Size, Size, float]:
        """Sizes of the stage's input and output, and the factor that the network is told (Eq. 7)."""
        # The cascade draws with torch, on a generator of its own.
        stage = self.cascade.draw(torch.Generator().manual_seed(int(rng.integers(2**63))))
        small, large = stage.sizes((self.items.lr_side, self.items.lr_side))
        achieved = self.cascade.scale_input == "achieved"
        return small, large, (large[0] / small[0] if achieved else stage.scale)

    def item(self, image: Tensor, shared: tuple[Size, Size, float], rng: np.random.Generator) -> Batch:
        """Make the stage's input and output from one picture.

        Returns:
            lr and hr: uint8 (3, h, h) and (3, H, H); first: uint8, the original LR image; scale: scalar.
        """
        small, large, scale = shared
        side = self.items.lr_side
        # A patch covers the largest scale, so that every stage's input and output can be made from it.
        if not self.items.whole:
            image = random_patch(image, round(side * self.cascade.max_scale), rng)
        if self.items.mirror and rng.random() < 0.5:
            image = image.flip(-1).contiguous()
        lr, hr, first = (resize(image, size) for size in (small, large, (side, side)))
        return {"lr": lr, "hr": hr, "first": first, "scale": torch.tensor(scale)}


class CasArbiTask(Task[Denoiser]):
    """L1 between predicted and true residual image at a random step of the chain (Eq. 10)."""

    # PSNR rewards blur; the validation loss is what training lowers, on fixed pictures, stages and noise.
    best_metric, best_is_highest = "loss", False

    def __init__(self, items: ItemSettings, config: CasArbiConfig) -> None:
        self.items, self.config = items, config
        self.network = Denoiser(config.network)
        self.recipe = StageRecipe(items, config.cascade)
        self.noise = NoiseAugmentation(items.noise, items.noise_amount, items.noise_drawn)
        self.chain = config.process.noise_levels
        self.noise.deviations(self.chain)  # fails now, not in the first step
        self.settings = {"items": dataclasses.asdict(items), **as_json(config)}
        if not items.whole:
            self.least_side = int(items.lr_side * max(config.cascade.max_scale, *items.validation_scales) + 0.5)
        self.liif = _open_base(config.residual.liif) if config.residual.needs_regressor else None

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """The L1 loss of Eq. 10, in units of the residual gain."""
        return {"loss": self._loss(self.network, batch, generator, self.noise)}

    def _loss(self, network: Denoiser, batch: Batch, generator: torch.Generator, noise: NoiseAugmentation) -> Tensor:
        """One step of Algorithm 1, without the update of the weights: that is the trainer's."""
        residual, process = self.config.residual, self.config.process
        # An HR image, the input and output of one of its stages, and s_i from Eq. 7: `StageRecipe` made them.
        hr, s_i = to_signed(from_uint8(batch["hr"])), float(batch["scale"][0])
        u_0 = to_signed(from_uint8(batch["first"])) if residual.residual_base == "liif_initial" else None

        # Noise augmentation (§IV-B): in inference u_{i-1} is imperfect. Base and Up are made of the noisy image too.
        u_prev = to_signed(noise.apply(from_uint8(batch["lr"]), generator, self.chain))
        regressor = as_regressor(self.liif.to(str(hr.device))) if self.liif else None
        inputs = stage_inputs(u_prev, (hr.shape[-2], hr.shape[-1]), s_i, residual, u_0=u_0, regressor=regressor)

        # x_0 and y are residual images (§III-A); x_t ~ q(x_t | x_0, y) at a uniform t (Eq. 1).
        x_0 = inputs.residual(hr)
        t = torch.randint(1, process.T + 1, (len(x_0),), generator=generator, device=x_0.device)
        eps = torch.randn(x_0.shape, generator=generator, device=x_0.device)
        x_t = shift(x_0, inputs.y, t, eps, process)

        # L = E || f_θ(x_t, y, t, s_i, c) - x_0 ||_1 (Eq. 10)
        predicted = network(scale_input(x_t, t, process), t, network.encode(inputs))
        return (predicted.float() - x_0).abs().mean()

    def costs(self) -> dict[str, str]:
        """Parameters, and FLOPs of every stage."""
        return super().costs() | cascade_cost(self.config, self.items.lr_side)

    def validate(self, network: Denoiser, images: Sequence[Tensor]) -> Validation:
        """Loss on fixed items without augmentation, and PSNR and pictures of the whole cascade, guidance included."""
        items = self.items
        return validate_model(
            CasArbi(network, self.config, liif=self.liif),
            images,
            items.lr_side,
            items.validation_scales,
            whole=items.whole,
            loss=lambda batch, generator: self._loss(network, batch, generator, NoiseAugmentation()),
            recipe=self.recipe,
            count=items.validation_batches,
        )

    def facts(self) -> dict[str, str]:
        """Method, configuration, and the LIIF that residuals were made with."""
        base = {} if self.liif is None else {BASE_KEY: json.dumps(self.liif.identity)}
        return {**base, **weights_header(METHOD, as_json(self.config))}

    def save(self, path: Path, network: Denoiser, header: Mapping[str, str]) -> None:
        """Write a file that `casarbi:FILE` loads."""
        save_weights(path, network, self.config, {**self.facts(), **header})


def _open_base(reference: str) -> SRModel:
    """The LIIF that residuals are taken against; the message on a missing one says how to name another."""
    try:
        return create_model(reference)
    except CasarbiError as error:
        raise CasarbiError(
            f"The base of the residual images cannot be opened: {str(error).rstrip('.')}. Train it first, or name "
            f"another: -s settings.residual.liif=liif:FILE."
        ) from None


def casarbi_task(settings: Mapping[str, Any]) -> CasArbiTask:
    """Build the task from a preset's [settings]: a table "items", and those of `CasArbiConfig`.

    Raises:
        CasarbiError: on an unknown or impossible setting.
    """
    tables = dict(settings)
    items = build(ItemSettings, tables.pop("items", {}), "the preset", ("settings", "items"))
    config = build(CasArbiConfig, tables, "the preset", ("settings",))
    check_scales(items.validation_scales)
    if items.lr_side < 1 or items.validation_batches < 1:
        raise CasarbiError("[settings.items] lr_side and validation_batches must be at least 1.")
    return CasArbiTask(items, config)
