"""Hair: an outline and an opening for the face, strands along a flow, and the light that runs across them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, bump, mix, smooth
from casarbi.data.drawn.portrait.frame import Frame
from casarbi.data.drawn.portrait.lattice import noise, sheet
from casarbi.data.drawn.portrait.person import Person
from casarbi.data.drawn.portrait.skin import offset


@dataclass(frozen=True)
class Haircut:
    """A haircut in face units: extra width and height, where it ends, how it flows."""

    side: float
    top: float
    end: float  # v of its lower end beside the face
    flare: float
    flow: str  # fall from a parting, radial from the forehead, sweep to a side
    curl: float
    rag: float  # raggedness of the outline


def haircut_of(p: Person) -> Haircut | None:
    """Turn a style and its numbers into a cut; None for the bald."""
    w, g = p.volume, p.length
    cuts = {
        "buzz": Haircut(0.012, 0.015, 0.02, -0.3, "radial", 0.0, 0.01),
        "short": Haircut(0.02 + 0.03 * w, 0.04 + 0.07 * w, 0.06, -0.25, "radial", 0.1, 0.02),
        "swept": Haircut(0.025 + 0.03 * w, 0.06 + 0.08 * w, 0.08, -0.22, "sweep", 0.15, 0.014),
        "curly": Haircut(0.07 + 0.08 * w, 0.08 + 0.08 * w, 0.15 + 0.5 * g, 0.05, "radial", 1.0, 0.05),
        "afro": Haircut(0.14 + 0.16 * w, 0.14 + 0.12 * w, 0.2 + 0.15 * g, -0.1, "radial", 1.6, 0.05),
        "tied": Haircut(0.0, 0.02 + 0.02 * w, 0.06, -0.3, "radial", 0.06, 0.015),
        "bob": Haircut(0.07 + 0.05 * w, 0.06 + 0.04 * w, 0.5 + 0.3 * g, 0.1, "fall", 0.12, 0.01),
        "long": Haircut(0.06 + 0.05 * w, 0.05 + 0.04 * w, 1.6, 0.12 + 0.1 * g, "fall", 0.15 + 0.2 * p.curl, 0.012),
        "wavy": Haircut(0.09 + 0.08 * w, 0.07 + 0.05 * w, 1.6, 0.2 + 0.12 * g, "fall", 0.6 + 0.5 * p.curl, 0.03),
    }
    return cuts.get(p.style)


def _window(frame: Frame, cut: Haircut) -> tuple[slice, slice]:
    top, end = -0.95 - cut.top - cut.rag, cut.end + 0.1 + 0.4 * cut.rag
    wide = (frame.person.width + 0.1 + cut.side + cut.rag) * (1 + max(cut.flare * min(cut.end, 1.4), 0))
    return frame.window(0.0, (top + end) / 2, wide, (end - top) / 2)


class Hair:
    """One person's hair on the frame.

    Attributes:
        front: cover of the hair before the face, (n, n).
        back: cover of the hair behind head and neck, (n, n).
        where: slices of the frame that hold it; all fields are cut to them.
        outer: signed distance inside its outline, (n, n), in face units.
        across: strand coordinate, constant along a strand, (n, n).
        parting: darkness of the line from which hair falls, (n, n) or 0.
        dome: depth of its rounded shape, (n, n); z: the same with locks and strands on it.
        locks: noise of the coarse locks, (n, n).
        strands: noise along the flow, (n, n), about [-2, 2]; fine and coarse locks together.
    """

    def __init__(self, frame: Frame, cut: Haircut) -> None:
        p = frame.person
        self.where = _window(frame, cut)
        self.frame, self.cut = frame.crop(self.where), cut
        u, v = self.frame.u, self.frame.v
        across, along, self.parting = self._flow(u, v)
        self.across, self.locks, self.strands = self._comb(across, along)
        self.outer = self._outline(u, v) + self.locks * np.float32(cut.rag)
        soft = 0.006 + 0.35 * cut.rag
        body = smooth(-soft, soft, self.outer + self.strands * np.float32(0.012))
        low = v - np.float32(cut.end) + self.locks * np.float32(0.12) + self.strands * np.float32(0.03)
        body *= smooth(0.05 + cut.rag, -0.05 - cut.rag, low)
        soft = 0.04 if p.style in ("buzz", "short") else 0.022
        thin = 0.022 if cut.flow == "fall" else 0.013
        line = self._opening(u, v) + self.strands * np.float32(thin) + self.locks * np.float32(0.025)
        self.front = body * smooth(-soft, soft, line)
        if p.style == "buzz":
            self.front *= np.clip(0.72 + 0.2 * self.strands, 0, 1)
        self.back = body
        self.dome = np.sqrt(np.clip(self.outer * np.float32(1.6), 0.004, 1)) * np.float32(0.5)
        self.z = self.dome + self.locks * np.float32(0.03) + self.strands * np.float32(0.008)

    def _flow(self, x: Array, y: Array) -> tuple[Array, Array, Array | float]:
        """Strand coordinates (`across` is constant along a strand, `along` runs down it), and the parting."""
        p, cut = self.frame.person, self.cut
        if cut.flow == "fall":
            # Parabolas that leave the parting sideways and end hanging down.
            dx = x - np.float32(p.part) * smooth(0.5, -0.3, y)
            line = dx * (1 / 0.014)
            parting = bump(line * line) * smooth(-p.hairline + 0.02, -p.hairline - 0.06, y)
            return dx / np.sqrt(np.maximum(y + (0.93 + cut.top), 0) + 0.05), y + 0.3 * np.abs(x), parting
        if cut.flow == "sweep":
            dx, dy = x - np.float32(0.66 if p.part > 0 else -0.66), y - 0.3
            return np.sqrt(dx * dx + dy * dy) * np.float32(1.1), dx * np.float32(0.9), 0.0
        dx, dy = x - np.float32(p.part * 0.4), y - 0.35
        turn = dx / (np.abs(dx) + np.abs(dy) + 1e-3)
        turn = np.where(dy < 0, turn, np.sign(dx) * (2 - np.abs(turn)))
        return turn * np.float32(1.25), np.sqrt(dx * dx + dy * dy), 0.0

    def _comb(self, across: Array, along: Array) -> tuple[Array, Array, Array]:
        """Bend the flow, then read noise along it: the bent `across`, locks and strands."""
        cut, grid, start = self.cut, (self.frame.columns, self.frame.rows), offset(self.frame, 11)
        across = across + sheet(*grid, 0.37, start, 1) * np.float32(0.05 + 0.09 * cut.curl)
        across += sheet(*grid, 0.15, start, 2) * np.float32(0.012 + 0.04 * cut.curl)
        along = along + sheet(*grid, 0.12, start, 4) * np.float32(0.2 * cut.curl)
        tall = np.float32(1.0 + 4.0 * min(cut.curl, 1.0))
        along *= tall
        at = np.float32(start)
        locks = noise(across * 11 + at, along * np.float32(1.3), 3)
        locks += noise(across * 23 + at, along * np.float32(2.2), 4) * np.float32(0.6)
        strands = noise(across * 52 + at, along * np.float32(2.6), 5) * np.float32(0.8)
        strands += noise(across * 104 + at, along * np.float32(4.5), 6) * np.float32(0.95)
        if cut.curl > 0.9:
            ring = sheet(*grid, 0.035, start, 7)
            strands *= np.float32(0.55)
            strands += 3 * ring * ring - 0.7
            strands += sheet(*grid, 0.0165, start, 8) * np.float32(0.7)
        return across, locks, strands

    def _outline(self, x: Array, y: Array) -> Array:
        """Signed distance inside the outer outline, roughly in face units."""
        p, cut = self.frame.person, self.cut
        high = np.minimum(y, 0) * np.float32(1 / (0.9 + cut.top))
        h2 = high * high
        wide = (p.width + 0.02 + cut.side) * (1 + np.float32(cut.flare) * np.maximum(y, 0))
        across = x / np.maximum(wide, 0.2) * (1 - 0.05 * h2)
        return (1 - np.sqrt(across * across + 0.5 * h2 + 0.5 * h2 * h2)) * np.float32(0.6)

    def _opening(self, u: Array, v: Array) -> Array:
        """Signed distance outside the opening that leaves the face free."""
        p, cut = self.frame.person, self.cut
        au = np.abs(u)
        wide = p.width - (0.03 if cut.end < 0.2 else 0.055)
        lower = p.fringe * 0.26 if cut.flow != "radial" or p.style == "short" else 0.0
        if cut.flow == "fall":
            line = p.hairline + 0.05 - lower - 0.03 * smooth(0.0, 0.25, np.abs(u - np.float32(p.part)))
        else:
            recede = 0.0 if p.woman else 0.02 + 0.08 * p.age
            line = p.hairline - 0.5 * lower + np.float32(recede) * bump((au - 0.3) * (au - 0.3) * 30)
        across = u * np.float32(1 / wide)
        up = np.where(v < 0, v / line, np.maximum(v - 0.3, 0) * np.float32(0.9 if cut.end > 0.2 else 0.0))
        a2, u2 = across * across, up * up
        square = np.sqrt(np.sqrt(a2 * a2 + u2 * u2))
        # Curtains leave an arch free; a fringe or a cropped hairline, something squarer.
        if cut.flow == "fall" and p.fringe <= 0.3:
            square = mix(np.sqrt(a2 + u2), square, 0.25)
        return (square - 1) * np.float32(0.5)
