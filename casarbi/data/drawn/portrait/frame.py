"""Where each pixel lies on the head: image grid, pose, and windows around a feature."""

from __future__ import annotations

import copy

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, hill, smooth
from casarbi.data.drawn.portrait.person import Person

EYE = 0.245  # half the distance between the pupils, in face units
DEPTH = 0.56  # how far the front of the skull lies before its silhouette
EYE_DEPTH = 0.72 * DEPTH


class Frame:
    """Pixel grid of one portrait.

    Attributes:
        n: side in pixels.
        px: width of a pixel in face units.
        columns, rows: pixel centres along each axis (n,), the image being [-1, 1]², y down.
        x, y: upright face units, (n, n): rolled and scaled with the head, not turned.
        u, v: face units on the head, (n, n): eyes at (±0.245, 0), turned with yaw and pitch.
        inside: 1 - q of the skull, (n, n): positive inside its silhouette.
    """

    def __init__(self, person: Person, n: int) -> None:
        p = person
        self.n = n
        self._origin = (0, 0)
        self.person = p
        self.px = 2.0 / n / p.scale
        self.columns = ((2 * np.arange(n) + 1) / n - 1).astype(np.float32)
        self.rows = self.columns.copy()
        dx = (self.columns - np.float32(p.shift[0]))[None, :] * np.float32(1 / p.scale)
        dy = (self.rows - np.float32(p.shift[1]))[:, None] * np.float32(1 / p.scale)
        self.x = dx * np.float32(p.cosine) + dy * np.float32(p.sine)
        self.y = dy * np.float32(p.cosine) - dx * np.float32(p.sine)
        # The eyes stay where they are when the head turns, as in FFHQ's alignment: depth counts from them.
        depth = _depth(skull(self.x, self.y, p)) - np.float32(EYE_DEPTH)
        self.u = self.x - depth * np.float32(p.yaw)
        self.v = self.y - depth * np.float32(p.pitch)
        self.q = skull(self.u, self.v, p)

    def crop(self, where: tuple[slice, slice]) -> Frame:
        """Return the frame of a window: the same fields, cut to it (views)."""
        part = copy.copy(self)
        for name in ("x", "y", "u", "v", "q"):
            setattr(part, name, getattr(self, name)[where])
        part.rows, part.columns = self.rows[where[0]], self.columns[where[1]]
        part._origin = (self._origin[0] + where[0].start, self._origin[1] + where[1].start)
        return part

    def stamp(self, field: Array, at: tuple[float, float], radius: tuple[float, float], amount: float) -> None:
        """Add a `hill` to a field of this frame; a hill off the middle is added on both sides of the face."""
        for side in (-1, 1) if at[0] else (1,):
            where = self.window(side * at[0], at[1], *radius)
            field[where] += hill(self.u[where], self.v[where], (side * at[0], at[1]), radius) * np.float32(amount)

    def below(self, y: float) -> tuple[slice, slice]:
        """Slices of all rows that can reach under the upright height y, whatever the roll."""
        p = self.person
        return self._slice(2.0, 2.0 - p.scale * y - p.shift[1] + abs(p.sine), 0), slice(0, self.n)

    def window(self, u: float, v: float, ru: float, rv: float) -> tuple[slice, slice]:
        """Slices of this frame's rows and columns that hold the face ellipse at (u, v), pose included."""
        p = self.person
        x = p.scale * (p.cosine * u - p.sine * v) + p.shift[0]
        y = p.scale * (p.sine * u + p.cosine * v) + p.shift[1]
        # Turning moves the silhouette, which lies EYE_DEPTH behind the eyes, furthest.
        ry = p.scale * (rv + abs(p.sine) * ru + EYE_DEPTH * abs(p.pitch))
        rx = p.scale * (ru + abs(p.sine) * rv + EYE_DEPTH * abs(p.yaw))
        return self._slice(y, ry, 0), self._slice(x, rx, 1)

    def _slice(self, at: float, radius: float, axis: int) -> slice:
        low = int((at - radius + 1) * self.n / 2) - 2 - self._origin[axis]
        high = int((at + radius + 1) * self.n / 2) + 3 - self._origin[axis]
        length = self.rows.size if axis == 0 else self.columns.size
        return slice(min(max(low, 0), length), min(max(high, 0), length))


def _depth(q: Array) -> Array:
    """Depth of the skull over its silhouette: rounded in front, smooth across it, flattening out behind."""
    g = (1 - q * q) / (1 + q * q)
    return np.where(g > 0, g, g / (1 - 4 * g)) * np.float32(DEPTH)


def skull(u: Array, v: Array, p: Person) -> Array:
    """Squared radius of the head's egg: 1 on its silhouette, 0 at its middle."""
    top, jaw = 0.9, p.chin - 0.05
    t = v - np.float32(0.05)
    below = t > 0
    t *= np.where(below, np.float32(1 / jaw), np.float32(1 / top))
    t *= t
    # Above the eyes the head widens to the temples, then closes rounder than an ellipse.
    taper = np.where(below, np.minimum(t * np.float32(p.taper), 0.8), t * (t - 2) * np.float32(0.05))
    across = u / ((1 - taper) * np.float32(p.width))
    across *= across
    across += t * (1 + (t - 1) * np.where(below, np.float32(p.square), np.float32(0.45)))
    return across


def edge(distance: Array, px: float) -> Array:
    """Coverage of a pixel at a signed distance inside a boundary: a smooth step one and a half pixels wide."""
    return smooth(-0.75 * px, 0.75 * px, distance)
