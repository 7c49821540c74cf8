"""Contact sheets: validation pictures side by side, with a title over each column."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import interpolate

from casarbi.pictures.pixels import to_uint8
from casarbi.training.task import Sheet

GAP = 4
TITLE_HEIGHT = 18
LEAST_SIDE = 96


def draw_sheet(sheet: Sheet) -> Tensor:
    """Draw a sheet as uint8 (3, H, W) on white.

    Pictures of a row get the size of its largest one by repeating pixels where the factor is whole, so that what is
    seen is what was made; others keep their size.
    """
    rows = [[_enlarge(picture, _row_side(row)) for picture in row] for row in sheet.rows]
    count = max((len(row) for row in rows), default=0)
    widths = [max(row[i].shape[-1] for row in rows if i < len(row)) for i in range(count)]
    heights = [max(picture.shape[-2] for picture in row) for row in rows]
    canvas = torch.full((3, TITLE_HEIGHT + sum(heights) + GAP * len(rows), sum(widths) + GAP * (count - 1)), 255)
    canvas = canvas.to(torch.uint8)
    top = TITLE_HEIGHT
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for picture, width in zip(row, widths, strict=False):
            canvas[:, top : top + picture.shape[-2], left : left + picture.shape[-1]] = picture
            left += width + GAP
        top += height + GAP
    return _add_titles(canvas, sheet.columns, widths)


def _row_side(row: tuple[Tensor, ...]) -> int:
    return max(LEAST_SIDE, *(max(picture.shape[-2:]) for picture in row))


def _enlarge(picture: Tensor, side: int) -> Tensor:
    factor = side // max(picture.shape[-2:])
    whole = to_uint8(picture).cpu()[None]
    return interpolate(whole, scale_factor=factor, mode="nearest")[0] if factor > 1 else whole[0]


def _add_titles(canvas: Tensor, titles: tuple[str, ...], widths: list[int]) -> Tensor:
    image = Image.fromarray(np.ascontiguousarray(canvas.permute(1, 2, 0).numpy()))
    draw, left = ImageDraw.Draw(image), 0
    for title, width in zip(titles, widths, strict=False):
        draw.text((left + 2, 3), title, fill="black")
        left += width + GAP
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
