"""`portraits`: procedural aligned head-and-shoulders portraits, rendered from a seed at any size up to 512.

A picture is a pure function of (VERSION, seed, size). Its parameters are drawn first and know no pixels, so another
size shows the same person. Only operations that IEEE 754 fixes are used (see `portrait_parts.exact`), so the bytes
do not depend on the machine.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.datasets.base import Dataset
from benchmarks.datasets.portrait_parts.film import develop, halve, quantise, sharpen
from benchmarks.datasets.portrait_parts.frame import Frame
from benchmarks.datasets.portrait_parts.person import draw_person
from benchmarks.datasets.portrait_parts.scene import scene
from casarbi.errors import CasarbiError

VERSION = "portraits-0.1"
SIZES = (32, 512)
# First seed and number of images of each split.
SPLITS: dict[str, tuple[int, int]] = {"train": (0, 60_000), "val": (100_000, 2_000), "test": (200_000, 10_000)}


def render(seed: int, size: int = 256) -> NDArray[np.uint8]:
    """Render the portrait of a seed (0 or more) as sRGB (size, size, 3)."""
    _keep_memory()
    person = draw_person(seed)
    # Up to 256 pixels every pixel is the mean of four; beyond, the parts' own soft edges must do.
    picture = halve(scene(Frame(person, 2 * size))) if size <= 256 else scene(Frame(person, size))
    return quantise(sharpen(develop(picture, person.exposure), 0.3), seed)


@lru_cache(maxsize=1)
def _keep_memory() -> None:
    """Make glibc keep freed memory: one large free raises its trim threshold, and rendering gets 10 % faster.

    Otherwise each temporary field is handed back to the system and faulted in anew.
    """
    block = np.empty(7_500_000, np.float32)
    del block


class Portraits(Dataset):
    """The first n portraits of a split.

    Args:
        split: "train", "val" or "test"; their seeds never meet.
        n: number of images.
        size: pixels a side.
    """

    def __init__(self, split: str = "test", n: int = 32, size: int = 256) -> None:
        if split not in SPLITS:
            raise CasarbiError(f"portraits has no split {split!r}; choose one of {', '.join(SPLITS)}.")
        self._first, available = SPLITS[split]
        if not 1 <= n <= available:
            raise CasarbiError(f"portraits' {split} split holds 1 to {available} images, but n={n} was asked for.")
        if not SIZES[0] <= size <= SIZES[1]:
            raise CasarbiError(
                f"portraits are rendered at {SIZES[0]} to {SIZES[1]} pixels, but size={size} was asked for."
            )
        self.name = "portraits"
        self.size = size
        self.ids = tuple(f"{split}-{i:05d}" for i in range(n))
        self.notes = (f"{n} procedural portraits ({VERSION}), not photographs.",)

    def seed(self, image_id: str) -> int:
        """Seed of an image id."""
        if image_id not in self.ids:
            raise CasarbiError(
                f"portraits holds no image {image_id!r}; its ids run from {self.ids[0]} to {self.ids[-1]}."
            )
        return self._first + int(image_id.rsplit("-", 1)[1])

    def image(self, image_id: str) -> Tensor:
        """Render an image as float32 (3, size, size), values exactly k/255."""
        pixels = render(self.seed(image_id), self.size)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(torch.float32) / 255

    def digest(self, image_id: str) -> str:
        """SHA-256 of version, seed and size, which decide the pixels."""
        return hashlib.sha256(f"{VERSION} seed={self.seed(image_id)} size={self.size}".encode()).hexdigest()


def portraits(*, split: str = "test", n: int = 32, size: int = 256) -> Dataset:
    """Make the data set from a reference such as `portraits?split=test&n=32&size=256`."""
    return Portraits(split, n, size)
