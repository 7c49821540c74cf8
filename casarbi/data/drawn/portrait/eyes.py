"""Eyes: sclera, iris with fibres, pupil, catchlight, lids, crease and lashes, each eye in its own window."""

from __future__ import annotations

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, bump, colour, mix, smooth
from casarbi.data.drawn.portrait.frame import EYE, Frame, edge
from casarbi.data.drawn.portrait.lattice import noise
from casarbi.data.drawn.portrait.light import Surface
from casarbi.data.drawn.portrait.skin import offset

HALF = 0.124  # half the width of the opening
IRIS = 0.053


def eyes(frame: Frame, surface: Surface) -> None:
    """Paint both eyes on the lit surface's albedo, gloss, normals and glow."""
    for side in (-1, 1):
        where = frame.window(side * EYE, -0.01, 0.18, 0.12)
        _eye(frame, surface, where, side)


def _eye(frame: Frame, surface: Surface, where: tuple[slice, slice], side: int) -> None:
    p = frame.person
    ex = frame.u[where] * side - EYE
    ey = frame.v[where] + np.float32(p.eye_tilt) * ex
    x = ex * (1 / HALF)
    arch = 1 - x * x
    upper = -0.053 * p.eye_open * arch * (1 - 0.22 * x)
    lower = (0.032 + 0.004 * p.eye_open) * arch * (1 + 0.25 * x) - 0.006 * max(p.smile, 0)
    hole = edge(ey - upper, frame.px) * edge(lower - ey, frame.px)
    _lids(frame, surface, where, x, ey, upper, lower)
    _ball(frame, surface, where, side, (ex, ey), hole, upper)
    _lashes(frame, surface, where, x, ey, upper, lower)


def _lids(
    frame: Frame, surface: Surface, where: tuple[slice, slice], x: Array, ey: Array, upper: Array, lower: Array
) -> None:
    """Crease over the lid, painted lid, moist edge under the eye."""
    p = frame.person
    crease = upper * 1.05 - 0.024 - 0.012 * (1 - x * x)
    d = (ey - crease) * (1 / 0.011)
    line = bump(d * d) * smooth(1.35, 0.9, np.abs(x)) * np.float32(0.5 * p.crease)
    d = (ey - crease + 0.014) * (1 / 0.03)
    line += bump(d * d) * smooth(1.5, 0.6, np.abs(x)) * np.float32(0.18 * p.crease)
    dark = colour([c * 0.22 for c in p.skin])
    surface.tint(where, np.clip(line, 0, 0.8), dark)
    lid = smooth(-0.01, 0.006, ey - crease) * smooth(0.0, -0.01, ey - upper) * smooth(1.2, 0.8, np.abs(x))
    surface.tint(where, lid * np.float32(0.1 + 0.35 * p.makeup), dark)
    rim = (ey - lower - 0.004) * (1 / 0.009)
    rim = bump(rim * rim) * smooth(1.05, 0.8, np.abs(x))
    surface.tint(where, rim * np.float32(0.4), colour((p.skin[0] * 1.05, p.skin[1] * 0.72, p.skin[2] * 0.72)))


def _ball(
    frame: Frame,
    surface: Surface,
    where: tuple[slice, slice],
    side: int,
    at: tuple[Array, Array],
    hole: Array,
    upper: Array,
) -> None:
    """Sclera and iris in the opening, in the shade of the upper lid, with the key light mirrored in them."""
    p, px = frame.person, frame.px
    ex, ey = at
    gx, gy = ex - np.float32(side * p.gaze[0]), ey - np.float32(p.gaze[1]) + 0.006
    r = np.sqrt(gx * gx + gy * gy)
    veins = noise(ex * 60, ey * 90 + side * 9, 5)
    pink = smooth(0.055, 0.125, np.abs(ex)) * (0.4 + 0.3 * veins)
    white = colour((0.47, 0.445, 0.43)) * (1 - colour((0.1, 0.5, 0.5)) * pink) * (1 + 0.03 * veins)
    tear = smooth(-0.088, -0.108, ex)
    white = mix(white, colour((0.5, 0.25, 0.22)), tear[None])
    albedo = mix(white, _iris(frame, gx, gy, r), edge(IRIS - r, px * 1.6)[None])
    lid = 0.3 + 0.7 * smooth(0.0, 0.042, ey - upper)
    round_off = 1 - 0.3 * smooth(0.05, 0.125, np.abs(ex))
    surface.tint(where, hole, albedo * (lid * round_off))
    for channel, slope in ((0, gx), (1, gy)):
        part = surface.normal[channel][where]
        part += (slope * 4.5 * (1 if channel else side) - part) * hole
    surface.gloss[where] *= 1 - hole
    surface.blood[where] *= 1 - 0.6 * hole
    _catchlight(frame, surface, where, side, gx, gy, hole)


def _iris(frame: Frame, gx: Array, gy: Array, r: Array) -> Array:
    """Colour of iris and pupil: fibres along the radius, pale collarette, dark limbal ring."""
    p, px = frame.person, frame.px
    # The diamond's angle stands in for atan2, whose last bit differs between machines.
    turn = gx / (np.abs(gx) + np.abs(gy) + 1e-6)
    turn = np.where(gy > 0, turn, 2 - turn)
    s = r * (1 / IRIS)
    at = np.float32(offset(frame, 14))
    fibres = noise(turn * 15 + at, s * 2.5, 6) + 0.7 * noise(turn * 31 + at, s * 4, 7)
    ring = bump((s - 0.52) * (s - 0.52) * 16)
    level = (0.85 + 0.55 * fibres * smooth(0.3, 0.6, s)) * (1 - 0.78 * smooth(0.72, 1.0, s)) + 0.4 * ring
    # Light that enters from above lights the iris below the pupil.
    level = level * (1 + 0.55 * gy * (1 / IRIS) - 0.25 * gx * (1 / IRIS) * np.float32(p.light[0]))
    iris = colour(p.iris) * np.maximum(level, 0.1) * 1.15
    warm = colour((1.5, 1.0, 0.55))
    iris = iris * mix(np.ones_like(warm), warm, (ring * 0.6)[None])
    return mix(iris, colour((0.006, 0.006, 0.007)), edge(0.019 - r, px)[None])


def _catchlight(
    frame: Frame, surface: Surface, where: tuple[slice, slice], side: int, gx: Array, gy: Array, hole: Array
) -> None:
    p, px = frame.person, frame.px
    cx, cy = side * p.light[0] * 0.027, p.light[1] * 0.026 + 0.002
    # A window is square, a lamp round: the power of the norm decides.
    ax, ay = np.abs(gx - np.float32(cx)), np.abs(gy - np.float32(cy))
    round_norm = np.sqrt(ax * ax + ay * ay)
    distance = mix(round_norm, np.maximum(ax, ay), 0.8 if p.seed % 2 else 0.0)
    spark = edge(0.0095 - distance, px) * 0.95
    low = np.sqrt((gx + cx * 0.8) * (gx + cx * 0.8) + (gy - 0.022) * (gy - 0.022))
    spark = spark + edge(0.007 - low, px * 2) * 0.09
    surface.glow[where] += spark * hole


def _lashes(
    frame: Frame, surface: Surface, where: tuple[slice, slice], x: Array, ey: Array, upper: Array, lower: Array
) -> None:
    """Line of the upper lashes and single hairs over and under the eye."""
    p, px = frame.person, frame.px
    span = smooth(1.12, 0.96, np.abs(x))
    d = (ey - upper) * (1 / (0.0065 + 0.0045 * p.lashes + 0.4 * px))
    line = bump(d * d) * span * np.float32(0.55 + 0.4 * p.lashes)
    away = upper - ey
    length = (0.026 + 0.022 * np.clip(x, -0.5, 1)) * p.lashes + 0.004
    s = away / length
    hairs = noise((x - 0.35 * x * np.clip(s, 0, 1)) * 21, x * 0 + np.float32(p.texture), 8)
    upward = smooth(-0.5, 0.3, hairs - np.clip(s, 0, 1)) * (s > -0.2) * (s < 1) * smooth(1.18, 0.9, np.abs(x))
    below = (ey - lower - 0.006) * (1 / 0.014)
    downward = (
        smooth(0.1, 0.7, noise(x * 15, x * 0 + np.float32(p.texture + 5.5), 8) - below)
        * (below > 0)
        * (below < 1)
        * span
    )
    cover = np.maximum(np.maximum(line, upward * 0.8), downward * np.float32(0.3 * p.lashes))
    surface.tint(where, np.clip(cover, 0, 0.96), colour((0.012, 0.009, 0.008)))
