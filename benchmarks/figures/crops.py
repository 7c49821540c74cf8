"""Which part of a picture is shown magnified, and where that part lies in pictures of other sizes.

A part lies on the LR's grid of pixels, so that its edges are those of whole pixels in the LR and, up to rounding, the
same edges at every scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.figures.declaration import ComparisonPanel
from casarbi.scales import Size

LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Part:
    """A square of LR pixels.

    Attributes:
        left, top, side: in pixels of the LR.
        lr_size: (h, w) of the LR.
    """

    left: int
    top: int
    side: int
    lr_size: Size

    def box(self, size: Size) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in a picture of a size (H, W)."""
        across, down = size[1] / self.lr_size[1], size[0] / self.lr_size[0]
        return (
            round(self.left * across),
            round(self.top * down),
            round((self.left + self.side) * across),
            round((self.top + self.side) * down),
        )

    def cut(self, image: np.ndarray) -> np.ndarray:
        """This part of an image (H, W, 3)."""
        left, top, right, bottom = self.box((image.shape[0], image.shape[1]))
        return image[top:bottom, left:right]

    def touches(self, other: Part) -> bool:
        """Whether two parts of one LR share pixels or an edge."""
        return abs(self.left - other.left) <= self.side and abs(self.top - other.top) <= self.side


def declared_parts(panel: ComparisonPanel, picture: int, lr_size: Size) -> list[Part]:
    """Parts of a picture, by its place in the panel's list, that the declaration chooses."""
    height, width = lr_size
    return [
        _inside(window.left * width, window.top * height, window.side * min(lr_size), lr_size)
        for window in panel.windows
        if window.picture == picture
    ]


def _inside(left: float, top: float, side: float, lr_size: Size) -> Part:
    pixels = max(2, min(round(side), *lr_size))
    return Part(min(round(left), lr_size[1] - pixels), min(round(top), lr_size[0] - pixels), pixels, lr_size)


def most_detailed_parts(gt: np.ndarray, lr_size: Size, side: float, count: int) -> list[Part]:
    """The parts in which neighbouring pixels of the GT differ most, of which no two touch.

    Args:
        gt: uint8 (H, W, 3).
        lr_size: (h, w) of the LR.
        side: of a part, as a share of the shorter side.
        count: parts to find; there are fewer if no more have room.
    """
    detail = _detail(gt)
    pixels = max(2, round(side * min(lr_size)))
    places = [
        Part(left, top, pixels, lr_size)
        for top in range(lr_size[0] - pixels + 1)
        for left in range(lr_size[1] - pixels + 1)
    ]
    ranked = sorted(places, key=lambda part: -_sum(detail, part.box((gt.shape[0], gt.shape[1]))))
    return _apart(ranked, count)


def _apart(ranked: Sequence[Part], count: int) -> list[Part]:
    chosen: list[Part] = []
    for part in ranked:
        if len(chosen) < count and not any(part.touches(other) for other in chosen):
            chosen.append(part)
    return chosen


def _detail(gt: np.ndarray) -> np.ndarray:
    """Sums over all rectangles from the corner (H + 1, W + 1) of the absolute differences of neighbours in luma."""
    luma = gt.astype(float) @ np.array(LUMA)
    detail = np.zeros_like(luma)
    detail[:, 1:] += np.abs(np.diff(luma, axis=1))
    detail[1:] += np.abs(np.diff(luma, axis=0))
    return np.pad(detail.cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _sum(sums: np.ndarray, box: tuple[int, int, int, int]) -> float:
    left, top, right, bottom = box
    return float(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])
