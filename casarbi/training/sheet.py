"""The contact sheet of a validation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from casarbi.pictures import sheet as contact
from casarbi.pictures.pixels import to_uint8
from casarbi.training.task import Sheet

LEAST_SIDE = 96
"""Small images are shown at this side at least, as far as a whole factor goes."""


def draw_sheet(sheet: Sheet) -> Tensor:
    """Draw a sheet as uint8 (3, H, W).

    Images of a row are enlarged towards its largest one by repeating pixels, by whole factors, so that what is seen is
    what was made.
    """
    tiles = []
    for row in sheet.rows:
        # Half a factor would make pixels of two widths, which look like a pattern of the method's.
        side = max(LEAST_SIDE, *(max(image.shape[-2:]) for image in row))
        tiles += [(title, _enlarged(image, side)) for title, image in zip(sheet.columns, row, strict=False)]
    return torch.from_numpy(np.array(contact.draw_sheet(tiles, len(sheet.columns)))).permute(2, 0, 1)


def _enlarged(image: Tensor, side: int) -> np.ndarray:
    height, width = image.shape[-2:]
    factor = max(1, side // max(height, width))
    pixels = to_uint8(image).cpu().permute(1, 2, 0).numpy()
    return contact.nearest(pixels, (factor * height, factor * width))
