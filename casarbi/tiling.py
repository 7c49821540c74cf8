"""Large images by overlapping tiles: every evaluation of the denoiser is cut up, so its memory is bounded.

The chain itself is not cut: noise is drawn, x_t kept and guidance applied for the whole stage, and at every step the
tiles' predictions are blended. Tiles thus agree at each step before they can drift apart, which leaves no seams. They
begin where a value of the network's coarsest level begins, so that a tile sees the same grid as the whole would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.network import Denoiser
from casarbi.residuals import StageInputs
from casarbi.scales import Size

Span = tuple[int, int]
"""First pixel, and the one after the last."""


@dataclass(frozen=True)
class TileConfig:
    """When and how an image is cut.

    Attributes:
        tile: side in pixels; an output of more than tile² pixels is cut. Bounds the memory (about 0.5 GB at 512 with 24
            channels).
        overlap: pixels that neighbours share at least; blended over.
    """

    tile: int = 512
    overlap: int = 64

    def __post_init__(self) -> None:
        """Refuse tiles that would not advance."""
        if self.tile < 32 or not 0 <= self.overlap <= self.tile // 2:
            raise CasarbiError(
                f"tile={self.tile} must be at least 32 pixels, and overlap={self.overlap} from 0 to half of it."
            )

    def needed(self, size: Size) -> bool:
        """Whether an output of this size is cut."""
        return size[0] * size[1] > self.tile**2


def spans(length: int, tile: int, overlap: int, multiple: int = 1) -> list[Span]:
    """Cut an axis into spans of about `tile`, evenly spread, that begin at multiples of `multiple`.

    Neighbours share at least `overlap` pixels.

    Raises:
        CasarbiError: where tiles would not advance by `multiple`.
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
    # Moved back, two starts may meet where tiles are small.
    starts = sorted({i * (length - tile) // (count - 1) // multiple * multiple for i in range(count)})
    return [(start, start + tile) for start in starts[:-1]] + [(starts[-1], length)]


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
        y_weights: (rows,) of its values where tiles are blended.
        x_weights: (columns,) likewise.
    """

    y: Span
    x: Span
    y_weights: Tensor
    x_weights: Tensor

    @property
    def weight(self) -> Tensor:
        """(rows, columns), adding up to 1 over all tiles; made when asked for, as all take as much room as the map."""
        return self.y_weights[:, None] * self.x_weights

    def cut(self, values: Tensor, cells: int = 1) -> Tensor:
        """The tile of (..., h, w) values, each of which covers `cells` of its cells along an axis."""
        (top, bottom), (left, right) = self.y, self.x
        return values[..., top // cells : bottom // cells, left // cells : right // cells]


def cut_up(size: Size, side: int, overlap: int, multiple: int = 1) -> list[Tile]:
    """Tiles of a map of some size.

    Args:
        size: (h, w) in cells.
        side: of a tile; a smaller map is one tile.
        overlap: cells that neighbours share at least.
        multiple: tiles begin at multiples of this; where size and side are multiples too, so are the tiles' sides.
    """
    ys, xs = (spans(length, side, overlap, multiple) for length in size)
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
        if whole is None:
            whole = made.new_zeros(*made.shape[:-2], *size)
        whole[..., slice(*tile.y), slice(*tile.x)] += made * tile.weight.to(made.device)
    assert whole is not None
    return whole


def resize_rows(n: int, length: int, window: Span) -> tuple[Span, Tensor]:
    """Rows `window` of the matrix by which `casarbi.resize` takes an axis of n pixels to `length`.

    `resize` only makes whole images. Kernel and border rule are Pillow's: Keys' cubic, cut off at the border and
    normalised.

    Returns:
        The input pixels that count, as a span, and the weights (window, span).
    """
    stretch = max(1.0, n / length)
    centres = (torch.arange(*window, dtype=torch.float64) + 0.5) * n / length
    low = max(0, int(centres[0] - 2 * stretch))
    high = min(n, int(centres[-1] + 2 * stretch) + 1)
    x = ((torch.arange(low, high, dtype=torch.float64) + 0.5 - centres[:, None]) / stretch).abs()
    inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = torch.where(x <= 1, inner, torch.where(x <= 2, outer, torch.zeros_like(x)))
    return (low, high), (weights / weights.sum(dim=1, keepdim=True)).float()


@dataclass(frozen=True)
class Crop:
    """One tile's part of a stage.

    Attributes:
        inputs: cropped to the tile, with that part of u_{i-1} that its features depend on.
        rows: weights (tile height, rows of the crop of u_{i-1}) that upsample its features.
        columns: the same along the other axis.
    """

    inputs: StageInputs
    rows: Tensor
    columns: Tensor

    @classmethod
    def of(cls, inputs: StageInputs, y: Span, x: Span, reach: int) -> Crop:
        """Cut a tile out; `reach` is that of the LR encoder in pixels of u_{i-1}."""
        height, width = inputs.up.shape[-2:]
        (top, bottom), rows = _crop_axis(inputs.u_prev.shape[-2], height, y, reach)
        (left, right), columns = _crop_axis(inputs.u_prev.shape[-1], width, x, reach)
        window = (..., slice(*y), slice(*x))
        cropped = replace(
            inputs,
            u_prev=inputs.u_prev[..., top:bottom, left:right],
            up=inputs.up[window],
            base=inputs.base[window],
            coordinates=inputs.coordinates[window],
        )
        return cls(cropped, rows.to(inputs.up.device), columns.to(inputs.up.device))

    def upsample(self, features: Tensor) -> Tensor:
        """Feature maps of the crop of u_{i-1} to the tile: what a crop of the whole's upsampled features would be."""
        return (self.rows @ features.float() @ self.columns.T).to(features.dtype)


def _crop_axis(n: int, length: int, window: Span, reach: int) -> tuple[Span, Tensor]:
    """Input pixels along one axis with the encoder's margin, and weights over them; the margin has none."""
    (low, high), weights = resize_rows(n, length, window)
    start, stop = max(0, low - reach), min(n, high + reach)
    return (start, stop), torch.nn.functional.pad(weights, (low - start, stop - high))


def predict_tiled(
    network: Denoiser,
    inputs: StageInputs,
    x_t: Tensor,
    t: Tensor,
    config: TileConfig,
    report: Callable[[float], None] | None = None,
) -> Tensor:
    """Evaluate the denoiser tile by tile and blend.

    Args:
        network: the denoiser; with self-attention, tiles see less than the whole would.
        inputs: of the whole stage.
        x_t: (B, 3, H, W), scaled for the network.
        t: (B,).
        config: how it is cut.
        report: told the share of the tiles that has just been done, after each.

    Returns:
        x̂_0 (B, 3, H, W).
    """
    size = (x_t.shape[-2], x_t.shape[-1])
    tiles = cut_up(size, config.tile, config.overlap, network.config.multiple)

    def make(i: int) -> Tensor:
        crop = Crop.of(inputs, tiles[i].y, tiles[i].x, network.lr_encoder.reach)
        # Features are made again at every step: kept for all tiles, they would take more memory than the images.
        made = network(tiles[i].cut(x_t), t, network.encode(crop.inputs, crop.upsample))
        if report:
            report(1 / len(tiles))
        return made

    return blend(tiles, size, make)
