"""The LIIF network: an encoder, and the decoder that answers queries (docs/liif.md §3).

Parameters carry the published names, so that official checkpoints load as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.liif.encoders import RDN, EDSRBaseline, FeatureMap
from baselines.liif.grid import Axis, Questions, centres, nearest, shifts
from casarbi.errors import CasarbiError
from casarbi.scales import Size
from casarbi.tiles import even_spans, rectangles

# Keeps the sum of the areas positive where a query lies on a centre (docs/liif.md §3).
AREA_EPSILON = 1e-9
CPU_CHUNK = 4096
"""Predictions at once on a CPU: few enough to stay in its cache, which saves a quarter of the time."""
GPU_CHUNK = 2**18
ONEDNN_BATCH = 16
"""With so many images torch gives a 1x1 convolution of one thread to oneDNN."""


class ManyRows(nn.Linear):
    """A linear layer of many rows, on a CPU computed as a convolution.

    There torch multiplies matrices by MKL, which leaves the AVX-512 of AMD's processors unused; a convolution of enough
    images goes to oneDNN, which does not, and is more than twice as fast on them, and as fast on others.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (…, inputs) to (…, outputs)."""
        flat = rows.flatten(0, -2)
        even = len(flat) // ONEDNN_BATCH * ONEDNN_BATCH
        if rows.device.type != "cpu" or not even:
            return super().forward(rows)
        # The rows as they are in memory, read as images (16, inputs, n, 1) with channels last.
        images = flat[:even].unflatten(0, (ONEDNN_BATCH, -1, 1)).permute(0, 3, 1, 2)
        outputs = F.conv2d(images, self.weight[..., None, None], self.bias).permute(0, 2, 3, 1).flatten(0, 2)
        if even < len(flat):
            outputs = torch.cat((outputs, super().forward(flat[even:])))
        return outputs.unflatten(0, rows.shape[:-1])


class MLP(nn.Module):
    """Linear layers with a relu between them; nothing after the last."""

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [ManyRows(inputs, width), nn.ReLU(inplace=True)]
            inputs = width
        self.layers = nn.Sequential(*layers, ManyRows(inputs, outputs))


class LIIFNetwork(nn.Module):
    """Encoder and decoder of LIIF. Images and outputs are in [-1, 1] here.

    The decoder's first layer is linear in the features, so their part of it is computed once for a feature map, as a
    convolution (`fold`), and a query only adds the part of its coordinates: the published result, at about half the
    multiplications.
    """

    def __init__(
        self,
        encoder: EDSRBaseline | RDN | FeatureMap,
        hidden: Sequence[int] = (256, 256, 256, 256),
        *,
        local_ensemble: bool = True,
        feat_unfold: bool = True,
        cell_decode: bool = True,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.local_ensemble, self.cell_decode = local_ensemble, cell_decode
        self.kernel = 3 if feat_unfold else 1
        self.feature_inputs = encoder.channels * self.kernel**2
        self.imnet = MLP(self.feature_inputs + (4 if cell_decode else 2), hidden, 3)

    @property
    def first_layer(self) -> nn.Linear:
        """The decoder's first layer, whose inputs are the features, then (r_y, r_x), then (s_y, s_x)."""
        return cast(nn.Linear, self.imnet.layers[0])

    def fold(self, features: Tensor) -> Tensor:
        """First layer's sum over the features, bias included: (B, C, h, w) to (B, h, w, D)."""
        first = self.first_layer
        # The order of `unfold` (channel, row, column) is that of a convolution's kernel.
        kernel = first.weight[:, : self.feature_inputs].unflatten(1, (-1, self.kernel, self.kernel))
        return F.conv2d(features, kernel, first.bias, padding=self.kernel // 2).permute(0, 2, 3, 1).contiguous()

    def decode(self, first: Tensor) -> Tensor:
        """Predictions (..., 3) from the whole sums (..., D) of the first layer, which are overwritten."""
        return self.imnet.layers[1:](first)

    def query(self, features: Tensor, coord: Tensor, cell: Tensor) -> Tensor:
        """Answer scattered queries; differentiable.

        Args:
            features: (B, C, h, w) from the encoder.
            coord: (B, Q, 2), (y, x) in [-1, 1].
            cell: (B, Q, 2), height and width of each query's pixel in the same units.

        Returns:
            (B, Q, 3).
        """
        folded, (height, width) = self.fold(features), features.shape[-2:]
        sides = coord.new_tensor((height, width))
        batch = torch.arange(len(coord), device=coord.device)[:, None]
        predictions, areas = [], []
        # Each query asks its nearest features, four of them with ensemble.
        for shift_y, shift_x in product(shifts(self.local_ensemble), repeat=2):
            iy, ix = nearest(coord[..., 0], height, shift_y), nearest(coord[..., 1], width, shift_x)
            found = torch.stack((centres(height).to(iy.device)[iy], centres(width).to(ix.device)[ix]), dim=-1)
            offset = (coord - found) * sides
            inputs = torch.cat((offset, cell * sides), dim=-1) if self.cell_decode else offset
            first = folded[batch, iy, ix] + F.linear(inputs, self.first_layer.weight[:, self.feature_inputs :])
            predictions.append(self.decode(first))
            areas.append(offset.prod(dim=-1).abs() + AREA_EPSILON)
        # Each answer is weighted by the area of the diagonally opposite neighbour.
        total = torch.stack(areas).sum(dim=0)
        weighted = [f * (a / total)[..., None] for f, a in zip(predictions, reversed(areas), strict=True)]
        return torch.stack(weighted).sum(dim=0)

    def render(
        self,
        image: Tensor,
        sizes: Sequence[Size],
        chunk: int,
        region: int | None = None,
        report: Callable[[float], None] | None = None,
    ) -> list[Tensor]:
        """Enlarge one image to whole grids of any sizes, encoding it once.

        A picture larger than `region` is encoded in pieces whose margins are the encoder's reach, so that its memory
        is bounded and no seam can appear: the result differs by rounding alone.

        Args:
            image: (3, h, w) in [-1, 1].
            sizes: (H, W) of each output.
            chunk: predictions made at once, which bounds the decoder's memory.
            region: side of the pieces in pixels; by default the encoder's.
            report: told the share of an output that has just been painted, chunk by chunk.

        Returns:
            A (3, H, W) for each size.
        """
        height, width = image.shape[-2:]
        region = region or self.encoder.region
        plans = [
            tuple(Axis.of(m, n, self.local_ensemble) for m, n in zip(size, (height, width), strict=True))
            for size in sizes
        ]
        outputs = [image.new_empty(3, *size) for size in sizes]
        for rows, columns in product(even_spans(height, region), even_spans(width, region)):
            # Two more features on the far side, for the second neighbours of the last queries: these are one further
            # on, or two if rounding decides so on long axes.
            top, left = rows[0], columns[0]
            bottom, right = min(rows[1] + 2, height), min(columns[1] + 2, width)
            folded = self._fold_window(image, (top, bottom), (left, right))
            # Every output paints the pixels whose first neighbours lie in this piece.
            for output, size, (y_axis, x_axis) in zip(outputs, sizes, plans, strict=True):
                y0, y1 = y_axis.queries_from(*rows)
                x0, x1 = x_axis.queries_from(*columns)
                if y1 > y0 and x1 > x0:
                    grid = Grid(self, folded, (top, left), (height, width), size)
                    part = output[:, y0:y1, x0:x1]
                    for pixels in grid.paint(part, y_axis.part(y0, y1), x_axis.part(x0, x1), chunk):
                        if report:
                            report(pixels / (size[0] * size[1]))
        return outputs

    def _fold_window(self, image: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Folded features (h', w', D) of a window of the image."""
        # With a margin as wide as the encoder's reach, zero padding acts at the image's border only.
        margin = self.encoder.reach + self.kernel // 2
        top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
        piece = image[None, :, top : rows[1] + margin, left : columns[1] + margin]
        folded = self.fold(self.encoder(piece))[0]
        return folded[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left].contiguous()


class Grid:
    """Paints a rectangle of one output grid from folded features, tile by tile."""

    def __init__(self, network: LIIFNetwork, folded: Tensor, corner: Size, features: Size, size: Size) -> None:
        self.network, self.folded, self.corner = network, folded, corner
        weight = network.first_layer.weight[:, network.feature_inputs :]
        self.weight_y, self.weight_x = weight[:, 0], weight[:, 1]
        # The cell is the same for all pixels of a grid, so its part of the first layer is one vector (D,).
        cell = weight.new_tensor([2 / m for m in size]) * weight.new_tensor(features)
        self.cell = weight[:, 2:] @ cell if network.cell_decode else torch.zeros_like(self.weight_y)

    def paint(self, output: Tensor, y_axis: Axis, x_axis: Axis, chunk: int) -> Iterator[int]:
        """Fill `output` (3, H, W) with the queries of two axes; yields the number of pixels after each chunk."""
        height, width = output.shape[-2:]
        # Each pixel takes up to four predictions, one per neighbour.
        pixels = max(1, chunk // (y_axis.index.shape[1] * x_axis.index.shape[1]))
        for (y0, y1), (x0, x1) in rectangles((height, width), pixels):
            output[:, y0:y1, x0:x1] = self._tile(y_axis.part(y0, y1), x_axis.part(x0, x1)).permute(2, 0, 1)
            yield (y1 - y0) * (x1 - x0)

    def _tile(self, y_axis: Axis, x_axis: Axis) -> Tensor:
        """Colours (H, W, 3) of a tile."""
        # If a query lies on both its neighbours, rounding decides the weights and every answer counts (docs/liif.md
        # §9).
        rows, columns = y_axis.questions(not x_axis.degenerate), x_axis.questions(not y_axis.degenerate)
        answers = self._answers(rows, columns)
        areas = y_axis.offset.abs()[:, None, :, None] * x_axis.offset.abs()[None, :, None, :] + AREA_EPSILON
        # Each neighbour is weighted by the area of the diagonally opposite one.
        weights = (areas.flip(-1, -2) / areas.sum(dim=(-1, -2), keepdim=True)).to(answers.device)
        y_slots, x_slots = rows.slots.to(answers.device), columns.slots.to(answers.device)
        return torch.stack(
            [
                answers[y_slots[:, i, None], x_slots[None, :, j]] * weights[..., i, j, None]
                for i, j in product(range(weights.shape[-2]), range(weights.shape[-1]))
            ]
        ).sum(dim=0)

    def _answers(self, rows: Questions, columns: Questions) -> Tensor:
        """Predictions (M_y, M_x, 3) for every pair of a row's and a column's question."""
        # Gather the folded features, then add what the offsets of rows and columns add.
        where = (rows.feature - self.corner[0])[:, None] * self.folded.shape[1] + (columns.feature - self.corner[1])
        y_offset, x_offset, chosen = (t.to(self.folded.device) for t in (rows.offset, columns.offset, where.flatten()))
        first = self.folded.flatten(0, 1).index_select(0, chosen).view(*where.shape, -1)
        first += x_offset[:, None] * self.weight_x + self.cell
        first += (y_offset[:, None] * self.weight_y)[:, None]
        return self.network.decode(first.flatten(0, 1)).view(*where.shape, 3)


def default_chunk(device: torch.device) -> int:
    """Predictions that a decoder makes at once on a device."""
    return CPU_CHUNK if device.type == "cpu" else GPU_CHUNK


def check_chunk(chunk: int | None) -> None:
    """Raise CasarbiError if not even one pixel fits a chunk."""
    if chunk is not None and chunk < 4:
        raise CasarbiError(f"Option chunk={chunk} must be at least 4, the predictions that one pixel takes.")
