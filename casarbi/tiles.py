"""Tiles of a map of features or pixels: cut with an overlap and blended back without a seam, or cut without one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.scales import Size

Span = tuple[int, int]
"""First pixel, and the one after the last."""


def spans(length: int, tile: int, overlap: int, multiple: int = 1, *, tight: bool = False) -> list[Span]:
    """Cut an axis into spans of about `tile`, evenly spread, that begin at multiples of `multiple`.

    Neighbours share at least `overlap` pixels. With `tight` the spans are no longer than their number needs, which
    leaves out what they would share beyond that: 640 pixels are two spans of about 352, not of 512.

    Raises:
        CasarbiError: if tiles would not advance by `multiple`.
    """
    if length - tile < multiple:  # a second span would begin with the first
        return [(0, length)]
    if tile - overlap < multiple:
        raise CasarbiError(
            f"tile={tile} with overlap={overlap} advances by less than the {multiple} pixels that the network's "
            f"coarsest level needs: ask for larger tiles, or for less overlap."
        )
    shared = overlap + multiple - 1  # a start moves back to a multiple by up to multiple - 1
    count = math.ceil((length - shared) / (tile - shared))
    if tight:
        shortest = math.ceil((length + (count - 1) * shared) / count)
        tile = min(tile, math.ceil(shortest / multiple) * multiple)
    # Moved back, two starts may meet if tiles are small.
    starts = sorted({i * (length - tile) // (count - 1) // multiple * multiple for i in range(count)})
    return [(start, start + tile) for start in starts[:-1]] + [(starts[-1], length)]


def even_spans(length: int, limit: int) -> list[Span]:
    """Cut an axis into the fewest nearly equal spans of at most `limit`, without overlap.

    Example:
        >>> even_spans(10, 4)
        [(0, 3), (3, 6), (6, 10)]
    """
    count = -(-length // limit)
    edges = [length * i // count for i in range(count + 1)]
    return list(pairwise(edges))


def rectangles(size: Size, area: int) -> Iterator[tuple[Span, Span]]:
    """Cut a map into rectangles (rows, columns) of at most `area` cells, as square as they can be, without overlap."""
    height, width = size
    # Begin with a square; the side that the map cuts short leaves room for the other.
    tile_height = min(height, max(1, math.isqrt(area)))
    tile_width = min(width, max(1, area // tile_height))
    tile_height = min(height, max(1, area // tile_width))
    yield from product(even_spans(height, tile_height), even_spans(width, tile_width))


def blend_weights(pieces: list[Span], overlap: int) -> list[Tensor]:
    """Weights of each span's pixels along one axis; they add up to 1.

    Towards a neighbour they fall off smoothly in the middle half of the overlap. The outer quarter, where a tile misses
    what lies beyond its edge, has no weight.
    """
    length = pieces[-1][1]
    total, ramps = torch.zeros(length, dtype=torch.float64), []
    for start, stop in pieces:
        ramp = torch.ones(stop - start, dtype=torch.float64)
        place = (torch.arange(stop - start, dtype=torch.float64) + 0.5) / max(overlap, 0.5)
        # 0 in the outer quarter of the overlap, 1 from three quarters on.
        inwards = torch.sin((2 * place - 0.5).clamp(0, 1) * torch.pi / 2).square()
        if start > 0:
            ramp = torch.minimum(ramp, inwards)
        if stop < length:
            ramp = torch.minimum(ramp, inwards.flip(0))
        total[start:stop] += ramp
        ramps.append(ramp)
    return [(ramp / total[start:stop]).float() for ramp, (start, stop) in zip(ramps, pieces, strict=True)]


@dataclass(frozen=True)
class Tile:
    """One tile of a map of features or pixels.

    Attributes:
        y: its rows.
        x: its columns.
        y_weights: (rows,) of its values when tiles are blended.
        x_weights: (columns,) likewise.
    """

    y: Span
    x: Span
    y_weights: Tensor
    x_weights: Tensor

    @property
    def cells(self) -> int:
        """Its cells, those included that it shares with others."""
        return (self.y[1] - self.y[0]) * (self.x[1] - self.x[0])

    @property
    def weight(self) -> Tensor:
        """(rows, columns), adding up to 1 over all tiles; made when asked for, as all take as much room as the map."""
        return self.y_weights[:, None] * self.x_weights

    def cut(self, values: Tensor, cells: int = 1) -> Tensor:
        """The tile of (..., h, w) values, each of which covers `cells` of its cells along an axis."""
        (top, bottom), (left, right) = self.y, self.x
        return values[..., top // cells : bottom // cells, left // cells : right // cells]


def cut_up(size: Size, side: int, overlap: int, multiple: int = 1, *, tight: bool = False) -> list[Tile]:
    """Tiles of a map of some size.

    Args:
        size: (h, w) in cells.
        side: of a tile; a smaller map is one tile.
        overlap: cells that neighbours share at least.
        multiple: tiles begin at multiples of this; if size and side are multiples too, so are the tiles' sides.
        tight: tiles are smaller than `side` if as many of them reach.
    """
    ys, xs = (spans(length, side, overlap, multiple, tight=tight) for length in size)
    y_weights, x_weights = (blend_weights(pieces, overlap) for pieces in (ys, xs))
    return [
        Tile(y, x, y_weight, x_weight)
        for y, y_weight in zip(ys, y_weights, strict=True)
        for x, x_weight in zip(xs, x_weights, strict=True)
    ]


def blend(tiles: Sequence[Tile], size: Size, make: Callable[[int], Tensor]) -> Tensor:
    """Join what is made for each tile to a whole of (..., *size).

    Args:
        tiles: from `cut_up`.
        size: of the whole.
        make: gives the (..., rows, columns) of the tile of an index.
    """
    if len(tiles) == 1:
        return make(0)
    whole = None
    for i, tile in enumerate(tiles):
        made = make(i)
        # Only the first result tells channels, type and device.
        if whole is None:
            whole = made.new_zeros(*made.shape[:-2], *size)
        whole[..., slice(*tile.y), slice(*tile.x)] += made * tile.weight.to(made.device)
    assert whole is not None
    return whole
