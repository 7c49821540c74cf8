"""Hair: an outline and an opening for the face, strands along a flow, and the light that runs across them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.datasets.portrait_parts.exact import Array, bump, colour, mix, slope, smooth
from benchmarks.datasets.portrait_parts.frame import Frame
from benchmarks.datasets.portrait_parts.lattice import noise, sheet
from benchmarks.datasets.portrait_parts.person import Person
from benchmarks.datasets.portrait_parts.skin import offset


@dataclass(frozen=True)
class Cut:
    """A haircut in face units: extra width and height, where it ends, how it flows."""

    side: float
    top: float
    end: float  # v of its lower end beside the face
    flare: float
    flow: str  # fall from a parting, radial from the forehead, sweep to a side
    curl: float
    rag: float  # raggedness of the outline
    back: bool  # hangs behind the neck


def cut_of(p: Person) -> Cut | None:
    """Turn a style and its numbers into a cut; None for the bald."""
    w, g = p.volume, p.length
    cuts = {
        "buzz": Cut(0.012, 0.015, 0.02, -0.3, "radial", 0.0, 0.01, False),
        "short": Cut(0.02 + 0.03 * w, 0.04 + 0.07 * w, 0.06, -0.25, "radial", 0.1, 0.03, False),
        "swept": Cut(0.03 + 0.04 * w, 0.07 + 0.09 * w, 0.08, -0.2, "sweep", 0.15, 0.025, False),
        "curly": Cut(0.07 + 0.08 * w, 0.08 + 0.08 * w, 0.15 + 0.5 * g, 0.05, "radial", 1.0, 0.05, g > 0.5),
        "afro": Cut(0.14 + 0.16 * w, 0.14 + 0.12 * w, 0.2 + 0.15 * g, -0.1, "radial", 1.6, 0.05, False),
        "tied": Cut(0.0, 0.02 + 0.02 * w, 0.06, -0.3, "radial", 0.06, 0.015, False),
        "bob": Cut(0.07 + 0.05 * w, 0.06 + 0.04 * w, 0.5 + 0.3 * g, 0.1, "fall", 0.12, 0.01, True),
        "long": Cut(0.06 + 0.05 * w, 0.05 + 0.04 * w, 1.6, 0.12 + 0.1 * g, "fall", 0.15 + 0.2 * p.curl, 0.012, True),
        "wavy": Cut(0.09 + 0.08 * w, 0.07 + 0.05 * w, 1.6, 0.2 + 0.12 * g, "fall", 0.6 + 0.5 * p.curl, 0.03, True),
    }
    return cuts.get(p.style)


def _window(frame: Frame, cut: Cut) -> tuple[slice, slice]:
    top, end = -0.95 - cut.top - cut.rag, cut.end + 0.1 + 0.4 * cut.rag
    wide = (frame.person.width + 0.1 + cut.side + cut.rag) * (1 + max(cut.flare * min(cut.end, 1.4), 0))
    return frame.window(0.0, (top + end) / 2, wide, (end - top) / 2)


class Hair:
    """One person's hair on the frame.

    Attributes:
        front: cover of the hair before the face, (n, n).
        back: cover of the hair behind the neck, (n, n), or None.
        z: depth of its surface, (n, n).
        strands: noise along the flow, (n, n), about [-2, 2]; fine and coarse locks together.
    """

    def __init__(self, frame: Frame, cut: Cut) -> None:
        p = frame.person
        self.where = _window(frame, cut)
        frame = frame.crop(self.where)
        self.frame, self.cut = frame, cut
        u, v = frame.u, frame.v
        x, y = u, v
        self._flow(x, y)
        outer = self._outline(x, y) + cut.rag * self.locks
        ragged = outer + 0.012 * self.strands
        soft = 0.006 + 0.35 * cut.rag
        body = smooth(-soft, soft, ragged)
        end = smooth(0.05 + cut.rag, -0.05 - cut.rag, y - cut.end + 0.12 * self.locks + 0.03 * self.strands)
        opening = self._opening(u, v)
        soft = 0.022 if p.style not in ("buzz", "short") else 0.04
        thin = 0.013 if cut.flow == "radial" else 0.022
        self.front = body * end * smooth(-soft, soft, opening + thin * self.strands + 0.025 * self.locks)
        if p.style == "buzz":
            self.front = self.front * np.clip(0.72 + 0.2 * self.strands, 0, 1)
        self.back = body * end if cut.back else None
        self.outer = outer
        round_off = np.sqrt(np.clip(outer * 1.6, 0, 1))
        self.z = 0.5 * round_off + 0.03 * self.locks + 0.008 * self.strands

    def _flow(self, x: Array, y: Array) -> None:
        """Find the strand coordinates (across, along) and read the noise of locks and strands there."""
        p, cut = self.frame.person, self.cut
        if cut.flow == "fall":
            drop = np.maximum(y + 0.93 + cut.top, 0) + 0.05
            dx = x - np.float32(p.part) * smooth(0.5, -0.3, y)
            across = dx / np.sqrt(drop) * 1.0
            along = y + 0.3 * np.abs(x)
        elif cut.flow == "sweep":
            lean = 0.55 if p.part > 0 else -0.55
            dx, dy = x - lean * 1.2, y - 0.3
            r = np.sqrt(dx * dx + dy * dy)
            across, along = r * 1.1, dx * 0.9
        else:
            dx, dy = x - np.float32(p.part * 0.4), y - 0.35
            r = np.abs(dx) + np.abs(dy) + 1e-3
            across, along = (
                np.where(dy < 0, dx / r, np.sign(dx) * (2 - np.abs(dx) / r)) * 1.25,
                np.sqrt(dx * dx + dy * dy),
            )
        grid = self.frame.columns, self.frame.rows
        start = offset(self.frame, 11)
        bend = sheet(*grid, 0.37, start, 1) * np.float32(0.05 + 0.09 * cut.curl)
        bend += sheet(*grid, 0.15, start, 2) * np.float32(0.012 + 0.04 * cut.curl)
        across = across + bend
        along = along + sheet(*grid, 0.12, start, 4) * np.float32(0.2 * cut.curl)
        self.across = across
        tall = 1.0 + 4.0 * min(cut.curl, 1.0)
        self.locks = noise(across * 11, along * 1.3 * tall, 3) + 0.6 * noise(across * 23, along * 2.2 * tall, 4)
        self.strands = 0.8 * noise(across * 52, along * 2.6 * tall, 5) + 0.9 * noise(
            across * 104 + 1.5 * bend, along * 4.5 * tall, 6
        )
        if cut.curl > 0.9:
            ring = sheet(*grid, 0.035, start, 7)
            ring = 3 * ring * ring - 0.7
            self.strands = 0.55 * self.strands + ring + 0.7 * sheet(*grid, 0.0165, start, 8)

    def _outline(self, x: Array, y: Array) -> Array:
        """Signed distance inside the outer outline, roughly in face units."""
        p, cut = self.frame.person, self.cut
        wide = (p.width + 0.02 + cut.side) * (1 + cut.flare * np.maximum(y, 0))
        high = np.where(y < 0, y * np.float32(1 / (0.9 + cut.top)), 0)
        h2 = high * high
        across = x / np.maximum(wide, 0.2) * (1 - 0.05 * h2)
        return (1 - np.sqrt(across * across + 0.5 * h2 + 0.5 * h2 * h2)) * 0.6

    def _opening(self, u: Array, v: Array) -> Array:
        """Signed distance outside the opening that leaves the face free."""
        p, cut = self.frame.person, self.cut
        wide = p.width - (0.03 if cut.end < 0.2 else 0.055)
        line = p.hairline
        lower = p.fringe * 0.26 if cut.flow != "radial" or p.style == "short" else 0.0
        if cut.flow == "fall":
            split = smooth(0.0, 0.25, np.abs(u - np.float32(p.part)))
            line = line + 0.05 - lower - 0.03 * split
        else:
            line = (
                line
                - 0.5 * lower
                + 0.05 * bump((np.abs(u) - 0.3) * (np.abs(u) - 0.3) * 30) * (0 if p.woman else 0.4 + 1.6 * p.age)
            )
        across = u * (1 / wide)
        up = np.where(v < 0, v / line, np.maximum(v - 0.3, 0) * (0.9 if cut.end > 0.2 else 0.0))
        a2, u2 = across * across, up * up
        # Curtains leave an arch free, a fringe or a cropped hairline something squarer.
        boxy = 1.0 if cut.flow != "fall" or p.fringe > 0.3 else 0.25
        round_norm, square_norm = np.sqrt(a2 + u2), np.sqrt(np.sqrt(a2 * a2 + u2 * u2))
        return (mix(round_norm, square_norm, boxy) - 1) * 0.5

    def light(self, key: Array, sky: Array) -> Array:
        """Kajiya-Kay light on the strands, (3, n, n): sheen across them, darkness between locks and by the skin."""
        p, frame = self.frame.person, self.frame
        key, sky = key[self.where], sky[self.where]
        ax, ay = slope(self.across, frame.px)
        inverse = 1 / np.sqrt(ax * ax + ay * ay + 1e-4)
        tx, ty = -ay * inverse, ax * inverse
        zx, zy = slope(0.5 * np.sqrt(np.clip(self.outer * 1.6, 0.004, 1)) + 0.018 * self.locks, frame.px)
        tz = zx * tx + zy * ty
        norm = 1 / np.sqrt(1 + tz * tz)
        lx, ly, lz = p.light
        along = (tx * lx + ty * ly + tz * lz) * norm
        facing = np.clip((-zx * lx - zy * ly + lz) / np.sqrt(zx * zx + zy * zy + 1) * 0.75 + 0.25, 0, 1)
        diffuse = np.sqrt(np.maximum(1 - along * along, 0)) * facing
        hx, hy, hz = lx, ly, lz + 1
        h = (hx * hx + hy * hy + hz * hz) ** 0.5
        half = (tx * (hx / h) + ty * (hy / h) + tz * (hz / h)) * norm + 0.1 * self.locks + 0.05 * self.strands
        s2 = np.maximum(1 - half * half, 0)
        s8 = s2 * s2 * s2 * s2
        s32 = s8 * s8 * s8 * s8
        s64 = s32 * s32
        fibre = np.clip(0.72 + 0.3 * self.strands + 0.22 * self.locks, 0.12, 2.0)
        sheen = (0.05 * s64 * s64 + 0.05 * s32 * 0.5) * np.clip(0.6 + 0.6 * self.strands, 0, 2) * facing
        tone = colour(p.hair) * fibre
        warm = colour(p.light_colour)
        lit = tone * (warm * (key * diffuse * 1.25 + 0.45 * s32 * key * facing)[None] + colour(p.fill) * (sky * 1.1))
        lit = lit + warm * (sheen * key)[None] * np.float32(1.0 if max(p.hair) < 0.3 else 1.6)
        if p.rim > 0:
            edge_on = smooth(0.16, 0.0, self.outer) * (frame.x * (-1 if p.light[0] > 0 else 1) > 0)
            lit = lit + (colour(p.hair) * 1.2 + 0.05) * (edge_on * np.float32(p.rim * 0.8) * fibre)[None]
        return lit
