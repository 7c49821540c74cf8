"""Contact sheets: labelled images side by side, pixel for pixel, for a report, the README or a training."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from casarbi.plain import visible

GAP, STRIP = 8, 22
"""Pixels between tiles, and under each for its label."""
INK = "#1b1f24"

Tile = tuple[str, np.ndarray]
"""(label, uint8 (H, W, 3))."""


def draw_sheet(tiles: Sequence[Tile], columns: int) -> Image.Image:
    """Lay labelled images out in rows.

    Args:
        tiles: smaller images are centred in their tile, never resampled.
        columns: images per row.

    Raises:
        ValueError: without images or columns, or if an array is not uint8 (H, W, 3).
    """
    if not tiles or columns < 1:
        raise ValueError(f"A contact sheet of {len(tiles)} images in {columns} columns is empty.")
    for label, array in tiles:
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
            raise ValueError(f"'{label}' is {array.dtype} {array.shape}, expected uint8 (H, W, 3).")
    columns = min(columns, len(tiles))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    # One width for all columns; each row is as high as its highest image.
    width = max(array.shape[1] for _, array in tiles)
    heights = [max(array.shape[0] for _, array in row) for row in rows]
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, sum(heights) + len(rows) * (STRIP + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(font_file(), 12)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for place, (label, array) in enumerate(row):
            left = GAP + place * (width + GAP)
            sheet.paste(
                Image.fromarray(array), (left + (width - array.shape[1]) // 2, top + (height - array.shape[0]) // 2)
            )
            text = fitted(visible(label), font, width)
            draw.text((left + width / 2, top + height + STRIP / 2 + 1), text, INK, font, anchor="mm")
        top += height + STRIP + GAP
    return sheet


def contact_sheet(tiles: Sequence[Tile], columns: int) -> bytes:
    """PNG bytes of `draw_sheet`; equal tiles give equal bytes."""
    stream = io.BytesIO()
    draw_sheet(tiles, columns).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def nearest(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge (H, W, C) to size (height, width) by repeating pixels: how an LR image is shown, never scored."""
    rows = np.arange(size[0]) * image.shape[0] // size[0]
    columns = np.arange(size[1]) * image.shape[1] // size[1]
    return image[rows[:, None], columns]


@cache
def font_file() -> str:
    """A font that ships with Matplotlib, so that a sheet is the same everywhere; Pillow's own lacks the times sign."""
    import matplotlib  # which takes a while, and most who import this module draw nothing

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


def fitted(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """A text cut to a width in pixels."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text}…"
