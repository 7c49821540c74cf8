"""Plates: pictures in rows and columns for print, each pixel repeated a whole number of times and never resampled."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from casarbi.pictures.sheet import fitted, font_file
from casarbi.plain import visible

DPI = 300
TILE = 384
"""Pixels that a tile has across, at least: 1.3 inches in print."""
GAP, FRAME, LETTERS, SMALL = 14, 5, 34, 27
"""Pixels between tiles, of a frame's line, and the height of letters: 8 and 6.5 points."""
INK, MUTED, MISSING = "#1b1f24", "#5c636b", "#eef0f2"
COLOURS = ("#ff7f0e", "#00a5d9")
"""Of the first and second part that is magnified: told apart by any eye, on skin, sky and leaves."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture of a plate.

    Attributes:
        pixels: uint8 (H, W, 3), or None for a picture that is missing.
        frames: boxes (left, top, right, bottom) in its pixels, each drawn around in the colour of its place.
        edge: colour of a frame around the whole tile, or "".
        words: what stands in the place of a missing picture.
        room: pixels that it may take on the plate; its own are repeated as often as that allows.
    """

    pixels: np.ndarray | None
    frames: Sequence[tuple[int, int, int, int]] = ()
    edge: str = ""
    words: str = ""
    room: int = TILE

    @property
    def repeats(self) -> int:
        """How often each of its pixels is repeated, across and down."""
        return 1 if self.pixels is None else max(1, self.room // max(self.pixels.shape[:2]))


@dataclass(frozen=True, eq=False)
class Line:
    """A row of a plate: its label, of one or more lines, and its tiles; None leaves a place empty."""

    label: Sequence[str]
    tiles: Sequence[Tile | None]


@dataclass(frozen=True, eq=False)
class ColourBar:
    """The scale under heat maps: colours from left to right, uint8 (N, 3), words, and the numbers at both ends."""

    colours: np.ndarray
    words: str
    low: str
    high: str


def draw_plate(headings: Sequence[str], lines: Sequence[Line], bar: ColourBar | None = None) -> bytes:
    """PNG of 300 dpi; equal content gives equal bytes.

    Args:
        headings: of the columns.
        lines: rows of as many tiles.
        bar: stands at the end, if there is one.
    """
    drawn = [[_draw_tile(tile) if tile else None for tile in line.tiles] for line in lines]
    side = max([TILE, *(max(tile.size) for row in drawn for tile in row if tile)])
    font, small = (ImageFont.truetype(font_file(), size) for size in (LETTERS, SMALL))
    margin = round(max([small.getlength(text) for line in lines for text in line.label], default=0)) + 2 * GAP
    heights = [max((tile.height for tile in row if tile), default=0) + GAP for row in drawn]
    top = LETTERS + 2 * GAP
    size = (margin + len(headings) * (side + GAP), top + sum(heights) + (3 * LETTERS + GAP if bar else 0))
    plate = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(plate)
    for place, heading in enumerate(headings):
        middle = margin + place * (side + GAP) + side / 2
        pen.text((middle, top / 2), fitted(visible(heading), font, side), INK, font, anchor="mm")
    for line, row, height in zip(lines, drawn, heights, strict=True):
        _write_label(pen, line.label, top + (height - GAP) / 2, small)
        for place, tile in enumerate(row):
            if tile:
                left = margin + place * (side + GAP) + (side - tile.width) // 2
                plate.paste(tile, (left, top + (height - GAP - tile.height) // 2))
        top += height
    if bar:
        _draw_bar(plate, bar, top + GAP, small)
    stream = io.BytesIO()
    plate.save(stream, "PNG", optimize=True, dpi=(DPI, DPI))
    return stream.getvalue()


def _draw_tile(tile: Tile) -> Image.Image:
    if tile.pixels is None:
        return _missing_tile(tile.words)
    times = tile.repeats
    image = Image.fromarray(tile.pixels.repeat(times, 0).repeat(times, 1))
    pen = ImageDraw.Draw(image)
    for place, (left, top, right, bottom) in enumerate(tile.frames):
        # The line lies outside the part, so that none of its pixels is covered.
        box = [left * times - FRAME, top * times - FRAME, right * times + FRAME - 1, bottom * times + FRAME - 1]
        pen.rectangle(box, outline=COLOURS[place % len(COLOURS)], width=FRAME)
    if not tile.edge:
        return image
    framed = Image.new("RGB", (image.width + 2 * FRAME, image.height + 2 * FRAME), tile.edge)
    framed.paste(image, (FRAME, FRAME))
    return framed


def _missing_tile(words: str) -> Image.Image:
    image = Image.new("RGB", (TILE, TILE), MISSING)
    font = ImageFont.truetype(font_file(), SMALL)
    ImageDraw.Draw(image).text((TILE / 2, TILE / 2), fitted(words, font, TILE), MUTED, font, anchor="mm")
    return image


def _write_label(pen: ImageDraw.ImageDraw, label: Sequence[str], middle: float, font: ImageFont.FreeTypeFont) -> None:
    top = middle - (len(label) - 1) * SMALL * 0.7
    for place, text in enumerate(label):
        pen.text((GAP, top + place * SMALL * 1.4), visible(text), INK if not place else MUTED, font, anchor="lm")


def _draw_bar(plate: Image.Image, bar: ColourBar, top: int, font: ImageFont.FreeTypeFont) -> None:
    width, height = 2 * TILE, LETTERS
    colours = bar.colours[np.arange(width) * len(bar.colours) // width]
    strip = np.broadcast_to(colours, (height, width, 3))
    left = plate.width - GAP - width
    plate.paste(Image.fromarray(np.ascontiguousarray(strip)), (left, top))
    pen = ImageDraw.Draw(plate)
    pen.text((left - GAP, top + height / 2), bar.words, INK, font, anchor="rm")
    pen.text((left, top + height + SMALL), bar.low, INK, font, anchor="lm")
    pen.text((left + width, top + height + SMALL), bar.high, INK, font, anchor="rm")
