"""Training Kim's denoiser on the latents of a first stage, and the alignment fine-tuning (docs/kim.md §7.2, §7.3)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.kim.config import KimConfig
from baselines.kim.costs import kim_cost
from baselines.kim.diffusion import alpha_bars, plan_steps
from baselines.kim.files import METHOD, load_first_stage, load_kim, save_kim
from baselines.kim.losses import alignment_terms, noise_loss, scale_of
from baselines.kim.model import Kim
from baselines.kim.network import KimNetwork
from casarbi.checkpoints import load_strict, weights_header
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8
from casarbi.pictures.resize import resize
from casarbi.settings import as_json, build
from casarbi.signed import to_signed
from casarbi.training.crops import random_patch
from casarbi.training.task import Batch, Recipe, Task, Validation
from casarbi.training.validation import check_scales, validate_model

LOSSES = ("noise", "alignment")


@dataclass(frozen=True)
class DenoiserTraining:
    """Items, loss and validation; everything else is `baselines.kim.config.KimConfig`.

    Attributes:
        first_stage: file of the trained autoencoder; not needed if training begins from a whole model (--init).
        loss: "noise", or "alignment" to fine-tune a whole model.
        per_image: see `baselines.kim.losses.alignment_terms`.
        whole: items are whole pictures (faces); else square patches.
        mirror: mirror half of the items.
        validation_scales: the contact sheet shows the last one.
        validation_batches: batches of the validation loss, always the same ones.
    """

    first_stage: str = ""
    loss: str = "noise"
    per_image: bool = False
    whole: bool = True
    mirror: bool = False
    validation_scales: tuple[float, ...] = (5.3, 8.0)
    validation_batches: int = 6

    def __post_init__(self) -> None:
        """Refuse what cannot be trained; raises CasarbiError."""
        if self.loss not in LOSSES:
            raise CasarbiError(f"[settings.training] loss = '{self.loss}' is unknown: {' or '.join(LOSSES)}.")
        check_scales(self.validation_scales)
        if self.validation_batches < 1:
            raise CasarbiError("[settings.training] must have validation_batches of at least 1.")


@dataclass(frozen=True)
class PairRecipe(Recipe):
    """An LR and an HR image."""

    training: DenoiserTraining
    lr_side: int
    hr_side: int

    def item(self, image: Tensor, shared: Any, rng: np.random.Generator) -> Batch:
        """Make both from one picture; returns lr and hr: uint8 (3, h, h) and (3, H, H)."""
        if not self.training.whole:
            image = random_patch(image, self.hr_side, rng)
        if self.training.mirror and rng.random() < 0.5:
            image = image.flip(-1).contiguous()
        return {name: resize(image, (side, side)) for name, side in (("lr", self.lr_side), ("hr", self.hr_side))}


class KimTask(Task[KimNetwork]):
    """Mean squared error of the predicted noise in latents, or the alignment terms; the first stage is frozen."""

    best_metric, best_is_highest = "loss", False

    def __init__(self, training: DenoiserTraining, config: KimConfig) -> None:
        self.training, self.config = training, config
        plan_steps(config.diffusion, config.sampling)  # what validation could not run is refused now
        self.network = KimNetwork(config)
        # Only the UNet learns; the alignment passes gradients through the frozen decoder.
        self.network.first_stage.requires_grad_(False)
        # Not a number until a first stage is there: no latent of a random one is ever trained on.
        self.network.scale_factor.fill_(math.nan)
        self.recipe = PairRecipe(training, config.lr_side, config.hr_side)
        self.settings = {"training": dataclasses.asdict(training), **as_json(config)}
        if not training.whole:
            self.least_side = int(max(config.hr_side, *(config.lr_side * s + 0.5 for s in training.validation_scales)))

    def load(self, path: Path) -> None:
        """Take the weights of a whole model, of a file of ours or a published one."""
        given, _ = load_kim(path, lr_side=self.config.lr_side, hr_side=self.config.hr_side)
        if given.config.diffusion != self.config.diffusion:
            raise CasarbiError(f"{path} was trained with {given.config.diffusion}: expected {self.config.diffusion}.")
        load_strict(self.network, given.state_dict(), path)

    def begin(self, first_batch: Callable[[], Batch]) -> None:
        """Take the first stage, and the scale of the latents from the first batch's samples, as published."""
        network, training = self.network, self.training
        if not network.scale_factor.isnan():  # a whole model was given, with its own first stage and factor
            return
        if training.loss == "alignment":
            raise CasarbiError("The alignment fine-tunes a whole model of Kim: give it with --init FILE.")
        # The first stage comes from a file of its own, and stays as it is.
        path = Path(training.first_stage).expanduser()
        if not path.is_file():
            found = f"{path} is no file" if training.first_stage else "none was given"
            raise CasarbiError(
                f"Kim's denoiser is trained on the latents of a first stage, and {found}: train one, such as with "
                f"casarbi train mini-kim-face-first-stage, and give it with -s settings.training.first_stage=FILE."
            )
        given = load_first_stage(path)
        if given.config != self.config.first_stage:
            raise CasarbiError(f"{path} has the configuration {given.config}: expected {self.config.first_stage}.")
        network.first_stage.load_state_dict(given.state_dict())
        # The factor brings the latents of the first batch to deviation 1.
        # A generator of its own: the factor must not depend on what was drawn before.
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            hr = to_signed(from_uint8(first_batch()["hr"]))
            latents = network.first_stage.encode(hr, self._noise(hr, generator))
        network.scale_factor.copy_(scale_of(latents))

    def _noise(self, hr: Tensor, generator: torch.Generator) -> Tensor:
        first = self.config.first_stage
        shape = (len(hr), first.latent, *(side // first.reduction for side in hr.shape[-2:]))
        return torch.randn(shape, generator=generator, device=hr.device)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of a batch, a step of the chain drawn for each image."""
        return self._loss(self.network, batch, generator)

    def _loss(self, network: KimNetwork, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        lr, hr = (to_signed(from_uint8(batch[name])) for name in ("lr", "hr"))
        with torch.no_grad():
            z = network.latent(hr, self._noise(hr, generator))
            # Two draws: latent and condition are samples of two posteriors (docs/kim.md §4).
            condition = network.condition(lr, self._noise(hr, generator))
        # A step and its noise for each image.
        table = alpha_bars(self.config.diffusion).to(hr.device)
        t = torch.randint(len(table), (len(hr),), generator=generator, device=hr.device)
        noise = self._noise(hr, generator)
        if self.training.loss == "noise":
            return {"loss": noise_loss(network.unet, z, condition, t, noise, table)}
        latent, image = alignment_terms(network, z, condition, hr, t, noise, table, per_image=self.training.per_image)
        return {"loss": latent + image, "latent": latent, "image": image}

    def costs(self) -> dict[str, str]:
        """Parameters that are trained, and FLOPs of an image of the largest size."""
        config = self.config
        cost = kim_cost(config, (config.lr_side,) * 2, (config.sizes[1],) * 2)
        return super().costs() | {f"{config.lr_side} -> {config.sizes[1]} px": cost.text()}

    def validate(self, network: KimNetwork, images: Sequence[Tensor]) -> Validation:
        """Loss on fixed items, and PSNR and pictures of the configured chain."""
        training = self.training
        return validate_model(
            Kim(network, self.config),
            images,
            self.config.lr_side,
            training.validation_scales,
            whole=training.whole,
            loss=lambda batch, generator: self._loss(network, batch, generator)["loss"],
            recipe=self.recipe,
            count=training.validation_batches,
        )

    def facts(self) -> dict[str, str]:
        """Method and configuration."""
        return weights_header(METHOD, as_json(self.config))

    def save(self, path: Path, network: KimNetwork, header: Mapping[str, str]) -> None:
        """Write a file that `kim:FILE` loads."""
        save_kim(path, network, {**self.facts(), **header})


def kim_task(settings: Mapping[str, Any]) -> KimTask:
    """Build the task from a preset's [settings]: a table "training", and those of `KimConfig`.

    Raises:
        CasarbiError: on an unknown or impossible setting.
    """
    tables = dict(settings)
    training = build(DenoiserTraining, tables.pop("training", {}), "[settings.training]")
    return KimTask(training, build(KimConfig, tables, "the preset", ("settings",)))
