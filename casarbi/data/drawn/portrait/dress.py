"""Neck, ears, shoulders and what is worn on them."""

from __future__ import annotations

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, bump, colour, hill, mix, smooth, wave
from casarbi.data.drawn.portrait.frame import EYE_DEPTH, Frame, edge
from casarbi.data.drawn.portrait.lattice import cloud, noise
from casarbi.data.drawn.portrait.light import Surface
from casarbi.data.drawn.portrait.skin import offset


def neck(frame: Frame, surface: Surface) -> None:
    """Neck and upper chest, with the two muscles that meet between the collar bones."""
    where = frame.window(-0.3 * frame.person.yaw, 0.9, 0.7, 0.62)
    frame, surface = frame.crop(where), surface.crop(where)
    p, px = frame.person, frame.px
    x, y = frame.x + np.float32(0.22 * p.yaw), frame.y
    half = p.width * (0.6 if p.woman else 0.72) + 0.9 * smooth(0.88, 1.75, y) + 0.03 * smooth(0.85, 0.55, y)
    s = x / half
    z = np.sqrt(np.maximum(1 - s * s, 0)) * 0.28 - 0.42 + 0.2 * smooth(0.9, 1.6, y)
    cord = np.abs(x) - 0.24 * smooth(1.35, 0.7, y) - 0.03
    z += bump(cord * cord * (1 / 0.0049)) * np.float32(0.014)
    z -= hill(x, y, (0.0, 1.22), (0.07, 0.08)) * np.float32(0.03)
    blotch = cloud(frame.columns, frame.rows, (0.3, 0.1, 0.04, 0.016), offset(frame, 9), 2.0 / frame.n, 0.75)
    skin = colour([c * 0.93 for c in p.skin]) * (1 + 0.04 * blotch)
    surface.put(edge(half - np.abs(x), px) * smooth(0.3, 0.4, y), skin, z, px, 0.12, 1.0)


def ears(frame: Frame, surface: Surface) -> None:
    """Two ears behind the edge of the face; hair may cover them later."""
    p, px = frame.person, frame.px
    for side in (-1, 1):
        at = side * p.width - EYE_DEPTH * p.yaw, 0.11 - EYE_DEPTH * p.pitch
        where = frame.window(at[0], at[1], 0.2, 0.26)
        near = frame.crop(where)
        x, y = near.x * side - np.float32(side * at[0] + 0.01), near.y - np.float32(at[1])
        x = x + 0.22 * y
        # An egg with a rolled rim, a groove inside it and a dark middle.
        r2 = x * x * (1 / 0.0064) + y * y * (1 / 0.0361) * (1 - 0.9 * y)
        r = np.sqrt(np.maximum(r2, 0))
        rim = bump((r - 0.8) * (r - 0.8) * 18)
        z = 0.02 * bump(r2 * 0.5) - 0.12 + 0.025 * rim - 0.02 * bump((r - 0.5) * (r - 0.5) * 20)
        deep = 0.5 * bump((r - 0.5) * (r - 0.5) * 14) + 0.25 * hill(x, y, (-0.02, 0.02), (0.05, 0.09))
        red = colour([c * f for c, f in zip(p.skin, (1.0, 0.84, 0.82), strict=True)]) * (1 - deep)
        surface.crop(where).put(edge((1 - r) * 0.08, px), red, z, px, 0.1, 1.0)


def garment(frame: Frame, surface: Surface) -> None:
    """Shoulders under cloth: neckline, folds, collar and weave."""
    where = frame.below(0.72)
    frame, surface = frame.crop(where), surface.crop(where)
    p, px = frame.person, frame.px
    x, y = frame.x, frame.y
    ax = np.abs(x)
    crumple = cloud(frame.columns, frame.rows, (0.5, 0.25, 0.13), offset(frame, 8), 2.0 / frame.n, 0.5)
    # Ridges where the cloud crosses zero are the folds; the shoulder's own line stays smooth.
    folds = 1 - np.minimum(np.abs(crumple) * 3, 1)
    shoulder = 0.82 + 0.3 * ax * ax + (0.05 if p.woman else 0.0) + 0.012 * crumple
    z = -0.2 + 0.3 * smooth(0.8, 1.6, y) - 0.2 * ax * ax + 0.03 * crumple + 0.014 * folds * folds
    # Weave and hem lie on the folds.
    body, tone, relief = _cloth(frame, p.garment_colour, p.second_colour)
    z = z + relief * np.float32(0.0018)
    neckline = _neckline(frame, x, ax, y)
    hem = neckline * (1 / 0.045)
    hem = bump((hem - 0.5) * (hem - 0.5) * 3)
    cover = edge(y - shoulder, px) * edge(neckline, px)
    surface.put(cover, body * (tone * (1 - 0.1 * hem)), z + 0.012 * hem, px, 0.04, 0.0)
    if p.garment in ("shirt", "jacket"):
        _collar(frame, surface, ax, y, z)


def _neckline(frame: Frame, x: Array, ax: Array, y: Array) -> Array:
    """Signed distance outside the opening for the neck."""
    p = frame.person
    if p.garment == "high":
        return y - 0.76 - 0.25 * ax * ax
    if p.garment == "crew":
        return (np.sqrt(x * x * (1 / 0.16) + (y - 0.84) * (y - 0.84) * (1 / 0.0484)) - 1) * 0.22
    deep = 1.5 if p.garment == "vee" else 1.36
    return ax - 0.43 * smooth(deep, 0.72, y)


def _collar(frame: Frame, surface: Surface, ax: Array, y: Array, z: Array) -> None:
    """Two flaps beside the opening; on a jacket, lapels over a shirt of the second colour."""
    p, px = frame.person, frame.px
    d = ax - 0.43 * smooth(1.36, 0.72, y)
    wide = 0.13 if p.garment == "shirt" else 0.2
    flap = edge(d + 0.012, px) * edge(wide - d - 0.35 * np.maximum(y - 1.0, 0), px)
    flap = flap * edge(y - 0.85 - 0.3 * d, px) * edge(1.14 + 0.5 * d - y, px)
    base = p.garment_colour if p.garment == "shirt" else p.second_colour
    body, tone, relief = _cloth(frame, base, base)
    stitch = 0.004 * bump((d - wide + 0.03) * (d - wide + 0.03) * (1 / 0.000144))
    surface.put(flap, body * (tone * 1.08), z + 0.05 - 0.14 * d + stitch + relief * np.float32(0.0012), px, 0.05, 0.0)


def _cloth(
    frame: Frame, first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[Array, Array, Array]:
    """Colour (3, ...), brightness and relief (n, n) of the fabric."""
    p = frame.person
    x, y = frame.x, frame.y
    bend = 0.02 * noise(x * 3, y * 3, 6)
    fx, fy = x + bend, y + bend + 0.1 * x * x
    # A weave that is finer than a pixel would alias: it fades out as the image gets smaller.
    seen = min(max(0.02 / frame.px - 0.9, 0.0), 1.0)
    fuzz = noise(x * 95, y * 95, 7) * min(max(0.0105 / frame.px - 0.5, 0.0), 1.0)
    body = colour(first) * np.ones_like(x)
    if p.pattern == "knit":
        lean = np.abs(fx * 22 - np.floor(fx * 22) - 0.5)
        thread = wave(fy * 28 + lean * 1.4) * (0.5 + lean)
        relief = thread + 0.4 * fuzz
    elif p.pattern == "rib":
        relief = 1.2 * wave(fx * 24) + 0.4 * fuzz
    else:
        relief = (wave(fx * 46) * wave(fy * 46) + 0.5 * wave((fx + fy) * 46)) * np.float32(seen) + 0.6 * fuzz
    if p.pattern == "stripe":
        body = mix(body, colour(second), smooth(-0.15, 0.15, wave(fy * 7) - 0.2)[None])
    elif p.pattern == "check":
        band = smooth(-0.1, 0.1, wave(fx * 5) - 0.3) + smooth(-0.1, 0.1, wave(fy * 5) - 0.3)
        body = mix(body, colour(second), (0.5 * band)[None])
    return body, 1 + 0.13 * relief, relief
