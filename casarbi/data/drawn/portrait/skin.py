"""Skin: colour, blotches, freckles, pores, stubble and brows."""

from __future__ import annotations

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, bump, hill, mix, smooth
from casarbi.data.drawn.portrait.frame import EYE, Frame
from casarbi.data.drawn.portrait.head import fold_line
from casarbi.data.drawn.portrait.lattice import cloud, noise, sheet

PORES = (0.021, 0.0125, 0.0078)  # face units


def offset(frame: Frame, salt: int) -> float:
    """Where this person reads a noise lattice: the same at every size."""
    return (frame.person.texture + 37.77 * salt) % 251


def pores(frame: Frame) -> Array:
    """Relief of the skin in [-1, 1] or so: pores and fine creases, (n, n)."""
    return cloud(frame.columns, frame.rows, PORES, offset(frame, 1), 2.0 / frame.n, 0.85)


def albedo(frame: Frame, relief: Array) -> Array:
    """Linear-light reflectance of bare facial skin, (3, n, n)."""
    p = frame.person
    blotch = cloud(frame.columns, frame.rows, (0.34, 0.17, 0.085, 0.04, 0.02), offset(frame, 2), 2.0 / frame.n, 0.72)
    tone = 1 + 0.05 * blotch + 0.035 * relief
    red = blotch * np.float32(0.22)
    frame.stamp(red, (0.31, 0.24), (0.2, 0.18), 1.0)
    frame.stamp(red, (0.0, p.nose_length - 0.06), (0.13, 0.1), 0.9)
    frame.stamp(red, (0.0, p.chin - 0.12), (0.15, 0.12), 0.4)
    red *= np.float32(0.16 * p.redness + 0.12 * p.makeup)
    np.clip(red, -0.1, 0.45, out=red)
    shade = _spots(frame)
    frame.stamp(shade, (EYE - 0.02, 0.075), (0.15, 0.07), 0.1 + 0.16 * p.age)
    frame.stamp(shade, (EYE - 0.01, -0.05), (0.16, 0.07), 0.06 + 0.12 * p.makeup)
    where = frame.window(0.0, 0.43, 0.36, 0.2)
    fold = fold_line(frame.crop(where)) * (1 / 0.022)
    v = frame.v[where]
    shade[where] += bump(fold * fold) * smooth(0.26, 0.34, v) * smooth(0.56, 0.42, v) * np.float32(0.05 + 0.1 * p.age)
    skin = np.stack([tone * np.float32(c) for c in p.skin])
    for channel, (blood, dark) in zip(skin, ((0.1, 0.62), (0.62, 0.85), (0.58, 0.9)), strict=True):
        channel *= (1 - np.float32(blood) * red) * (1 - np.float32(dark) * shade)
    return skin


def _spots(frame: Frame) -> Array:
    """Freckles over nose and cheeks, and a few moles: darkness between 0 and 0.7."""
    p = frame.person
    px = 2.0 / frame.n
    place = hill(np.abs(frame.u), frame.v, (0.2, 0.2), (0.36, 0.32))
    grid = frame.columns, frame.rows
    fine = 1.0 if px < 0.011 else 0.4
    dots = sheet(*grid, 0.024, offset(frame, 3)) + np.float32(0.45 * fine) * sheet(*grid, 0.013, offset(frame, 4), 1)
    spots = smooth(0.35, 1.15, dots) * (place * np.float32(0.5 * p.freckles) + np.float32(0.04 + 0.06 * p.age))
    moles = sheet(*grid, 0.034, offset(frame, 5), 2)
    return spots + 0.5 * smooth(0.965, 1.0, moles)


def brows(frame: Frame) -> tuple[Array, Array]:
    """Cover and shade of the eyebrows, hair by hair, (n, n) each."""
    p = frame.person
    au, v = np.abs(frame.u), frame.v
    t = (au - 0.09) * (1 / 0.31)
    arch = -0.155 - p.brow_raise - p.brow_arch * smooth(0.0, 0.62, t) + (0.025 + p.brow_arch) * smooth(0.55, 1.05, t)
    arch = arch - np.float32(p.brow_tilt) * (t - 0.4)
    half = 0.025 * p.brow_thick * (0.35 + 0.65 * smooth(1.02, 0.35, t)) * smooth(-0.12, 0.16, t)
    d = v - arch
    # Hairs rise steeply by the nose and lie along the brow towards the temple.
    lean = mix(0.5, 2.4, np.clip(t, 0, 1))
    across = (au + d * lean) * 62
    at = np.float32(offset(frame, 12))
    hairs = noise(across + at, v * 11 + np.sign(frame.u) * 3, 3) + 0.7 * noise(across * 2.1 + at, v * 17, 4)
    inside = 1 - np.abs(d) / np.maximum(half, 0.004)
    cover = smooth(-0.75, 0.75, inside + 0.5 * hairs) * smooth(-0.06, 0.08, t) * smooth(1.06, 0.9, t)
    dense = 0.86 if p.style != "bald" and p.grey < 0.6 else 0.6
    return cover * np.float32(dense), np.clip(0.75 + 0.4 * hairs, 0.2, 1.6)


def beard(frame: Frame) -> tuple[Array, Array]:
    """Cover and shade of facial hair; strands fall and lean away from the middle."""
    p = frame.person
    u, v, au = frame.u, frame.v, np.abs(frame.u)
    droop = (v - 0.407 - 0.3 * au * au - 0.012 * p.smile) / (0.068 - 0.14 * np.minimum(au, 0.3))
    area = np.minimum(1.7 * bump(droop * droop * 0.55), 1) * smooth(0.3, 0.17, au)
    if p.beard in ("goatee", "full", "stubble"):
        ring = np.sqrt(u * u * (1 / 0.050625) + (v - 0.55) * (v - 0.55) * (1 / 0.0361))
        area = np.maximum(area, bump((ring - 1) * (ring - 1) * 7) * smooth(0.38, 0.5, v))
        area = np.maximum(area, hill(u, v, (0.0, 0.76), (0.24, 0.26)) * 1.3)
    if p.beard in ("full", "stubble"):
        line = 0.1 + 0.46 * (1 - au * au * (1 / 0.2704))
        area = np.maximum(area, smooth(-0.06, 0.12, v - line) * smooth(0.06, 0.16, v))
    lips = hill(u, v, (0.0, 0.51 + 0.02 * p.gape), (0.27, 0.1 + 0.04 * p.gape))
    area = np.minimum(area, 1) * (1 - smooth(0.25, 0.75, lips))
    if p.beard == "stubble":
        dots = sheet(frame.columns, frame.rows, 0.0095, offset(frame, 6)) + sheet(
            frame.columns, frame.rows, 0.0062, offset(frame, 7), 1
        )
        return area * np.clip(0.3 + 0.25 * dots, 0, 0.8), np.ones_like(area)
    fall = u * (1.0 - 0.35 * smooth(0.3, 0.9, v)) * 58 + 1.6 * noise(u * 9, v * 9, 5)
    at = np.float32(offset(frame, 13))
    hairs = noise(fall + at, v * 8, 3) + 0.75 * noise(fall * 2.1 + at, v * 15, 4)
    cover = smooth(0.05, 0.95, 0.85 * area + 0.32 * hairs * (1.3 - area)) * smooth(0.02, 0.3, area)
    return cover * np.float32(0.72 + 0.22 * p.length), np.clip(0.8 + 0.55 * hairs, 0.15, 2.2)
