"""Large images by overlapping tiles: every evaluation of the denoiser is cut up, so its memory is bounded.

The chain itself is not cut: noise is drawn, x_t kept and guidance applied for the whole stage, and at every step the
tiles' predictions are blended. Tiles thus agree at each step before they can drift apart, which leaves no seams. They
begin where a value of the network's coarsest level begins, so that a tile sees the same grid as the whole would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from casarbi.costs import StageCost
from casarbi.errors import CasarbiError
from casarbi.method.network import Denoiser, StageFeatures
from casarbi.method.residuals import StageInputs
from casarbi.pictures.resize import keys_cubic
from casarbi.scales import Size
from casarbi.settings import Option
from casarbi.tiles import Span, Tile, blend, cut_up

KEPT_TILES = 12
"""Tiles whose features are kept from step to step: all tiles of a photograph of 2 megapixels.

Kept for all tiles of a large picture, they would take more memory than its images, so those of the others are made
again at every step.
"""
KEPT_BYTES = 8
"""Memory of kept features per pixel of a tile and channel of the network: two maps of float32."""


@dataclass(frozen=True)
class TileConfig:
    """When and how an image is cut. The tile bounds the memory: about 0.5 GB at 512 with 24 channels."""

    tile: Annotated[int, Option("longest side of tiles; an output of more than tile² pixels is cut")] = 512
    overlap: Annotated[int, Option("pixels that neighbouring tiles share at least; blended over")] = 64

    def __post_init__(self) -> None:
        """Refuse tiles that would not advance."""
        if self.tile < 32 or not 0 <= self.overlap <= self.tile // 2:
            raise CasarbiError(
                f"tile={self.tile} must be at least 32 pixels, and overlap={self.overlap} from 0 to half of it."
            )

    def needed(self, size: Size) -> bool:
        """Whether an output of this size is cut."""
        return size[0] * size[1] > self.tile**2

    def tiles(self, size: Size, multiple: int) -> list[Tile]:
        """The tiles of an output that is cut, no larger than their number needs: the network takes any size."""
        return cut_up(size, self.tile, self.overlap, multiple, tight=True)


def resize_rows(n: int, length: int, window: Span) -> tuple[Span, Tensor]:
    """Rows `window` of the matrix by which `casarbi.pictures.resize` takes an axis of n pixels to `length`.

    `resize` only makes whole images. Kernel and border rule are Pillow's: Keys' cubic, cut off at the border and
    normalised.

    Returns:
        The input pixels that count, as a span, and the weights (window, span).
    """
    stretch = max(1.0, n / length)  # the kernel widens if the axis shrinks
    # Centres of the output pixels, in input pixels. The kernel reaches two pixels to each side, times its stretch.
    centres = (torch.arange(*window, dtype=torch.float64) + 0.5) * n / length
    low = max(0, int(centres[0] - 2 * stretch))
    high = min(n, int(centres[-1] + 2 * stretch) + 1)
    pixels = torch.arange(low, high, dtype=torch.float64) + 0.5
    weights = keys_cubic((pixels - centres[:, None]) / stretch)
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
        # At the stage's size a tile is a plain cut; only the smaller u_{i-1} needs a margin and weights of its own.
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
        return self.rows @ features @ self.columns.T


def _crop_axis(n: int, length: int, window: Span, reach: int) -> tuple[Span, Tensor]:
    """Input pixels along one axis, the encoder's margin included, and weights over them: 0 in the margin."""
    (low, high), weights = resize_rows(n, length, window)
    start, stop = max(0, low - reach), min(n, high + reach)
    return (start, stop), torch.nn.functional.pad(weights, (low - start, stop - high))


class TiledStage:
    """Evaluates the denoiser on a stage tile by tile; the features of the first tiles are kept from step to step."""

    def __init__(self, network: Denoiser, inputs: StageInputs, config: TileConfig) -> None:
        """Cut the stage up.

        Args:
            network: the denoiser.
            inputs: of the whole stage.
            config: how it is cut.
        """
        self.network, self.inputs = network, inputs
        self.size = (inputs.up.shape[-2], inputs.up.shape[-1])
        self.tiles = config.tiles(self.size, network.config.multiple)
        self._kept: dict[int, StageFeatures] = {}

    def predict(self, x_t: Tensor, t: Tensor, report: Callable[[float], None] = lambda share: None) -> Tensor:
        """Predict x̂_0 (B, 3, H, W), blended from the tiles' predictions.

        Args:
            x_t: (B, 3, H, W), scaled for the network.
            t: (B,).
            report: told the share of the tiles that has just been done, after each.
        """

        def make(i: int) -> Tensor:
            made = self.network(self.tiles[i].cut(x_t), t, self._features(i))
            report(1 / len(self.tiles))
            return made

        return blend(self.tiles, self.size, make)

    def _features(self, i: int) -> StageFeatures:
        if i in self._kept:
            return self._kept[i]
        crop = Crop.of(self.inputs, self.tiles[i].y, self.tiles[i].x, self.network.lr_encoder.reach)
        features = self.network.encode(crop.inputs, crop.upsample)
        if i < KEPT_TILES:
            self._kept[i] = features
        return features


def tiled_flops(cost: StageCost, steps: int, tiles: Sequence[Tile], size: Size) -> int:
    """Operations of a stage that is cut into tiles: more than `cost`, that of the whole.

    What tiles share is done by each of them, and features that are not kept are made in every step.
    """
    kept = sum(tile.cells for tile in tiles[:KEPT_TILES])
    cells = sum(tile.cells for tile in tiles)
    return (cost.once * (kept + (cells - kept) * steps) + cost.step * steps * cells) // (size[0] * size[1])
