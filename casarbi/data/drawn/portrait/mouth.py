"""Mouth: lips with their creases and sheen, teeth when it is open; and the nostrils above it."""

from __future__ import annotations

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, bump, colour, hill, mix, smooth
from casarbi.data.drawn.portrait.frame import Frame, edge
from casarbi.data.drawn.portrait.lattice import noise
from casarbi.data.drawn.portrait.light import Surface

LEVEL = 0.5  # where the lips meet


class Mouth:
    """The mouth's curves in a window of the frame.

    Attributes:
        where: slices of the window.
        x: position across, ±1 at the corners.
        top, parting, under, bottom: heights of the upper lip's edge, the opening's two sides, the lower lip's edge.
    """

    def __init__(self, frame: Frame) -> None:
        p = frame.person
        self.where = frame.window(0.0, LEVEL, 0.33, 0.2)
        u, self.v = frame.u[self.where], frame.v[self.where]
        u = u - np.float32(0.06 * p.yaw)
        smile = max(p.smile, 0)
        self.x = u * np.float32(1 / (0.19 * p.mouth_width + 0.035 * smile))
        # All heights follow the position across: a smile lifts the corners, an open mouth parts the middle most.
        x2 = self.x * self.x
        arch = np.maximum(1 - x2, 0)
        middle = LEVEL + 0.02 - 0.045 * p.smile * x2 + 0.006 * bump(x2 * 9) - 0.012 * smile
        gap = 0.075 * p.gape * arch * (0.55 + 0.45 * arch)
        bow = 0.013 * bump((self.x) * (self.x) * 30) - 0.006 * bump(
            (np.abs(self.x) - 0.22) * (np.abs(self.x) - 0.22) * 20
        )
        thin = 1 - 0.3 * smile * 0.6
        self.parting = middle - 0.3 * gap
        self.under = middle + 0.7 * gap
        self.top = self.parting - (0.05 * p.lips * thin) * arch * (1.15 - 0.15 * x2) + bow * arch
        self.bottom = self.under + 0.066 * p.lips * thin * arch * (0.6 + 0.4 * arch)


def lip_height(frame: Frame, z: Array) -> None:
    """Raise the lips and sink the opening and the corners on the head's height field, in place."""
    m = Mouth(frame)
    part = z[m.where]
    for low, high, lift in ((m.top, m.parting, 0.02), (m.under, m.bottom, 0.028)):
        half = np.maximum((high - low) * 0.5, 0.004)
        s = (m.v - (low + high) * 0.5) / (half * 1.25)
        part += bump(s * s * 0.7) * (np.float32(lift * frame.person.lips) * smooth(1.0, 0.5, np.abs(m.x)))
    corner = hill(np.abs(m.x), m.v, (1.02, LEVEL + 0.02 - 0.045 * frame.person.smile), (0.2, 0.04))
    part -= corner * np.float32(0.02)


def mouth(frame: Frame, surface: Surface) -> None:
    """Paint lips, teeth and nostrils."""
    p, px = frame.person, frame.px
    m = Mouth(frame)
    where, x, v = m.where, m.x, m.v
    soft = px * 2.2 + 0.004 * (1 - p.makeup)
    # Lips: their skin has fine creases across, and more gloss under make-up.
    lips = smooth(-soft, soft, v - m.top) * smooth(-soft, soft, m.bottom - v)
    at = np.float32(p.texture)
    creases = noise(x * 17 + at + 0.35 * noise(x * 5, v * 30, 1), v * 9, 2) + 0.6 * noise(x * 31 + at, v * 16, 3)
    skin = colour(p.lip_colour) * (1 + 0.13 * creases) * (0.82 + 0.18 * smooth(m.parting, m.bottom + 1e-4, v))
    surface.tint(where, lips * smooth(1.04, 0.9, np.abs(x)) * 0.92, skin)
    gloss = surface.gloss[where]
    gloss += (0.35 + 0.5 * p.makeup + 0.12 * creases - gloss) * lips * 0.8
    if p.gape > 0:
        _inside(frame, surface, m)
    # The dark line between the lips, and the corners.
    d = (v - m.parting) * (1 / (0.008 + px))
    line = bump(d * d) * smooth(1.1, 0.95, np.abs(x)) * (0.85 if p.gape == 0 else 0.45)
    corner = hill(np.abs(x), v, (1.0, LEVEL + 0.02 - 0.045 * p.smile), (0.1, 0.018)) * 0.7
    surface.tint(where, np.clip(line + corner, 0, 0.9), colour([c * 0.16 for c in p.lip_colour]))
    _nostrils(frame, surface)


def _inside(frame: Frame, surface: Surface, m: Mouth) -> None:
    """Darkness, and a row of teeth that fades towards the corners."""
    px = frame.px
    hole = edge(m.v - m.parting, px) * edge(m.under - m.v, px) * smooth(1.0, 0.97, np.abs(m.x))
    dark = colour((0.035, 0.009, 0.008))
    # Teeth: wider in the middle, a gap between each two, shaded from the lip above.
    tooth = m.x * (0.19 * 1 / 0.052)
    tooth = tooth * (1 + 0.1 * np.abs(tooth))
    within = tooth - np.floor(tooth) - 0.5
    gap = smooth(0.5, 0.44, np.abs(within)) * 0.55 + 0.45
    low = m.parting + 0.046 - 0.012 * m.x * m.x * 2 - 0.006 * (1 - smooth(0.3, 0.5, np.abs(within)))
    row = edge(low - m.v, px) * smooth(1.0, 0.72, np.abs(m.x))
    shade = gap * (1 - 0.55 * smooth(0.25, 0.85, np.abs(m.x))) * (0.55 + 0.45 * smooth(0.0, 0.014, m.v - m.parting))
    inside = mix(dark * np.ones_like(shade), colour((0.8, 0.76, 0.68)) * shade, row[None])
    surface.tint(m.where, hole, inside)
    gloss = surface.gloss[m.where]
    gloss += (0.25 - gloss) * hole


def _nostrils(frame: Frame, surface: Surface) -> None:
    p = frame.person
    where = frame.window(0.0, p.nose_length, 0.2, 0.09)
    u, v = frame.u[where] - np.float32(0.09 * p.yaw), frame.v[where]
    au = np.abs(u)
    hole = hill(au, v + 0.25 * (au - 0.05), (0.052 * p.nose_width, p.nose_length - 0.012), (0.042, 0.021))
    side = au - 0.14 * p.nose_width
    d = (side + 2.2 * (v - p.nose_length + 0.045) * (v - p.nose_length + 0.045) * 3) * (1 / 0.016)
    wing = bump(d * d) * smooth(0.075, 0.03, np.abs(v - p.nose_length + 0.04)) * 0.22
    surface.tint(
        where, np.clip(hole * 1.3, 0, 0.86), colour([c * f for c, f in zip(p.skin, (0.1, 0.05, 0.05), strict=True)])
    )
    surface.tint(where, wing, colour([c * 0.25 for c in p.skin]))
