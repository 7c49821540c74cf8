"""Large images by overlapping tiles: every evaluation of the denoiser is cut up, so its memory is bounded.

The chain itself is not cut: noise is drawn, x_t kept and guidance applied for the whole stage, and at every step the
tiles' predictions are blended. Tiles thus agree at each step before they can drift apart, which leaves no seams. They
begin where a value of the network's coarsest level begins, so that a tile sees the same grid as the whole would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.method.network import Denoiser
from casarbi.method.residuals import StageInputs
from casarbi.pictures.resize import keys_cubic
from casarbi.scales import Size
from casarbi.settings import Option
from casarbi.tiles import Span, blend, cut_up


@dataclass(frozen=True)
class TileConfig:
    """When and how an image is cut. The tile bounds the memory: about 0.5 GB at 512 with 24 channels."""

    tile: Annotated[int, Option("side of tiles in pixels; an output of more than tile² pixels is cut")] = 512
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
        network: the denoiser.
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
