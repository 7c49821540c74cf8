"""Training IDM (docs/idm.md §6): one target size per batch, mean absolute error of the predicted noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.idm.config import IDMConfig
from baselines.idm.costs import idm_cost
from baselines.idm.diffusion import draw_levels, noise_to_level
from baselines.idm.files import METHOD, load_idm, save_idm
from baselines.idm.model import IDM, plan_steps
from baselines.idm.network import IDMNetwork, never_used, orthogonal_start
from baselines.idm.scale import training_side
from baselines.training_target import check_target, training_target
from casarbi.checkpoints import load_strict, weights_header
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8
from casarbi.pictures.resize import resize
from casarbi.settings import as_json, build
from casarbi.signed import to_signed
from casarbi.training.crops import random_patch
from casarbi.training.task import Batch, Recipe, Task, Validation
from casarbi.training.validation import check_scales, validate_model


@dataclass(frozen=True)
class TrainingSettings:
    """Items, loss and validation; everything else is `baselines.idm.config.IDMConfig`.

    Attributes:
        lr_side: side of the LR images.
        whole: items are whole pictures (faces); else square patches.
        target: how a target is reduced: "antialiased", as GT is everywhere here, from the picture itself; or
            "published", from the largest one and without antialiasing.
        shared_step: see `draw_levels`.
        orthogonal: begin with `orthogonal_start`, as published.
        validation_scales: the contact sheet shows the last one.
        validation_batches: batches of the validation loss, always the same ones.
    """

    lr_side: int = 16
    whole: bool = True
    target: str = "published"
    shared_step: bool = True
    orthogonal: bool = True
    validation_scales: tuple[float, ...] = (5.3, 8.0)
    validation_batches: int = 6

    def __post_init__(self) -> None:
        """Refuse what cannot be trained; raises CasarbiError."""
        check_target(self.target)
        check_scales(self.validation_scales)
        if min(self.lr_side, self.validation_batches) < 1:
            raise CasarbiError("[settings.training] must have lr_side and validation_batches of at least 1.")


@dataclass(frozen=True)
class IDMRecipe(Recipe):
    """An LR image and a target of the batch's size."""

    training: TrainingSettings
    max_scale: float

    def draw(self, rng: np.random.Generator) -> float:
        """The scale number of the batch, uniform in [0, 1): 1x is included, the largest scale is the open end."""
        return rng.random()

    def item(self, image: Tensor, shared: float, rng: np.random.Generator) -> Batch:
        """Make LR and HR from one picture, mirrored half of the time.

        Returns:
            lr and hr: uint8 (3, h, h) and (3, H, H), hr of the largest side if the loss is to reduce it; p: scalar;
            side: scalar int64, of the target.
        """
        training = self.training
        # Sides of the batch's target and of the largest one, at p = 1.
        side, largest = (training_side(training.lr_side, self.max_scale, p) for p in (shared, 1.0))
        if not training.whole:
            image = random_patch(image, largest, rng)
        if rng.random() < 0.5:
            image = image.flip(-1).contiguous()
        lr = resize(image, (training.lr_side, training.lr_side))
        # A published target is made in two steps: the largest size here, the batch's size by the loss.
        made = side if training.target == "antialiased" else largest
        return {"lr": lr, "hr": resize(image, (made, made)), "p": torch.tensor(shared), "side": torch.tensor(side)}


class IDMTask(Task[IDMNetwork]):
    """L1 between predicted and true noise at a random level."""

    # PSNR rewards blur; the validation loss is what training lowers, on fixed pictures, sizes and noise.
    best_metric, best_is_highest = "loss", False

    def __init__(self, training: TrainingSettings, config: IDMConfig) -> None:
        self.training, self.config = training, config
        plan_steps(config)  # what validation could not run is refused now
        self.network = IDMNetwork(config.network)
        if training.orthogonal:
            orthogonal_start(self.network)
        self.recipe = IDMRecipe(training, config.max_scale)
        self.settings = {"training": dataclasses.asdict(training), **as_json(config)}
        if not training.whole:
            self.least_side = int(training.lr_side * max(config.max_scale, *training.validation_scales) + 0.5)

    def load(self, path: Path) -> None:
        """Take the weights of a file of ours or an official one, less what no output depends on."""
        given = load_idm(path)
        if given.config.schedule != self.config.schedule:
            raise CasarbiError(f"{path} was trained with {given.config.schedule}: expected {self.config.schedule}.")
        # Official files hold parameters that no output depends on.
        keys, unused = self.network.state_dict().keys(), never_used(given.config.network)
        tensors = {key: t for key, t in given.network.state_dict().items() if key in keys or key not in unused}
        load_strict(self.network, tensors, path)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean absolute error of the noise, 0.8 for a network that predicts none."""
        return {"loss": self._loss(self.network, batch, generator)}

    def _loss(self, network: IDMNetwork, batch: Batch, generator: torch.Generator) -> Tensor:
        lr, hr = (to_signed(from_uint8(batch[name])) for name in ("lr", "hr"))
        if self.training.target == "published":
            side = int(batch["side"][0])
            hr = training_target(hr, (side, side))
        # Noise the HR image to a drawn level. The network is told the level and predicts the noise.
        level = draw_levels(self.config.schedule.alpha_bar, len(hr), generator, shared_step=self.training.shared_step)
        noise = torch.randn(hr.shape, generator=generator, device=hr.device)
        predicted = network(lr, noise_to_level(hr, noise, level), level, float(batch["p"][0]))
        return (predicted.float() - noise).abs().mean()

    def costs(self) -> dict[str, str]:
        """Parameters, and FLOPs of an image of the largest size."""
        lr_side = self.training.lr_side
        largest = training_side(lr_side, self.config.max_scale, 1.0)
        cost = idm_cost(self.config.network, (lr_side, lr_side), (largest, largest))
        return super().costs() | {f"{lr_side} -> {largest} px": cost.text()}

    def validate(self, network: IDMNetwork, images: Sequence[Tensor]) -> Validation:
        """Loss on fixed items, and PSNR and pictures of the configured sampler."""
        training = self.training
        return validate_model(
            IDM(network, self.config),
            images,
            training.lr_side,
            training.validation_scales,
            whole=training.whole,
            loss=lambda batch, generator: self._loss(network, batch, generator),
            recipe=self.recipe,
            count=training.validation_batches,
        )

    def facts(self) -> dict[str, str]:
        """Method and configuration."""
        return weights_header(METHOD, as_json(self.config))

    def save(self, path: Path, network: IDMNetwork, header: Mapping[str, str]) -> None:
        """Write a file that `idm:FILE` loads."""
        save_idm(path, network, self.config, {**self.facts(), **header})


def idm_task(settings: Mapping[str, Any]) -> IDMTask:
    """Build the task from a preset's [settings]: a table "training", and those of `IDMConfig`.

    Raises:
        CasarbiError: on an unknown or impossible setting.
    """
    tables = dict(settings)
    training = build(TrainingSettings, tables.pop("training", {}), "[settings.training]")
    return IDMTask(training, build(IDMConfig, tables, "the preset", ("settings",)))
