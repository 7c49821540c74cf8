"""Data sets drawn by a program: image `test-00012` is a pure function of its seed and size."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from casarbi.data.base import Dataset
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8
from casarbi.scales import Size

Render = Callable[[int, int], np.ndarray]
"""render(seed, size) -> uint8 (size, size, 3); pure, and the same bytes on every run."""

SPLITS: Mapping[str, tuple[int, int]] = {"train": (0, 2**30), "val": (2**30, 2**20), "test": (2**31, 2**20)}
"""First seed and number of images of each split: training may draw without end and never meets val or test."""


@dataclass(frozen=True)
class Procedural(Dataset):
    """The first n images of a split.

    Attributes:
        name: such as "portraits".
        version: changed whenever `render` draws other pixels, so that stored results go stale.
        render: the generator.
        split: one of `SPLITS`.
        n: number of images.
        size: side in pixels.
        sizes: smallest and largest side that `render` was made for.
    """

    name: str
    version: str
    render: Render
    split: str = "test"
    n: int = 32
    size: int = 256
    sizes: tuple[int, int] = (32, 512)
    ids: tuple[str, ...] = field(init=False)
    notes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Check the options and name the images.

        Raises:
            CasarbiError: on an unknown split, or n or size out of range.
        """
        if self.split not in SPLITS:
            raise CasarbiError(f"{self.name} has no split '{self.split}': choose {', '.join(SPLITS)}.")
        available = SPLITS[self.split][1]
        if not 1 <= self.n <= available:
            raise CasarbiError(
                f"{self.name} has 1 to {available:,} images in its {self.split} split, but n={self.n} was asked for."
            )
        smallest, largest = self.sizes
        if not smallest <= self.size <= largest:
            raise CasarbiError(
                f"{self.name} draws images of {smallest} to {largest} px, but size={self.size} was asked for."
            )
        object.__setattr__(self, "ids", tuple(f"{self.split}-{index:05d}" for index in range(self.n)))
        object.__setattr__(self, "notes", (f"{self.name} ({self.version}) are drawn by a program, not photographs.",))

    def seed(self, image_id: str) -> int:
        """Seed of an image; raises CasarbiError if the id is none of `ids`."""
        # Ids are checked in full: "test-3" must not draw the image of "test-00003" under another name.
        index = image_id.rpartition("-")[2]
        if not index.isdecimal() or int(index) >= self.n or image_id != f"{self.split}-{int(index):05d}":
            raise CasarbiError(f"{self.name} has no image '{image_id}': its ids run {self.ids[0]} to {self.ids[-1]}.")
        return SPLITS[self.split][0] + int(index)

    def image(self, image_id: str) -> Tensor:
        """Draw an image: float32 (3, size, size), values k/255."""
        pixels = self.render(self.seed(image_id), self.size)
        return from_uint8(torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))))

    def known_size(self, image_id: str) -> Size:
        """The same for every image: (size, size)."""
        return self.size, self.size

    def digest(self, image_id: str) -> str:
        """SHA-256 of the generator's name, version, seed and size."""
        decides = f"{self.name} {self.version} seed={self.seed(image_id)} size={self.size}"
        return hashlib.sha256(decides.encode()).hexdigest()
