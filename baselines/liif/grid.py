"""Coordinates of LIIF, and which features each row or column of an output grid asks (docs/liif.md §1, §3).

Everything here works on one axis, because on a full grid the neighbours of a pixel are those of its row and those of
its column, each by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Added to every shifted point, whatever the sign of the shift, and the margin of the clamp (docs/liif.md §3).
EPSILON = 1e-6
# Above the rounding noise of centres (up to 1e-5, docs/liif.md §9) and far below any other offset.
NEGLIGIBLE_OFFSET = 2e-5


def centres(n: int) -> Tensor:
    """Centres of n cells over [-1, 1] as float32 (n,).

    One float32 product and one float32 sum per value, as published: at odd scales its rounding noise decides the last
    row and column, which exact coordinates get wrong by up to 0.13 (docs/liif.md §9, trap 1).
    """
    return (-1 + 1 / n) + (2 / n) * torch.arange(n, dtype=torch.float32)


def nearest(coord: Tensor, n: int, shift: int) -> Tensor:
    """Index of the feature that lies nearest to a coordinate, after half a feature pixel's shift.

    Args:
        coord: coordinates of any shape along one axis.
        n: features along that axis.
        shift: -1 or +1 for a neighbour of the ensemble, 0 without ensemble.

    Returns:
        int64, same shape, in 0..n-1.
    """
    moved = coord + (shift / n + EPSILON) if shift else coord
    moved = moved.clamp(-1 + EPSILON, 1 - EPSILON)
    return (((moved + 1) * n - 1) / 2).round().long().clamp(0, n - 1)


def shifts(local_ensemble: bool) -> tuple[int, ...]:
    """Shifts of the neighbours along one axis, in the published order."""
    return (-1, 1) if local_ensemble else (0,)


@dataclass(frozen=True)
class Questions:
    """What some queries ask, each question once.

    Attributes:
        feature: (M,) index of the feature asked.
        offset: (M,) relative coordinate of the query, in half feature pixels.
        slots: (m, S) which question answers each neighbour of each query.
    """

    feature: Tensor
    offset: Tensor
    slots: Tensor


@dataclass(frozen=True)
class Axis:
    """The neighbours of m queries along one axis: two each (S = 2) with ensemble, one without.

    Attributes:
        index: (m, S) feature that is the neighbour; its first column never falls.
        offset: (m, S) relative coordinate of the query to the neighbour, in half feature pixels.
    """

    index: Tensor
    offset: Tensor

    @classmethod
    def of(cls, m: int, n: int, local_ensemble: bool) -> Axis:
        """An axis of m output pixels over n features; made on the CPU, so its numbers are the same for every device."""
        query = centres(m)
        # A feature pixel is 2 / n wide, so a difference times n is in halves of it.
        index = torch.stack([nearest(query, n, shift) for shift in shifts(local_ensemble)], dim=1)
        return cls(index, (query[:, None] - centres(n)[index]) * n)

    def part(self, start: int, stop: int) -> Axis:
        """The queries start..stop-1 alone."""
        return Axis(self.index[start:stop], self.offset[start:stop])

    def queries_from(self, start: int, stop: int) -> tuple[int, int]:
        """Range of the queries whose first neighbour is one of the features start..stop-1."""
        # It never falls, so a range of features is a range of queries.
        first = self.index[:, 0]
        return int((first < start).sum()), int((first < stop).sum())

    @property
    def degenerate(self) -> bool:
        """Whether a query lies on all its neighbours: then rounding, not distance, weights the other axis."""
        return bool((self.offset.abs().sum(dim=1) < 0.01).any())

    def questions(self, skip_idle: bool) -> Questions:
        """The different questions among the neighbours, query by query.

        Two neighbours share a question if they are the same feature, which happens at the border. With `skip_idle`, a
        neighbour of weight 0 is not asked either, and gets the other one's answer. Its weight is 0 if the query lies on
        the centre of the other one, as one query in s does at an odd scale s.
        """
        asked = torch.ones_like(self.index, dtype=torch.bool)
        if self.index.shape[1] == 2:
            apart = self.index[:, 0] != self.index[:, 1]
            # A neighbour is weighted by the distance of the other one.
            idle = (self.offset.abs().flip(1) < NEGLIGIBLE_OFFSET) & apart[:, None] & skip_idle
            asked = torch.stack((~idle[:, 0], apart & ~idle[:, 1]), dim=1)
        # Number the questions in order. One that is not asked gets the number before it: in the second column that of
        # its own first neighbour; in the first column it is replaced by the second's.
        slots = asked.flatten().cumsum(0).view_as(self.index) - 1
        slots[:, 0] = torch.where(asked[:, 0], slots[:, 0], slots[:, -1])
        return Questions(self.index[asked], self.offset[asked], slots)
