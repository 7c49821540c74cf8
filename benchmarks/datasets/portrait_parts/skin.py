"""Skin: colour, blotches, freckles, pores, stubble and brows."""

from __future__ import annotations

import numpy as np

from benchmarks.datasets.portrait_parts.exact import Array, bump, colour, hill, mix, smooth
from benchmarks.datasets.portrait_parts.frame import EYE, Frame
from benchmarks.datasets.portrait_parts.head import fold_line
from benchmarks.datasets.portrait_parts.lattice import cloud, noise, sheet

PORES = (0.021, 0.0125, 0.0078)  # face units


def offset(frame: Frame, salt: int) -> float:
    """Where this person reads a noise lattice: the same at every size."""
    return float((frame.person.seed * 7919 + salt * 104729) % 251) + 0.37


def pores(frame: Frame) -> Array:
    """Relief of the skin in [-1, 1] or so: pores and fine creases, (n, n)."""
    return cloud(frame.columns, frame.rows, PORES, offset(frame, 1), 2.0 / frame.n, 0.85)


def albedo(frame: Frame, relief: Array) -> Array:
    """Linear-light reflectance of bare facial skin, (3, n, n)."""
    p, u, v = frame.person, frame.u, frame.v
    au = np.abs(u)
    blotch = cloud(frame.columns, frame.rows, (0.34, 0.17, 0.085, 0.04, 0.02), offset(frame, 2), 2.0 / frame.n, 0.72)
    tone = 1 + 0.05 * blotch + 0.035 * relief
    red = hill(au, v, (0.31, 0.24), (0.2, 0.18)) + 0.9 * hill(u, v, (0, p.nose_length - 0.06), (0.13, 0.1))
    red += 0.4 * hill(u, v, (0, p.chin - 0.12), (0.15, 0.12)) + 0.22 * blotch
    red *= np.float32(0.32 * p.redness + 0.25 * p.makeup)
    shade = hill(au, v, (EYE - 0.02, 0.075), (0.15, 0.07)) * np.float32(0.1 + 0.16 * p.age)
    shade += 0.14 * hill(au, v, (EYE - 0.01, -0.05), (0.16, 0.07)) * (1 + p.makeup * 1.2)
    fold = fold_line(frame) * (1 / 0.022)
    shade += bump(fold * fold) * smooth(0.26, 0.34, v) * smooth(0.56, 0.42, v) * (0.05 + 0.1 * p.age)
    shade += _spots(frame)
    skin = colour(p.skin) * tone
    skin *= 1 - colour((0.1, 0.62, 0.58)) * np.clip(red, -0.2, 0.9) * np.float32(0.5)
    skin *= 1 - colour((0.62, 0.85, 0.9)) * shade
    return skin


def _spots(frame: Frame) -> Array:
    """Freckles over nose and cheeks, and a few moles: darkness between 0 and 0.7."""
    p = frame.person
    px = 2.0 / frame.n
    place = hill(np.abs(frame.u), frame.v, (0.2, 0.2), (0.36, 0.32))
    dots = sheet(frame.columns, frame.rows, 0.02, offset(frame, 3)) + 0.6 * sheet(
        frame.columns, frame.rows, 0.011, offset(frame, 4), 1
    ) * (1.0 if px < 0.011 else 0.4)
    spots = smooth(0.55, 1.15, dots) * (place * np.float32(0.6 * p.freckles) + np.float32(0.05 + 0.08 * p.age))
    moles = sheet(frame.columns, frame.rows, 0.034, offset(frame, 5), 2)
    return spots + 0.5 * smooth(0.985, 1.0, moles)


def brows(frame: Frame) -> tuple[Array, Array]:
    """Cover and shade of the eyebrows, hair by hair, (n, n) each."""
    p = frame.person
    au, v = np.abs(frame.u), frame.v
    t = (au - 0.09) * (1 / 0.31)
    arch = -0.155 - p.brow_raise - 0.03 * smooth(0.0, 0.62, t) + 0.055 * smooth(0.55, 1.05, t)
    half = 0.021 * p.brow_thick * (0.35 + 0.65 * smooth(1.02, 0.35, t)) * smooth(-0.12, 0.16, t)
    d = v - arch
    # Hairs rise steeply by the nose and lie along the brow towards the temple.
    lean = mix(0.5, 2.4, np.clip(t, 0, 1))
    across = (au + d * lean) * 62
    hairs = noise(across, v * 11 + np.sign(frame.u) * 3, 3) + 0.7 * noise(across * 2.1, v * 17, 4)
    inside = 1 - np.abs(d) / np.maximum(half, 0.004)
    cover = smooth(-0.55, 0.85, inside + 0.6 * hairs) * smooth(-0.06, 0.08, t) * smooth(1.06, 0.9, t)
    dense = 0.86 if p.style != "bald" and p.grey < 0.6 else 0.6
    return cover * np.float32(dense), np.clip(0.75 + 0.4 * hairs, 0.2, 1.6)


def beard(frame: Frame) -> tuple[Array, Array] | None:
    """Cover and shade of facial hair, or None; strands fall and lean away from the middle."""
    p = frame.person
    if p.beard == "none":
        return None
    u, v, au = frame.u, frame.v, np.abs(frame.u)
    mouth = hill(u, v, (0.0, 0.5), (0.2, 0.06 + 0.05 * p.gape))
    moustache = smooth(0.345, 0.375, v - 0.25 * au * au) * smooth(0.5, 0.46, v - 0.5 * au * au) * smooth(0.24, 0.17, au)
    goatee = smooth(0.24, 0.16, au) * smooth(0.54, 0.62, v)
    line = 0.2 + 0.55 * smooth(0.5, 0.2, au)
    full = smooth(0.0, 0.09, v - line - 0.04 + 0.1 * smooth(0.4, 0.5, au)) * smooth(-0.16, 0.03, v - 0.3 + au * 0.1)
    area = moustache
    if p.beard == "goatee":
        area = np.maximum(moustache, np.maximum(goatee, smooth(0.2, 0.18, au) * smooth(0.16, 0.2, au) * (v > 0.4)))
    elif p.beard in ("full", "stubble"):
        area = np.maximum(np.maximum(moustache, full), goatee)
    area = area * (1 - smooth(0.1, 0.7, mouth))
    if p.beard == "stubble":
        dots = sheet(frame.columns, frame.rows, 0.0095, offset(frame, 6)) + sheet(
            frame.columns, frame.rows, 0.0062, offset(frame, 7), 1
        )
        return area * np.clip(0.26 + 0.3 * dots, 0, 0.8), np.ones_like(area)
    fall = u * (1.0 - 0.35 * smooth(0.3, 0.9, v)) * 58 + 1.6 * noise(u * 9, v * 9, 5)
    hairs = noise(fall, v * 8, 3) + 0.75 * noise(fall * 2.1, v * 15, 4)
    cover = smooth(0.1, 0.75, area * 1.15 + 0.22 * hairs) * smooth(0.0, 0.25, area)
    return cover * np.float32(0.93), np.clip(0.8 + 0.55 * hairs, 0.15, 2.2)
