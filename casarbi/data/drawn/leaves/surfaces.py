"""Colours, textures and stripes of the leaves of a dead-leaves scene."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from casarbi.data.drawn.leaves.masks import STROKE, Leaves

TILE = 256
GRAINS = ((2, 2), (4, 4), (8, 8), (16, 16), (2, 32), (4, 64))
"""Finest cell (x, y) of each noise texture in pixels; coarser octaves are added to it."""

WAVE_STEPS = 256

PALETTES = np.array(
    [
        [(58, 84, 36), (104, 128, 52), (34, 48, 26), (150, 160, 88), (92, 74, 50)],  # foliage
        [(120, 104, 86), (168, 152, 130), (74, 64, 56), (202, 190, 168), (96, 100, 104)],  # rock and sand
        [(88, 130, 172), (160, 190, 212), (44, 78, 112), (214, 222, 224), (112, 132, 120)],  # sky and sea
        [(136, 132, 128), (176, 170, 162), (84, 86, 92), (150, 78, 58), (212, 206, 196)],  # streets
        [(176, 98, 32), (206, 150, 56), (120, 52, 28), (84, 84, 40), (60, 44, 34)],  # autumn
        [(196, 60, 74), (232, 176, 60), (90, 110, 48), (220, 196, 206), (110, 66, 130)],  # flowers
        [(196, 146, 112), (150, 100, 70), (98, 62, 44), (226, 190, 160), (60, 50, 60)],  # wood and skin
        [(60, 68, 92), (36, 38, 50), (104, 98, 112), (196, 150, 84), (86, 56, 58)],  # dusk
        [(222, 222, 220), (188, 194, 200), (140, 150, 164), (96, 92, 92), (238, 234, 226)],  # snow
        [(190, 40, 36), (28, 92, 150), (236, 202, 50), (240, 240, 236), (34, 120, 70)],  # painted things
    ]
)


@dataclass
class Surfaces:
    """How each of N leaves looks; every array is float32 (N,) unless said.

    Attributes:
        x, y: origin of the leaf's texture, its centre.
        cos, sin: direction of the texture.
        grain: index into GRAINS, int32.
        shift: int32 (2, N) offsets into the noise tile.
        frequency: (2, N) stripes per pixel along and across the direction.
        profile: (2, N) int32 index of the wave table's row, along and across.
        stripes: (2, N) strength of the stripes.
        noise: strength of the noise.
        slope: (2, N) change of brightness per pixel along x and y.
        colour: (3, N) in 0..255.
        tint: (3, N) change of colour where noise and stripes are 1.
    """

    x: np.ndarray
    y: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    grain: np.ndarray
    shift: np.ndarray
    frequency: np.ndarray
    profile: np.ndarray
    stripes: np.ndarray
    noise: np.ndarray
    slope: np.ndarray
    colour: np.ndarray
    tint: np.ndarray


def draw_surfaces(rng: np.random.Generator, leaves: Leaves) -> Surfaces:
    """Draw the look of every leaf; one mood and one or two palettes per scene."""
    count, mood = len(leaves.x), rng.random(4)
    draws = rng.random((20, count))
    angle = 2 * np.pi * draws[0]
    radius = np.where(leaves.shape == STROKE, leaves.radius[0] / 2, leaves.radius)  # a twig is long
    colour = _draw_colours(rng, leaves, draws[1:5])
    stripes = (draws[5] < 0.15 + 0.4 * mood[0]) * (draws[6] ** 1.5) * (radius > 8) * (0.3 + 0.7 * mood[1])
    crossing = stripes * (draws[7] < 0.35)
    period = 5 + radius * (0.06 + 0.5 * draws[8] ** 2)
    slope_angle, steep = 2 * np.pi * draws[9], 0.5 * draws[10] ** 1.5 / radius
    grain = np.minimum((draws[11] * len(GRAINS)).astype(np.int32), len(GRAINS) - 1)
    noise = (0.25 + 0.9 * mood[2]) * draws[12] ** 1.3
    tint = colour * (0.55 + 0.3 * draws[13]) * np.stack([1 + 0.5 * (d - 0.5) for d in draws[14:17]])

    def pair(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.stack([first, second]).astype(np.float32)

    profile = (np.stack([draws[17], draws[17]]) * len(wave_table())).astype(np.int32)
    return Surfaces(
        leaves.x,
        leaves.y,
        np.cos(angle).astype(np.float32),
        np.sin(angle).astype(np.float32),
        grain,
        (draws[18:20] * TILE).astype(np.int32),
        pair(1 / period, 1 / (period * (1 + 2 * draws[8]))),
        profile,
        pair(stripes, crossing),
        noise.astype(np.float32),
        pair(np.cos(slope_angle) * steep, np.sin(slope_angle) * steep),
        colour.astype(np.float32),
        tint.astype(np.float32),
    )


def _draw_colours(rng: np.random.Generator, leaves: Leaves, draws: np.ndarray) -> np.ndarray:
    """Colours (3, N) from a palette, alike in neighbourhoods; draws is (4, N), uniform."""
    # A scene has few colours, as a photograph has: one palette, and some of another.
    mood = rng.random(6)
    first = PALETTES[int(mood[0] * len(PALETTES))]
    second = PALETTES[int(mood[1] * len(PALETTES))]
    palette = np.concatenate([first, second[: int(6 * mood[2] ** 2)]])
    hue, bright = _neighbourhood(rng, leaves), _neighbourhood(rng, leaves)
    patchy = 0.2 + 0.7 * mood[3]
    place = np.clip(0.5 + patchy * hue + (1 - patchy) * (draws[0] - 0.5), 0, 0.999) * len(palette)
    one, other = place.astype(int), (draws[1] * len(palette)).astype(int)
    mix = 0.5 * draws[2] ** 2
    brightness = 0.9 + (0.3 + 0.7 * mood[4]) * (draws[3] - 0.5) + (0.2 + 0.5 * mood[5]) * bright
    return ((palette[one].T * (1 - mix) + palette[other].T * mix) * brightness).clip(8, 246)


def _neighbourhood(rng: np.random.Generator, leaves: Leaves) -> np.ndarray:
    """A slowly varying random field at the centres of the leaves, (N,), about -1 to 1; the same at any size."""
    stretch = (60 + 100 * rng.random(2)) / leaves.radius[0]
    shift = TILE * rng.random(2)
    column, row = ((c * k + s).astype(int) % TILE for c, k, s in zip((leaves.x, leaves.y), stretch, shift, strict=True))
    return noise_tiles()[3][row, column]


def shade(surfaces: Surfaces, depth: np.ndarray) -> np.ndarray:
    """Colour every pixel by the leaf that `depth` (H, W) names: float32 (3, H, W) in about 0..255."""
    # Every pixel in the coordinates of its own leaf.
    s, side = surfaces, depth.shape[0]
    steps = np.arange(side, dtype=np.float32)
    dx, dy = steps - s.x[depth], steps[:, None] - s.y[depth]
    cos, sin = s.cos[depth], s.sin[depth]
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    texture = _noise(s, depth, along, across)
    for axis, distance in enumerate((along, across)):
        phase = (distance * s.frequency[axis][depth] * WAVE_STEPS).astype(np.int32) & (WAVE_STEPS - 1)
        texture += s.stripes[axis][depth] * wave_table()[s.profile[axis][depth], phase]
    bright = 1 + dx * s.slope[0][depth] + dy * s.slope[1][depth]
    return np.stack([(s.colour[c][depth] + s.tint[c][depth] * texture) * bright for c in range(3)])


def _noise(s: Surfaces, depth: np.ndarray, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    column = (along.astype(np.int32) + s.shift[0][depth]) & (TILE - 1)
    row = (across.astype(np.int32) + s.shift[1][depth]) & (TILE - 1)
    pixel = (s.grain[depth] * TILE + row) * TILE + column
    return s.noise[depth] * noise_tiles().reshape(-1)[pixel]


@cache
def wave_table() -> np.ndarray:
    """One period of each stripe profile, float32 (profiles, WAVE_STEPS), mean 0."""
    t = np.arange(WAVE_STEPS) / WAVE_STEPS
    triangle = 1 - np.abs(2 * t - 1)
    smooth = triangle**2 * (3 - 2 * triangle)
    line = np.clip(6 * triangle - 4.5, 0, 1)
    band = np.clip(4 * triangle - 1.5, 0, 1)
    ridge = t * 1.0
    double = np.clip(6 * np.abs(2 * triangle - 1) - 4.2, 0, 1)
    waves = np.stack([smooth, line, -line, band, ridge, double])
    return (waves - waves.mean(1, keepdims=True)).astype(np.float32)


@cache
def noise_tiles() -> np.ndarray:
    """Periodic noise textures, one per grain: float32 (len(GRAINS), TILE, TILE) with standard deviation 0.5."""
    rng = np.random.Generator(np.random.PCG64(20240229))
    tiles = np.zeros((len(GRAINS), TILE, TILE))
    for tile, (cell_x, cell_y) in zip(tiles, GRAINS, strict=True):
        for octave in range(4):
            wide, high = min(cell_x << octave, TILE // 4), min(cell_y << octave, TILE // 4)
            layer = rng.random((TILE // high, TILE // wide)) - 0.5
            layer = layer.repeat(high, 0).repeat(wide, 1)
            tile += _blur(_blur(layer, high, 0), wide, 1)
        tile *= 0.5 / tile.std()
    return np.rint(tiles * 1024).astype(np.float32) / 1024  # rounded: no trace of the order of summation


def _blur(layer: np.ndarray, width: int, axis: int) -> np.ndarray:
    """Two periodic box filters: the steps of a layer become a smooth spline."""
    for _ in range(2):
        layer = np.add.reduce([np.roll(layer, k, axis) for k in range(width)]) / width
    return layer


def noise_tile(rng: np.random.Generator, side: int) -> np.ndarray:
    """A smooth random field, float32 (side, side) with standard deviation about 0.5: the wobble of outlines."""
    row, column = (rng.random(2) * TILE).astype(int)
    steps = np.arange(side)
    return noise_tiles()[2][np.ix_((steps + row) % TILE, (steps + column) % TILE)]
