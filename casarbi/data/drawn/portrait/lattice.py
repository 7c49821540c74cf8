"""Value noise: fixed random lattices, read with smooth interpolation.

All lattices are made once per process from fixed seeds; a person differs by where they read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, Draw

PERIOD = 256  # lattice points before the noise repeats


@lru_cache(maxsize=16)
def _table(seed: int) -> Array:
    """Periodic white noise with one row and column repeated, so that a right neighbour is always there."""
    noise = Draw(7919, seed).field(PERIOD, PERIOD)
    return np.ascontiguousarray(np.pad(noise, ((0, 1), (0, 1)), mode="wrap"))


def noise(x: Array, y: Array, seed: int = 0) -> Array:
    """Noise in [-1, 1] at any points, one lattice cell a unit of x and y."""
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = _ease(x - x0), _ease(y - y0)
    mask = PERIOD - 1
    at = (y0.astype(np.intp) & mask) * (PERIOD + 1)
    at += x0.astype(np.intp) & mask
    flat = _table(seed).ravel()
    top = _between(flat.take(at), flat.take(at + 1), fx)
    at += PERIOD + 1
    bottom = _between(flat.take(at), flat.take(at + 1), fx)
    return _between(top, bottom, fy)


def _ease(t: Array) -> Array:
    """Smooth a fraction as 3t² - 2t³."""
    rest = t * -2
    rest += 3
    rest *= t
    rest *= t
    return rest


def _between(a: Array, b: Array, t: Array) -> Array:
    """Go from a to b in place of b."""
    b -= a
    b *= t
    b += a
    return b


def _axis(at: Array, cell: float, offset: float) -> tuple[np.ndarray, Array]:
    """Lattice index under each position, not wrapped, and the eased fraction past it."""
    t = (at.astype(np.float64) / cell + offset).astype(np.float32)
    low = np.floor(t)
    return low.astype(np.intp), _ease(t - low)


def sheet(x: Array, y: Array, cell: float, offset: float, seed: int = 0) -> Array:
    """Noise on the grid of columns x (W,) and rows y (H,), lattice points `cell` apart: (H, W) in [-1, 1]."""
    mask = PERIOD - 1
    row, fy = _axis(y, cell, offset)
    column, fx = _axis(x, cell, offset * 1.7 + 11.3)
    # Columns first, on the few lattice rows in reach: taking whole rows afterwards is only copying.
    table = _table(seed).take(np.arange(row[0], row[-1] + 2) & mask, axis=0)
    lines = _between(table[:, column & mask], table[:, (column & mask) + 1], fx[None, :])
    row -= row[0]
    return _between(lines.take(row, axis=0), lines.take(row + 1, axis=0), fy[:, None])


def cloud(x: Array, y: Array, cells: Sequence[float], offset: float, px: float, gain: float = 0.5) -> Array:
    """Sum sheets of shrinking cells, each `gain` times weaker; cells under a pixel wide fade out."""
    total = np.zeros((y.size, x.size), np.float32)
    weight = 1.0
    for i, cell in enumerate(cells):
        seen = min(max(cell / px - 0.75, 0.0), 1.0)
        if seen > 0:
            total += sheet(x, y, cell, offset + 31.7 * i, i % 3) * np.float32(weight * seen)
        weight *= gain
    return total
