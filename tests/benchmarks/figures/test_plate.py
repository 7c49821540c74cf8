import io

import numpy as np
from PIL import Image

from benchmarks.figures.plate import COLOURS, FRAME, TILE, ColourBar, Line, Tile, draw_plate


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def drawn(*arguments):
    image = Image.open(io.BytesIO(draw_plate(*arguments)))
    return image, np.asarray(image.convert("RGB"))


def places(plate, pixels, times):
    """Whether a picture stands in a plate with each pixel repeated so many times, and where."""
    large = pixels.repeat(times, 0).repeat(times, 1)
    height, width = large.shape[:2]
    rows, columns = np.nonzero((plate == large[0, 0]).all(-1))
    return [
        (row, column)
        for row, column in zip(rows, columns, strict=True)
        if np.array_equal(plate[row : row + height, column : column + width], large)
    ]


def test_pixels_are_repeated_a_whole_number_of_times_and_never_resampled():
    small, odd, large = noise(16, 16), noise(85, 85, 1), noise(40, 500, 2)
    _, plate = drawn(["a", "b", "c"], [Line(["row"], [Tile(small), Tile(odd), Tile(large)])])
    assert len(places(plate, small, TILE // 16)) == len(places(plate, odd, 4)) == len(places(plate, large, 1)) == 1


def test_the_file_says_its_resolution_and_equal_content_gives_equal_bytes():
    lines = [Line(["one", "two"], [Tile(noise(16, 16)), None])]
    image, _ = drawn(["a", "b"], lines)
    assert [round(dpi) for dpi in image.info["dpi"]] == [300, 300] and image.mode == "RGB"
    assert draw_plate(["a", "b"], lines) == draw_plate(["a", "b"], lines)


def test_a_frame_lies_around_its_part_and_covers_none_of_it():
    pixels = np.full((16, 16, 3), 7, np.uint8)
    pixels[4:8, 4:8] = 200
    _, plate = drawn(["a"], [Line([], [Tile(pixels, [(4, 4, 8, 8)])])])
    times = TILE // 16
    assert len(places(plate, pixels[4:8, 4:8], times)) == 1
    (row, column), colour = (
        places(plate, pixels[4:8, 4:8], times)[0],
        [int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5)],
    )
    assert plate[row - FRAME, column].tolist() == plate[row - 1, column - 1].tolist() == colour
    assert plate[row - FRAME - 1, column].tolist() == [7] * 3


def test_a_missing_picture_says_so_and_a_bar_of_colours_is_drawn():
    colours = np.stack([np.arange(256, dtype=np.uint8)] * 3, -1)
    headings, lines = list("abcd"), [Line([], [Tile(None, words="not made"), *[None] * 3])]
    (_, without), (_, plate) = drawn(headings, lines), drawn(headings, lines, ColourBar(colours, "levels", "0", "20"))
    assert plate.shape[0] > without.shape[0] and plate.shape[1] == without.shape[1]
    greys = {tuple(pixel) for pixel in plate[without.shape[0] :].reshape(-1, 3).tolist()}
    assert {(n, n, n) for n in range(256)} <= greys
