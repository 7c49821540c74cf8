"""Latents larger than those of training, by overlapping tiles (ours: official code knows one square size alone).

Every network sees tiles of the side that it was trained on. The chain itself is not cut: noise is drawn and the latent
kept for the whole picture, and the tiles' predictions are blended at every step, so that tiles agree before they can
drift apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from casarbi.scales import Size
from casarbi.tiling import Span, blend_weights, spans


@dataclass(frozen=True)
class Tile:
    """One tile of a latent.

    Attributes:
        y: its rows.
        x: its columns.
        weight: (rows, columns) of its values where tiles are blended; those of all tiles add up to 1.
    """

    y: Span
    x: Span
    weight: Tensor

    def cut(self, values: Tensor, cells: int = 1) -> Tensor:
        """The tile of (..., h, w) values, each of which covers `cells` latent cells along an axis."""
        (top, bottom), (left, right) = self.y, self.x
        return values[..., top // cells : bottom // cells, left // cells : right // cells]


def cut_up(size: Size, side: int, overlap: int, multiple: int = 1) -> list[Tile]:
    """Tiles of a latent of some size.

    Args:
        size: (h, w) in cells, multiples of `multiple`.
        side: of a tile, such a multiple too; a smaller latent is one tile.
        overlap: cells that neighbours share at least.
        multiple: tiles begin at, and their sides are, multiples of this.
    """
    ys, xs = (spans(length, side, overlap, multiple) for length in size)
    y_weights, x_weights = (blend_weights(pieces, overlap) for pieces in (ys, xs))
    return [
        Tile(y, x, y_weight[:, None] * x_weight)
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
        if whole is None:
            whole = made.new_zeros(*made.shape[:-2], *size)
        whole[..., slice(*tile.y), slice(*tile.x)] += made * tile.weight.to(made.device)
    assert whole is not None
    return whole


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of (B, C, h, w) until both sides are multiples."""
    below, right = (math.ceil(length / multiple) * multiple - length for length in image.shape[-2:])
    return torch.nn.functional.pad(image, (0, right, 0, below), mode="replicate") if below or right else image
