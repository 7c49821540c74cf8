"""`deadleaves`: textures with the statistics of natural scenes, drawn by a program.

Shapes of all sizes hide each other ("dead leaves": Lee, Mumford and Huang, Occlusion models for natural images, IJCV
2001): with a density of radii proportional to r^-3 a scene looks alike at every magnification and its power falls
about as 1/f^2. Each leaf has its own colour, gradient, texture and stripes, casts a soft shadow and may be a twig.

Pixels are computed with additions, multiplications and tables only, from `Generator.random` alone, so that the bytes
do not change with the processor or the version of NumPy.
"""

from __future__ import annotations

import numpy as np

from casarbi.data.base import measured_by
from casarbi.data.drawn.leaves.masks import BOX, POLYGON_SIDES, SHAPES, STROKE, Leaves, paint, paint_strokes
from casarbi.data.drawn.leaves.surfaces import draw_surfaces, noise_tile, shade
from casarbi.data.drawn.procedural import Procedural

VERSION = "deadleaves-1"
"""Raise with any change of the pixels."""

STREAM = 0x1EAF
"""Mixed into the seed, so that no other generator here draws the same numbers."""

SIZES = (32, 1024)
"""Smallest and largest side in pixels."""

SUPERSAMPLING = 2
SMALLEST_RADIUS = 1.4
"""In pixels of the finished image."""

LARGEST_RADIUS = 0.4
"""As a part of the side."""

COVERS = 3.5
"""How many leaves lie over a pixel on average."""


def render(seed: int, size: int) -> np.ndarray:
    """Draw one scene.

    Args:
        seed: any non-negative integer.
        size: side of the square in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    rng = np.random.Generator(np.random.PCG64([seed, STREAM]))
    side = size * SUPERSAMPLING
    leaves = scatter(rng, side)
    depth = np.zeros((side, side), np.int32)
    paint(leaves, depth, (noise_tile(rng, side), noise_tile(rng, side)))
    index = np.flatnonzero(leaves.shape == STROKE)[1:]
    paint_strokes(draw_strokes(rng, side, len(index)), index, depth)
    colour = shade(draw_surfaces(rng, leaves), depth)
    colour *= light(rng, leaves, depth)
    return _develop(reduce(colour))


def _develop(colour: np.ndarray) -> np.ndarray:
    """Round (3, H, W) in 0..255 and above to bytes (H, W, 3), highlights rolled off as film does."""
    over = np.maximum(colour - 190, 0)
    rolled = np.minimum(colour, 190) + over * 65 / (over + 65)
    return np.ascontiguousarray(np.clip(rolled + np.float32(0.5), 0, 255).astype(np.uint8).transpose(1, 2, 0))


def scatter(rng: np.random.Generator, side: int) -> Leaves:
    """Throw leaves on a square of `side` pixels and a margin; leaf 0 is the background."""
    # Radii follow r^-3 between two bounds, the smallest drawn for each scene, by inverting their distribution.
    mood = rng.random(8)
    largest = LARGEST_RADIUS * side
    smallest = min(SMALLEST_RADIUS * SUPERSAMPLING * 6 ** mood[0], largest / 4)
    area = 0.65 * 2 * np.pi * smallest**2 * np.log(largest / smallest)
    thrown = rng.random((int(COVERS * (side + 2 * largest) ** 2 / area), 3))
    radius = smallest / np.sqrt(1 - thrown[:, 0] * (1 - (smallest / largest) ** 2))
    x, y = ((side + 2 * largest) * thrown[:, 1:] - largest).T
    touches = (np.abs(x - side / 2) < side / 2 + radius) & (np.abs(y - side / 2) < side / 2 + radius)
    # Leaves that touch the square are kept; behind them is leaf 0, the background.
    radius, x, y = (np.concatenate([[side], a[touches]]) for a in (radius, x, y))

    # Directions at random, or along two axes as built things have; some shapes are liked more in a scene than others.
    draws = rng.random((len(x), 5 + POLYGON_SIDES))
    angle = 2 * np.pi * (draws[:, 0] if mood[1] < 0.6 else mood[2] + 0.12 * draws[:, 0] + 0.25 * (draws[:, 1] < 0.2))
    liking = np.cumsum(rng.random(SHAPES) ** 2 * (1, 1, 1, 1, 0.08))
    shape = np.searchsorted(liking / liking[-1], draws[:, 2]).clip(0, SHAPES - 1)
    shape[(draws[:, 3] < 0.1 * mood[3]) & (radius < 6 * smallest)] = STROKE
    shape[0] = STROKE
    aspect = 0.3 + 0.7 * np.sqrt(draws[:, 4])
    rough = np.minimum(radius * 0.5, 40) * mood[4] ** 2 * (shape != BOX)
    return Leaves(
        x=x.astype(np.float32),
        y=y.astype(np.float32),
        radius=radius.astype(np.float32),
        aspect=aspect.astype(np.float32),
        cos=np.cos(angle).astype(np.float32),
        sin=np.sin(angle).astype(np.float32),
        shape=shape,
        rough=rough.astype(np.float32),
        corners=_corners(draws[:, 5:]),
    )


def _corners(draws: np.ndarray) -> np.ndarray:
    """Sides of convex polygons about the unit disc, from uniform draws (N, POLYGON_SIDES)."""
    angle = (np.arange(POLYGON_SIDES) + 0.8 * draws) * (2 * np.pi / POLYGON_SIDES)
    distance = 0.55 + 0.35 * draws[:, ::-1]
    return (np.stack([np.cos(angle), np.sin(angle)], -1) / distance[..., None]).astype(np.float32)


def draw_strokes(rng: np.random.Generator, side: int, count: int) -> np.ndarray:
    """Draw (count, 7) thin curves over a square of `side` pixels, in the form that `paint_strokes` takes."""
    draws = rng.random((count, 7))
    length = side * (0.04 + 0.5 * draws[:, 2] ** 3)
    angle, bend = 2 * np.pi * draws[:, 3], 2 * np.pi * draws[:, 4]
    stroke = np.empty((count, 7))
    stroke[:, :2] = side * (1.2 * draws[:, :2] - 0.1)
    stroke[:, 2:4] = length[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    stroke[:, 4:6] = (length * draws[:, 5])[:, None] * np.stack([np.cos(bend), np.sin(bend)], 1)
    stroke[:, 6] = 0.8 + 2.4 * draws[:, 6] ** 2
    return stroke


def light(rng: np.random.Generator, leaves: Leaves, depth: np.ndarray) -> np.ndarray:
    """Brightness of each pixel, float32 (H, W): a gradient over the scene, and soft shadows of the leaves above."""
    draws, side = rng.random(6), depth.shape[0]
    angle = 2 * np.pi * draws[0]
    ramp = np.linspace(-1, 1, side, dtype=np.float32) * np.float32(0.3 * draws[1])
    bright = 1 + np.float32(np.cos(angle)) * ramp + np.float32(np.sin(angle)) * ramp[:, None]
    steps = np.array([2, 4, 6, 9, 12, 16, 21, 27]) * (side / 512)
    rise = np.where(leaves.shape == STROKE, steps[3], np.minimum(leaves.radius * 0.5, steps[-1] + 1))
    rise = (rise * (0.4 + 0.6 * draws[2])).astype(np.float32)[depth]
    shadow = np.zeros_like(bright)
    # The light comes from one side: a leaf some way off on that side shades a pixel if it rises high enough.
    for step in steps:
        _add_shadow(shadow, depth, rise, (step * np.sin(angle), step * np.cos(angle)), float(step))
    # Where leaves meet it is dark on all sides of the edge.
    for offset in ((2, 0), (-2, 0), (0, 2), (0, -2)):
        _add_shadow(shadow, depth, rise, offset, 0.0)
    return bright * (1 - shadow * np.float32((0.35 + 0.4 * draws[3]) / (len(steps) + 4)))


def _add_shadow(
    shadow: np.ndarray, depth: np.ndarray, rise: np.ndarray, offset: tuple[float, float], length: float
) -> None:
    """Count a pixel as shaded where the leaf `offset` (y, x) away lies above it and rises more than `length`."""
    down, right = round(offset[0]), round(offset[1])
    here = (_overlap(down), _overlap(right))
    there = (_overlap(-down), _overlap(-right))
    shadow[here] += (depth[there] > depth[here]) & (rise[there] > length)


def _overlap(offset: int) -> slice:
    return slice(-offset, None) if offset < 0 else slice(None, -offset or None)


def reduce(colour: np.ndarray) -> np.ndarray:
    """Halve (3, 2H, 2W) to (3, H, W) with the kernel 1 7 7 1: an optic a little softer than a box."""
    for _ in range(2):
        padded = np.pad(colour, ((0, 0), (1, 1), (0, 0)), mode="edge")
        outer, inner = padded[:, :-2:2] + padded[:, 3::2], padded[:, 1:-2:2] + padded[:, 2:-1:2]
        colour = (outer * np.float32(0.0625) + inner * np.float32(0.4375)).transpose(0, 2, 1)
    return colour


@measured_by("div2k-patch")
def deadleaves(*, split: str = "test", n: int = 32, size: int = 256) -> Procedural:
    """Build the data set that `deadleaves?split=test&n=32&size=256` names."""
    return Procedural("deadleaves", VERSION, render, split=split, n=n, size=size, sizes=SIZES)
