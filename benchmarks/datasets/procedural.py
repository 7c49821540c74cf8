"""Data sets drawn by a program: image `test-00012` is a pure function of its seed and size."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from benchmarks.datasets.base import Dataset
from casarbi.errors import CasarbiError

SPLIT_SEEDS = 2**30
"""Seeds of a split: training may draw without end and never meets a seed of val or test."""

SPLITS = {"train": 0, "val": SPLIT_SEEDS, "test": 2 * SPLIT_SEEDS}
"""First seed of each split."""

Render = Callable[[int, int], np.ndarray]
"""render(seed, size) -> uint8 (size, size, 3); pure, and the same bytes on every run."""


@dataclass(frozen=True)
class Procedural(Dataset):
    """The first n images of a split.

    Attributes:
        name: such as "portraits".
        version: raised whenever `render` draws other pixels, so that stored results go stale.
        render: the generator.
        split: "train", "val" or "test".
        n: number of images.
        size: side in pixels.
        sizes: smallest and largest side that `render` was made for.
    """

    name: str
    version: int
    render: Render
    split: str = "test"
    n: int = 32
    size: int = 256
    sizes: tuple[int, int] = (32, 1024)
    ids: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Check the options and name the images.

        Raises:
            CasarbiError: on an unknown split, or n or size out of range.
        """
        if self.split not in SPLITS:
            raise CasarbiError(f"{self.name} has no split '{self.split}': choose {', '.join(SPLITS)}.")
        if not 1 <= self.n <= SPLIT_SEEDS:
            raise CasarbiError(f"{self.name} cannot draw n={self.n} images: ask for 1 to {SPLIT_SEEDS}.")
        smallest, largest = self.sizes
        if not smallest <= self.size <= largest:
            raise CasarbiError(f"{self.name} draws {smallest} to {largest} px, not size={self.size}.")
        object.__setattr__(self, "ids", tuple(f"{self.split}-{index:05d}" for index in range(self.n)))

    def seed(self, image_id: str) -> int:
        """Seed of an image; raises CasarbiError where the id is none of `ids`."""
        split, _, index = image_id.rpartition("-")
        if split != self.split or not index.isdecimal() or int(index) >= self.n or len(index) < 5:
            raise CasarbiError(f"{self.name} has no image '{image_id}': its ids run {self.ids[0]} to {self.ids[-1]}.")
        return SPLITS[split] + int(index)

    def image(self, image_id: str) -> Tensor:
        """Draw an image: float32 (3, size, size), values k/255."""
        pixels = self.render(self.seed(image_id), self.size)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float() / 255

    def digest(self, image_id: str) -> str:
        """SHA-256 of the generator's name, version, seed and size."""
        decides = f"{self.name} v{self.version} seed={self.seed(image_id)} size={self.size}"
        return hashlib.sha256(decides.encode()).hexdigest()
