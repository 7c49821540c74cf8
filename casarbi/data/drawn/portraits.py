"""`portraits`: procedural aligned head-and-shoulders portraits, rendered from a seed at any size up to 512.

A picture is a pure function of (VERSION, seed, size). Its parameters are drawn first and know no pixels, so another
size shows the same person. Only operations that IEEE 754 fixes are used (see `portrait.exact`), so the bytes
do not depend on the machine, on NumPy's version or on its vector units.

No person is shown: nothing here was learnt or measured from photographs of people.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from casarbi.data.base import Dataset, measured_by
from casarbi.data.drawn.portrait.film import develop, halve, quantise, sharpen
from casarbi.data.drawn.portrait.frame import Frame
from casarbi.data.drawn.portrait.person import draw_person
from casarbi.data.drawn.portrait.scene import scene
from casarbi.data.drawn.procedural import Procedural

VERSION = "portraits-3"
"""Raise with any change of the pixels."""

SIZES = (32, 512)
"""Smallest and largest side in pixels."""


@measured_by("face")
def portraits(*, split: str = "test", n: int = 32, size: int = 256) -> Dataset:
    """Make the data set from a reference such as `portraits?split=test&n=32&size=256`.

    Splits and their seeds are those of `procedural.SPLITS`; a bad option raises CasarbiError.
    """
    return Procedural("portraits", VERSION, render, split=split, n=n, size=size, sizes=SIZES)


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

    Otherwise each temporary field is handed back to the system and faulted in again.
    """
    block = np.empty(7_500_000, np.float32)
    del block
