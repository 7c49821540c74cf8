"""Training Kim's first stage, the autoencoder with an implicit decoder (docs/kim.md §7.1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.kim.config import FirstStageConfig
from baselines.kim.files import FIRST_STAGE_METHOD, load_first_stage, save_first_stage
from baselines.kim.first_stage import FirstStage
from baselines.kim.losses import first_stage_loss
from baselines.liif.network import default_chunk
from baselines.training_target import check_target, training_target
from casarbi.checkpoints import load_strict, weights_header
from casarbi.data.pairs import centre_crop
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8
from casarbi.pictures.resize import resize
from casarbi.settings import build
from casarbi.signed import from_signed, to_signed
from casarbi.training.crops import random_patch
from casarbi.training.task import Batch, Recipe, Sheet, Task, Validation
from casarbi.training.validation import SHEET_ROWS, mean_psnr


@dataclass(frozen=True)
class FirstStageTraining:
    """Items, loss and validation; everything else is `baselines.kim.config.FirstStageConfig`.

    Attributes:
        hr_side: side of the HR images that the encoder sees.
        sizes: smallest and largest side of the targets.
        whole: items are whole pictures (faces); else square patches.
        mirror: mirror half of the items.
        target: how a target is reduced: "antialiased", as GT is everywhere here, from the picture itself; or
            "published", from the HR image and without antialiasing.
        queries: pixels of a target that the loss sees, drawn for each batch; 0 for all of them, as published.
        validation_sides: sides of the decoded pictures; the contact sheet shows the last one.
    """

    hr_side: int = 128
    sizes: tuple[int, ...] = (32, 128)
    whole: bool = True
    mirror: bool = False
    target: str = "published"
    queries: int = 0
    validation_sides: tuple[int, ...] = (64, 128)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained; raises CasarbiError."""
        check_target(self.target)
        if len(self.sizes) != 2 or not 1 <= self.sizes[0] <= self.sizes[1] or self.hr_side < 1:
            raise CasarbiError(
                f"[settings.training] must have hr_side of at least 1, not {self.hr_side}, and sizes that are the "
                f"smallest and largest side, not {list(self.sizes)}."
            )
        if not self.validation_sides or min(self.validation_sides) < 1 or self.queries < 0:
            raise CasarbiError(
                "[settings.training] must have validation_sides of at least 1, and queries of at least 0."
            )


@dataclass(frozen=True)
class FirstStageRecipe(Recipe):
    """An HR image and the same picture at the batch's side."""

    training: FirstStageTraining

    def draw(self, rng: np.random.Generator) -> int:
        """Side of the batch's targets: uniform and rounded down, so the largest is never drawn, as published."""
        return int(rng.uniform(*self.training.sizes))

    def item(self, image: Tensor, shared: int, rng: np.random.Generator) -> Batch:
        """Make both images from one picture.

        Returns:
            hr: uint8 (3, hr_side, hr_side); side: scalar int64, of the target; target: uint8 (3, side, side), unless
            it is the published one, which the loss makes of hr.
        """
        hr_side = self.training.hr_side
        if not self.training.whole:
            image = random_patch(image, hr_side, rng)
        if self.training.mirror and rng.random() < 0.5:
            image = image.flip(-1).contiguous()
        hr = resize(image, (hr_side, hr_side))
        made = {"hr": hr, "side": torch.tensor(shared)}
        return made | ({"target": resize(image, (shared, shared))} if self.training.target == "antialiased" else {})


class FirstStageTask(Task[FirstStage]):
    """L1 between a picture and what the autoencoder makes of it."""

    best_metric, best_is_highest = "psnr", True

    def __init__(self, training: FirstStageTraining, config: FirstStageConfig) -> None:
        self.training, self.config = training, config
        if training.hr_side % config.reduction:
            raise CasarbiError(
                f"hr_side = {training.hr_side} must be a multiple of {config.reduction}, as the encoder divides."
            )
        self.network = FirstStage(config)
        self.recipe = FirstStageRecipe(training)
        self.settings = {"training": dataclasses.asdict(training), "first_stage": dataclasses.asdict(config)}
        if not training.whole:
            self.least_side = training.hr_side

    def load(self, path: Path) -> None:
        """Take a first stage of its own file or of a whole model's, published or ours."""
        load_strict(self.network, load_first_stage(path).state_dict(), path)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean absolute error on the [-1, 1] scale, the posterior sampled."""
        hr, side, queries = to_signed(from_uint8(batch["hr"])), int(batch["side"][0]), self.training.queries
        if self.training.target == "published":
            target = training_target(hr, (side, side))
        else:
            target = to_signed(from_uint8(batch["target"]))
        cells = self.training.hr_side // self.config.reduction
        # For a sample of the posterior, as official training takes it; a first stage without Gaussian ignores it.
        noise = torch.randn(len(hr), self.config.latent, cells, cells, generator=generator, device=hr.device)
        # Predicting every pixel of the target costs most of the time; some of them, the same for the whole batch, have
        # the same expected loss.
        chosen = None
        if 0 < queries < side * side:
            chosen = torch.randperm(side * side, generator=generator, device=hr.device)[:queries]
        return {"loss": first_stage_loss(self.network, hr, target, noise, chosen)}

    def validate(self, network: FirstStage, images: Sequence[Tensor]) -> Validation:
        """PSNR of the pictures decoded from the mean of the posterior, by side."""
        device = next(network.parameters()).device
        hr_side = self.training.hr_side
        if not self.training.whole:
            images = [centre_crop(image, (hr_side, hr_side)) for image in images]
        hr = _resized(images, hr_side)
        sides = self.training.validation_sides
        z = network.encode(to_signed(from_uint8(hr.to(device))))
        metrics: dict[str, float] = {}
        # One encoding is decoded at every side.
        for side in sides:
            gt = from_uint8(_resized(images, side))
            made = from_signed(network.decode(z, (side, side), default_chunk(device))).clamp(0, 1).cpu()
            metrics[f"psnr_{side}"] = mean_psnr(made, gt)
        rows = tuple(zip(hr, made, gt, strict=True))[:SHEET_ROWS]
        sheet = Sheet(("HR", f"decoded at {sides[-1]} px", "GT"), rows)
        return Validation({"psnr": sum(metrics.values()) / len(metrics), **metrics}, sheet)

    def facts(self) -> dict[str, str]:
        """Method and configuration."""
        config = {"first_stage": dataclasses.asdict(self.network.config)}
        return weights_header(FIRST_STAGE_METHOD, config)

    def save(self, path: Path, network: FirstStage, header: Mapping[str, str]) -> None:
        """Write a file that the task `kim` takes as its first stage."""
        save_first_stage(path, network, {**self.facts(), **header})


def _resized(images: Sequence[Tensor], side: int) -> Tensor:
    return torch.stack([resize(image, (side, side)) for image in images])


def first_stage_task(settings: Mapping[str, Any]) -> FirstStageTask:
    """Build the task from a preset's [settings]: the tables "training" and "first_stage".

    Raises:
        CasarbiError: on an unknown or impossible setting.
    """
    tables = dict(settings)
    training = build(FirstStageTraining, tables.pop("training", {}), "[settings.training]")
    config = build(FirstStageConfig, tables.pop("first_stage", {}), "[settings.first_stage]")
    if tables:
        raise CasarbiError(
            f"A first stage has no setting {', '.join(tables)}: expected the tables training and first_stage."
        )
    return FirstStageTask(training, config)
