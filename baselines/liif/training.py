"""Training LIIF (docs/liif.md §5): the published recipe for patches, and our own for 16 px faces, which has none."""

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

from baselines.liif.files import build_network, save_liif
from baselines.liif.grid import centres
from baselines.liif.model import LIIF
from baselines.liif.network import LIIFNetwork
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8
from casarbi.pictures.resize import resize
from casarbi.settings import build
from casarbi.signed import to_signed
from casarbi.training.crops import random_crop
from casarbi.training.task import Batch, Recipe, Task, Validation
from casarbi.training.validation import check_scales, validate_scales


@dataclass(frozen=True)
class LIIFSettings:
    """Network, items and validation.

    Attributes:
        blocks: residual blocks of the EDSR encoder; 16 in EDSR-baseline.
        features: its channels; 64 in EDSR-baseline.
        hidden: widths of the decoder's layers.
        lr_side: side of the LR images.
        scales: smallest and largest scale; an item's is uniform between them.
        whole: items are whole pictures, reduced to LR and to the item's size (faces); else square patches.
        queries: pixels of an item that the loss sees, drawn without replacement.
        validation_scales: the contact sheet shows the last one.
    """

    blocks: int = 16
    features: int = 64
    hidden: tuple[int, ...] = (256, 256, 256, 256)
    lr_side: int = 48
    scales: tuple[float, ...] = (1.0, 4.0)
    whole: bool = False
    queries: int = 2304
    validation_scales: tuple[float, ...] = (2.0, 4.0)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained; raises CasarbiError."""
        if len(self.scales) != 2 or not 1 <= self.scales[0] <= self.scales[1]:
            raise CasarbiError(
                f"[settings] scales = {list(self.scales)} must be the smallest and largest, like [1, 4]."
            )
        if not 1 <= self.queries <= self.side(self.scales[0]) ** 2:
            raise CasarbiError(
                f"[settings] queries = {self.queries} must be at most the {self.side(self.scales[0]) ** 2} pixels of "
                f"the smallest item."
            )
        check_scales(self.validation_scales)
        if min(self.blocks, self.features, self.lr_side, *self.hidden) < 1:
            raise CasarbiError("[settings] must have blocks, features, hidden and lr_side of at least 1.")

    def side(self, scale: float) -> int:
        """Side of an item's HR picture: Python's rounding, as published."""
        return round(self.lr_side * scale)

    @property
    def spec(self) -> dict[str, Any]:
        """The network as checkpoints describe it (docs/liif.md §4)."""
        encoder = {"no_upsampling": True, "n_resblocks": self.blocks, "n_feats": self.features}
        decoder = {"out_dim": 3, "hidden_list": list(self.hidden)}
        args = {
            "encoder_spec": {"name": "edsr-baseline", "args": encoder},
            "imnet_spec": {"name": "mlp", "args": decoder},
        }
        return {"name": "liif", "args": args}


@dataclass(frozen=True)
class LIIFRecipe(Recipe):
    """An LR image and some pixels of its HR picture, with their coordinates."""

    settings: LIIFSettings

    def item(self, image: Tensor, shared: Any, rng: np.random.Generator) -> Batch:
        """Draw a scale, make LR and HR, mirror both alike, and draw the pixels.

        Returns:
            lr: uint8 (3, h, h); rgb: uint8 (Q, 3); coord: float32 (Q, 2), (y, x) in [-1, 1]; cell: float32 (2,).
        """
        settings = self.settings
        side = settings.side(rng.uniform(settings.scales[0], settings.scales[1]))
        # Faces: both sizes from the whole picture. Patches: a crop, and LR from it (docs/liif.md §5).
        hr = resize(image, (side, side)) if settings.whole else random_crop(image, side, rng)
        lr = resize(image if settings.whole else hr, (settings.lr_side, settings.lr_side))
        # Mirror both; faces stay upright.
        flips = rng.random(3) < 0.5
        if flips[0]:
            hr, lr = hr.flip(-1), lr.flip(-1)
        if flips[1] and not settings.whole:
            hr, lr = hr.flip(-2), lr.flip(-2)
        if flips[2] and not settings.whole:
            hr, lr = hr.transpose(-1, -2), lr.transpose(-1, -2)
        # The pixels that the loss sees, row by row.
        chosen = torch.from_numpy(rng.choice(side * side, settings.queries, replace=False))
        axis = centres(side)
        coord = torch.stack((axis[chosen // side], axis[chosen % side]), dim=-1)
        rgb = hr.reshape(3, -1)[:, chosen].T
        return {"lr": lr.contiguous(), "rgb": rgb.contiguous(), "coord": coord, "cell": torch.full((2,), 2 / side)}


class LIIFTask(Task[LIIFNetwork]):
    """L1 between answers and pixels, both in [-1, 1]."""

    best_metric, best_is_highest = "psnr", True

    def __init__(self, settings: LIIFSettings) -> None:
        self.config = settings
        self.network = build_network(settings.spec, Path("the preset"))
        self.recipe = LIIFRecipe(settings)
        self.settings = dataclasses.asdict(settings)
        if not settings.whole:
            self.least_side = int(settings.lr_side * max(settings.scales[1], *settings.validation_scales) + 0.5)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean absolute error; nothing is drawn."""
        lr, rgb = (to_signed(from_uint8(batch[name])) for name in ("lr", "rgb"))
        features = self.network.encoder(lr)
        coord = batch["coord"]
        answers = self.network.query(features, coord, batch["cell"][:, None].expand_as(coord))
        return {"loss": (answers - rgb).abs().mean()}

    def validate(self, network: LIIFNetwork, images: Sequence[Tensor]) -> Validation:
        """PSNR at the validation scales."""
        settings = self.config
        return validate_scales(
            LIIF(network), images, settings.lr_side, settings.validation_scales, whole=settings.whole
        )

    def facts(self) -> dict[str, str]:
        """Spec and trained scales."""
        return {"trained_scales": json.dumps(self.config.scales), "model": json.dumps(self.config.spec)}

    def save(self, path: Path, network: LIIFNetwork, header: Mapping[str, str]) -> None:
        """Write a file that `liif:FILE` loads."""
        save_liif(path, network, self.config.spec, {**self.facts(), **header})


def liif_task(settings: Mapping[str, Any]) -> LIIFTask:
    """Build the task from a preset's [settings]; raises CasarbiError on an unknown or impossible one."""
    return LIIFTask(build(LIIFSettings, settings, "[settings]"))
