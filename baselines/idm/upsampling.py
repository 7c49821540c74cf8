"""IDM's implicit upsampling: modulation by the scale, then a query of a linear implicit function (docs/idm.md §4).

Between the two layers of the implicit function there is no activation. So the block is an affine map of a feature and
of the offset to it: W2 (W1 [q, offset, cell] + b1) + b2 = (W2 Wq) q + W2 Wo offset + … . The product with the features
is taken at the low resolution, once per pixel there, and the rest, which does not depend on t, once per image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.idm.layers import Style
from baselines.liif.grid import Axis
from casarbi.scales import Size


@dataclass(frozen=True)
class Upsampling:
    """What one block does to the features of one size, all of it independent of t.

    Attributes:
        alpha: (C, 1, 1), weight of the features.
        shift: (B, C, h, w), what the condition and the bias add to them.
        kernel: (C, C, 1, 1), the implicit function's linear map of a feature.
        bias: (C,) its constant.
        rows: (H,) row of the feature that each output row asks.
        columns: (W,) likewise.
        of_rows: (C, H, 1), what the vertical offset adds.
        of_columns: (C, 1, W), what the horizontal offset adds.
        odd_cells: corrections of single pixels: (y, x) and the (C,) to add.
    """

    alpha: Tensor
    shift: Tensor
    kernel: Tensor
    bias: Tensor
    rows: Tensor
    columns: Tensor
    of_rows: Tensor
    of_columns: Tensor
    odd_cells: tuple[tuple[Size, Tensor], ...]

    def apply(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C, H, W)."""
        # Modulation and activation, whose factor sqrt(2) is in the kernel.
        x = F.leaky_relu(torch.addcmul(self.shift, x, self.alpha), 0.2)
        # The implicit function at the low resolution, then the nearest value for each pixel, plus what its offset adds.
        x = F.conv2d(x, self.kernel, self.bias)
        x = x.index_select(2, self.rows) + self.of_rows
        x = x.index_select(3, self.columns) + self.of_columns
        for (row, column), value in self.odd_cells:
            x[:, :, row, column] += value
        return x


class ImplicitUpsampling(nn.Module):
    """Modulates features by scale and condition, and asks them at every pixel of the next larger level.

    Args:
        channels: of features, in and out.
        hidden: width between the two linear layers.
        cell_decode: the function is told the size of a pixel, as in the published DF2K checkpoint.
        unused: carry the parameters that are stored and never used.
    """

    def __init__(self, channels: int, hidden: int, cell_decode: bool, unused: bool) -> None:
        super().__init__()
        self.channels, self.cell_decode = channels, cell_decode
        self.style = Style(channels, unused)
        inputs = channels + (4 if cell_decode else 2)
        self.imnet = nn.Sequential(nn.Linear(inputs, hidden), nn.Linear(hidden, channels))

    def prepare(self, a: Tensor, b: Tensor, shift: Tensor, size: Size) -> Upsampling:
        """Prepare an upsampling; differentiable.

        Args:
            a: (C,) raw weight of the features at this scale.
            b: (C,) raw weight of the condition.
            shift: (B, C, h, w) of the condition pyramid.
            size: (H, W) of the next skip connection, so odd sizes work.
        """
        alpha, beta = normalised_pair(a, b)
        # The two linear layers as one, with the sqrt(2) of the activation before them.
        first, second = (layer for layer in self.imnet if isinstance(layer, nn.Linear))
        both = second.weight @ first.weight  # (C, C + 2 or 4)
        kernel = both[:, : self.channels, None, None] * math.sqrt(2)
        bias = second.weight @ first.bias + second.bias
        source = (shift.shape[-2], shift.shape[-1])
        odd_cells: tuple[tuple[Size, Tensor], ...] = ()
        # Every pixel is told the same cell, so it is part of the bias, except for the first two pixels.
        if self.cell_decode:
            per_cell = both[:, self.channels + 2 :]
            bias = bias + per_cell @ per_cell.new_tensor(source)
            odd_cells = _odd_cells(per_cell, source, size)
        # LIIF's grid without its local ensemble: one feature per pixel, so its weight by areas is 1.
        y_axis, x_axis = (Axis.of(m, n, local_ensemble=False) for m, n in zip(size, source, strict=True))
        of_y, of_x = both[:, self.channels], both[:, self.channels + 1]
        return Upsampling(
            alpha=alpha[:, None, None],
            shift=beta[:, None, None] * shift + self.style.activate.bias[:, None, None],
            kernel=kernel,
            bias=bias,
            rows=y_axis.index[:, 0].to(shift.device),
            columns=x_axis.index[:, 0].to(shift.device),
            of_rows=torch.outer(of_y, y_axis.offset[:, 0].to(of_y))[:, :, None],
            of_columns=torch.outer(of_x, x_axis.offset[:, 0].to(of_x))[:, None, :],
            odd_cells=odd_cells,
        )

    def forward(self, x: Tensor, upsampling: Upsampling) -> Tensor:
        """Map (B, C, h, w) to (B, C, H, W)."""
        return upsampling.apply(x)


def normalised_pair(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Bring the raw weights of features and condition to a² + b² = 1, channel by channel."""
    n = (a.square() + b.square() + 1e-8).rsqrt()
    return a * n, b * n


def _odd_cells(per_cell: Tensor, source: Size, size: Size) -> tuple[tuple[Size, Tensor], ...]:
    """Corrections for the first two pixels, which the published code tells another cell.

    It multiplies the first two queries with 2/H and 2/W instead of the two components of all queries. So every pixel is
    told a cell of (1, 1), except the first, (2/H, 2/H), and the second, (2/W, 2/W); all are multiplied by the source
    size. Published weights were trained with this, so it is kept.
    """
    height, width = size
    extra = per_cell @ per_cell.new_tensor(source)
    count = min(2, height * width)
    return tuple(
        (divmod(query, width), (2 / side - 1) * extra) for query, side in zip(range(count), size, strict=False)
    )
