"""Neck, ears, shoulders and what is worn on them."""

from __future__ import annotations

import numpy as np

from benchmarks.datasets.portrait_parts.exact import Array, bump, colour, hill, mix, smooth, wave
from benchmarks.datasets.portrait_parts.frame import Frame, edge
from benchmarks.datasets.portrait_parts.lattice import cloud, noise
from benchmarks.datasets.portrait_parts.light import Surface
from benchmarks.datasets.portrait_parts.skin import offset


def neck(frame: Frame, surface: Surface, skin: Array) -> None:
    """Neck and upper chest, with the two muscles that meet between the collar bones."""
    p, px = frame.person, frame.px
    x, y = frame.x - np.float32(0.25 * p.yaw), frame.y
    half = p.width * (0.62 if p.woman else 0.72) + 1.1 * smooth(0.86, 1.5, y) + 0.03 * smooth(0.85, 0.55, y)
    inside = half - np.abs(x)
    cover = edge(inside, px) * smooth(0.3, 0.4, y)
    s = x / half
    z = np.sqrt(np.maximum(1 - s * s, 0)) * 0.3 - 0.13 + 0.16 * smooth(0.9, 1.5, y)
    cord = np.abs(x) - 0.24 * smooth(1.35, 0.7, y) - 0.03
    z += bump(cord * cord * (1 / 0.07**2)) * np.float32(0.02)
    z -= hill(x, y, (0.0, 1.22), (0.07, 0.08)) * np.float32(0.03)
    surface.put(cover, skin * np.float32(0.93), z, px, 0.12, 1.0)


def ears(frame: Frame, surface: Surface, skin: Array) -> None:
    """Two ears behind the edge of the face; hair may cover them later."""
    p, px = frame.person, frame.px
    for side in (-1, 1):
        x = frame.x * side - np.float32(p.width + 0.0 + side * p.yaw * 0.28)
        y = frame.y - np.float32(0.1 + 0.2 * p.pitch)
        r2 = (x - 0.12 * y * -1) * (x + 0.12 * y) * (1 / 0.085**2) + y * y * (1 / 0.19**2)
        r = np.sqrt(np.maximum(r2, 0))
        cover = edge((1 - r) * 0.08, px)
        z = (
            0.02 * bump(r2 * 0.5)
            - 0.05
            + 0.03 * bump((r - 0.82) * (r - 0.82) * 18)
            - 0.02 * bump((r - 0.5) * (r - 0.5) * 20)
        )
        red = skin * colour((1.0, 0.82, 0.8)) * (1 - 0.45 * bump((r - 0.55) * (r - 0.55) * 16))
        surface.put(cover, red, z, px, 0.1, 1.0)


def garment(frame: Frame, surface: Surface) -> None:
    """Shoulders under cloth: neckline, folds, collar and weave."""
    p, px = frame.person, frame.px
    x, y = frame.x, frame.y
    ax = np.abs(x)
    shoulder = (
        0.93 + 0.55 * np.maximum(ax - 0.3, 0) * np.maximum(ax - 0.3, 0) + 0.12 * ax + (0.04 if p.woman else -0.02)
    )
    crumple = cloud(frame.columns, frame.rows, (0.5, 0.25, 0.13), offset(frame, 8), 2.0 / frame.n, 0.5)
    cover = edge(y - shoulder, px)
    z = 0.1 + 0.28 * smooth(0.9, 1.7, y) - 0.22 * ax * ax + 0.03 * crumple
    body, tone, relief = _cloth(frame, p.garment_colour, p.second_colour)
    z = z + relief * np.float32(0.0022)
    neckline = _neckline(frame, x, ax, y)
    put = cover * edge(neckline, px)
    hem = neckline * (1 / 0.05)
    hem = bump((hem - 0.5) * (hem - 0.5) * 3)
    surface.put(put, body * tone * (1 - 0.12 * hem), z + 0.012 * hem, px, 0.04, 0.0)
    if p.garment in ("shirt", "jacket"):
        _collar(frame, surface, x, ax, y, z)


def _neckline(frame: Frame, x: Array, ax: Array, y: Array) -> Array:
    """Signed distance outside the opening for the neck."""
    p = frame.person
    if p.garment == "high":
        return y - 0.8 - 0.25 * ax * ax
    if p.garment == "crew":
        return (np.sqrt(x * x * (1 / 0.5**2) + (y - 0.85) * (y - 0.85) * (1 / 0.24**2)) - 1) * 0.24
    deep = 1.5 if p.garment == "vee" else 1.36
    return ax - 0.46 * smooth(deep, 0.75, y)


def _collar(frame: Frame, surface: Surface, x: Array, ax: Array, y: Array, z: Array) -> None:
    """Two flaps beside the opening; on a jacket, lapels over a shirt of the second colour."""
    p, px = frame.person, frame.px
    open_at = 0.46 * smooth(1.36, 0.75, y)
    d = ax - open_at
    wide = 0.2 if p.garment == "shirt" else 0.28
    flap = edge(d + 0.01, px) * edge(wide - d - 0.5 * np.maximum(y - 1.08, 0), px) * smooth(0.78, 0.84, y - 0.1 * ax)
    flap = flap * edge(1.24 + 0.25 * ax - y, px)
    base = p.garment_colour if p.garment == "shirt" else p.second_colour
    body, tone, relief = _cloth(frame, base, base)
    lift = 0.07 - 0.12 * d + 0.004 * bump((d - wide + 0.03) * (d - wide + 0.03) * (1 / 0.012**2))
    surface.put(flap, body * tone * 1.08, z + lift + relief * np.float32(0.0012), px, 0.05, 0.0)


def _cloth(
    frame: Frame, first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[Array, Array, Array]:
    """Colour (3, ...), brightness and relief (n, n) of the fabric."""
    p = frame.person
    x, y = frame.x, frame.y
    bend = 0.02 * noise(x * 3, y * 3, 6)
    fx, fy = x + bend, y + bend + 0.1 * x * x
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
