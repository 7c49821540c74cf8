"""A training task small enough for tests, `training_toys:task`: a network learns what bicubic x2 leaves out."""

import hashlib
import json
import multiprocessing
import os
import signal
from dataclasses import asdict, dataclass

import torch
from scenes import scene
from torch import nn

from casarbi.checkpoints import write_checkpoint
from casarbi.data.base import Dataset
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8
from casarbi.pictures.resize import resize
from casarbi.settings import build
from casarbi.training.task import Recipe, Sheet, Task, Validation


@dataclass(frozen=True)
class Settings:
    width: int = 6
    dropout: float = 0.1
    norm: bool = True
    noise: float = 0.01
    nan_from: int = 10**9  # losses from this step on are NaN …
    nan_until: int = 10**9  # … and up to this one
    kill_at: int = -1  # SIGKILL to the own process when this step's loss is wanted
    interrupt_at: int = -1
    terminate_at: int = -1
    kill_workers_at: int = -1
    record: str = ""  # file that gets a line for each item seen
    nan_metric_from: int = 10**9


class Crops(Recipe):
    """16 px LR and 32 px HR crops, flipped half of the time; the crop's size is shared by a batch."""

    def draw(self, rng):
        return 16 if rng.random() < 0.5 else 12

    def item(self, image, shared, rng):
        side = 2 * shared
        top, left = rng.integers(0, [image.shape[-2] - side + 1, image.shape[-1] - side + 1])
        hr = image[:, top : top + side, left : left + side].clone()
        return {"hr": hr, "lr": resize(hr, (shared, shared)), "tag": torch.tensor([int(top), int(left), side])}


class Toy(Task):
    recipe = Crops()
    best_metric, best_is_highest = "psnr", True

    def __init__(self, settings):
        self.config = build(Settings, settings, "[settings]")
        width = self.config.width
        layers = (
            nn.Conv2d(3, width, 3, padding=1),
            nn.BatchNorm2d(width) if self.config.norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(self.config.dropout),
        )
        self.network = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1))
        # Where a run is killed or recorded is no part of what it learns.
        self.settings = {"width": width, "dropout": self.config.dropout}
        self.calls = 0

    def loss(self, batch, generator):
        self._play_tricks(batch)
        lr, hr = from_uint8(batch["lr"]), from_uint8(batch["hr"])
        large = resize(lr, hr.shape[-2:])
        noise = self.config.noise * torch.randn(large.shape, generator=generator, device=large.device)
        error = (large + self.network(large + noise) - hr).abs().mean()
        return {"loss": error * (float("nan") if self._is_bad() else 1.0), "largest": error.detach() * 2}

    def _is_bad(self):
        return self.config.nan_from <= self.calls - 1 <= self.config.nan_until

    def _play_tricks(self, batch):
        tricks = self.config
        for step, number in (
            (tricks.kill_at, signal.SIGKILL),
            (tricks.interrupt_at, signal.SIGINT),
            (tricks.terminate_at, signal.SIGTERM),
        ):
            if self.calls == step:
                os.kill(os.getpid(), number)
        if self.calls == self.config.kill_workers_at:
            for child in multiprocessing.active_children():
                child.kill()
        if self.config.record:
            with open(self.config.record, "a") as file:
                file.write(json.dumps(batch["tag"].tolist()) + "\n")
        self.calls += 1

    def validate(self, network, images):
        hr = from_uint8(torch.stack([image[:, :32, :32] for image in images]))
        lr = resize(hr, (16, 16))
        large = resize(lr, (32, 32))
        made = large + network(large)
        psnr = -10 * (made - hr).square().mean().log10().item()
        if self.calls >= self.config.nan_metric_from:
            psnr = float("nan")
        return Validation({"psnr": psnr}, Sheet(("LR", "toy", "HR"), tuple(zip(lr, made, hr, strict=True))))

    def save(self, path, network, header):
        write_checkpoint(path, network.state_dict(), {**header, "model": json.dumps(asdict(self.config))})


def task(settings):
    return Toy(settings)


class Scenes(Dataset):
    name = "scenes"

    def __init__(self, n, side, seed, broken):
        self.ids = tuple(f"s{i:03d}" for i in range(n))
        self.side, self.seed, self.broken = side, seed, broken
        self.calls = 0

    def image(self, image_id):
        self.calls += 1
        number = int(image_id[1:])
        if number < self.broken:
            raise CasarbiError(f"{image_id}.png is damaged.")
        return scene(self.side, self.side + number % 3, 1000 * self.seed + number)

    def known_size(self, image_id):
        return self.side, self.side + int(image_id[1:]) % 3

    def digest(self, image_id):
        is_broken = int(image_id[1:]) < self.broken
        return hashlib.sha256(f"{image_id} {self.side} {self.seed} {is_broken}".encode()).hexdigest()


def scenes(*, n: int = 12, side: int = 48, seed: int = 0, broken: int = 0):
    """Data set `training_toys:scenes?n=12`: the tests' scenes; the first `broken` cannot be read."""
    return Scenes(n, side, seed, broken)
