"""The head as a height field: skull, brow, sockets, nose, cheeks, lips, chin, folds."""

from __future__ import annotations

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, bump, hill, mix, smooth
from casarbi.data.drawn.portrait.frame import DEPTH, EYE, Frame


def height(frame: Frame) -> Array:
    """Depth of the bare head towards the camera, in face units, (n, n); 0 at the silhouette and outside."""
    p = frame.person
    z = np.sqrt(np.maximum(1 - frame.q * (0.55 + 0.45 * frame.q), 0)) * np.float32(DEPTH)
    where = frame.window(0.0, 0.12, 0.27, 0.32)
    z[where] += nose(frame.crop(where))
    frame.stamp(z, (EYE - 0.03, -0.005), (0.2, 0.14), -0.075)
    frame.stamp(z, (EYE, 0.0), (0.135, 0.085), 0.055)
    frame.stamp(z, (0.2, -0.165 - p.brow_raise), (0.26, 0.09), 0.022 if p.woman else 0.036)
    lift = 0.035 * max(p.smile, 0)
    frame.stamp(z, (0.33, 0.23 - lift), (0.21, 0.2), 0.03 + 0.03 * p.cheek + 0.6 * lift)
    frame.stamp(z, (0.38, 0.52), (0.16, 0.24), -0.035 * p.cheek * (0.4 + p.age))
    frame.stamp(z, (0.0, 0.47), (0.27, 0.24), 0.06)
    frame.stamp(z, (0.0, p.chin - 0.12), (0.17, 0.13), 0.06)
    frame.stamp(z, (0.0, 0.625), (0.16, 0.06), -0.03)
    frame.stamp(z, (0.0, 0.395), (0.036, 0.07), -0.007)
    folds(frame, z)
    return z


def nose(frame: Frame) -> Array:
    """Height of the nose over the face; its own parallax included, since it stands before the skull."""
    p = frame.person
    tip, base = p.nose_length - 0.06, p.nose_length
    v = frame.v
    along = np.clip((v + 0.05) / (tip + 0.05), 0, 1)
    ridge = mix(0.05, 0.125 * p.nose_height, along * along * (0.4 + 0.6 * along))
    # The underside is short: long at the columella, short above the wings.
    under = base + 0.03 - 2.6 * frame.u * frame.u
    ridge = ridge * smooth(under, under - 0.105, v) * smooth(-0.16, 0.03, v)
    u = frame.u - ridge * np.float32(p.yaw)
    half = mix(0.085, 0.145 * p.nose_width, along * along)
    across = u / half
    z = ridge * bump(0.6 * across * across)
    z += hill(u, v, (0.0, tip), (0.11 * p.nose_width, 0.095)) * np.float32(0.062 * p.nose_height)
    wing = hill(np.abs(u), v, (0.092 * p.nose_width, base - 0.04), (0.066, 0.068))
    return z + wing * np.float32(0.06)


def fold_line(frame: Frame) -> Array:
    """Horizontal distance to the fold that runs from the nose's wing to beside the mouth's corner."""
    t = np.clip((frame.v - 0.25) / 0.26, 0, 1.2)
    return np.abs(frame.u) - (0.15 + 0.115 * t * (1.35 - 0.35 * t) + 0.02 * max(frame.person.smile, 0))


def folds(frame: Frame, z: Array) -> None:
    """Press in the lines that age and smiling draw: nose to mouth, forehead, crow's feet, bags."""
    p = frame.person
    strength = 0.002 + 0.01 * p.age + 0.009 * max(p.smile, 0)
    where = frame.window(0.0, 0.43, 0.36, 0.2)
    near = frame.crop(where)
    d = fold_line(near) * (1 / 0.045)
    z[where] -= bump(d * d) * smooth(0.24, 0.32, near.v) * smooth(0.62, 0.45, near.v) * np.float32(strength)
    where = frame.window(0.0, 0.07, 0.45, 0.06)
    au, v = np.abs(frame.u[where]), frame.v[where]
    bag = (v - 0.085 + 0.9 * (au - EYE) * (au - EYE)) * (1 / 0.02)
    z[where] -= bump(bag * bag) * smooth(0.17, 0.06, np.abs(au - EYE)) * np.float32(0.003 + 0.008 * p.age)
    if p.age > 0.3:
        where = frame.window(0.0, -0.22, 0.52, 0.38)
        z[where] -= _wrinkles(frame.crop(where)) * np.float32(0.006 * (p.age - 0.3))


def _wrinkles(frame: Frame) -> Array:
    """Forehead lines and crow's feet, between 0 and 1."""
    u, v, au = frame.u, frame.v, np.abs(frame.u)
    bent = v + 0.25 * u * u - 0.02 * np.abs(u * 6 - np.floor(u * 6) - 0.5)
    t = bent * (1 / 0.075)
    t = (t - np.floor(t) - 0.5) * 5
    forehead = bump(t * t) * smooth(-0.24, -0.3, v) * smooth(-0.58, -0.46, v) * smooth(0.42, 0.25, au)
    spread = v / np.maximum(au - 0.3, 0.05) * 2.2
    s = (spread - np.floor(spread) - 0.5) * 4
    feet = bump(s * s) * smooth(0.37, 0.41, au) * smooth(0.5, 0.45, au) * smooth(0.1, 0.06, np.abs(v))
    return forehead + 0.8 * feet
