"""Spectacles: rim, bridge, temples, the shade they cast and the light in their lenses."""

from __future__ import annotations

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, bump, colour, mix, smooth
from casarbi.data.drawn.portrait.frame import EYE, Frame, edge


def glasses(frame: Frame, picture: Array, key: Array) -> Array:
    """Lay spectacles over the lit picture (3, n, n)."""
    p, px = frame.person, frame.px
    if p.glasses == "none":
        return picture
    # They stand a little before the eyes, which do not move when the head turns.
    u, v = frame.x - np.float32(0.07 * p.yaw), frame.y - np.float32(0.07 * p.pitch)
    rim, lens = _rim(frame, u, v)
    fall, _ = _rim(frame, u + np.float32(0.03 * p.light[0]), v - np.float32(0.03))
    shade = smooth(0.02, -0.012, fall)
    picture = picture * (1 - 0.3 * shade * key)
    if p.glasses == "sun":
        picture = mix(picture, colour((0.014, 0.013, 0.012)) * np.ones_like(u), (lens * 0.9)[None])
    streak = smooth(0.1, 0.0, np.abs(u * 0.8 + v + 0.08 * p.light[0] - 0.03)) * lens
    strong = 0.12 if p.glasses == "sun" else 0.035
    sky = smooth(0.15, -0.2, v) * lens
    picture = picture + (streak * strong + sky * np.float32(0.012 + 0.05 * (p.glasses == "sun")))
    cover = edge(-rim, px)
    sheen = bump((rim + 0.008) * (rim + 0.008) * (1 / 2.5e-05)) * (0.25 + 0.6 * smooth(0.1, -0.12, v))
    body = colour(p.frame_colour) * (0.55 + 0.5 * key) + (0.16 + 0.3 * max(p.frame_colour)) * sheen
    return mix(picture, body, cover[None])


def _rim(frame: Frame, u: Array, v: Array) -> tuple[Array, Array]:
    """Signed distance to the frame's body, negative inside it, and cover of the lenses."""
    p = frame.person
    a, b = (0.175, 0.155) if p.glasses == "round" else (0.2, 0.135)
    thick = 0.008 if p.glasses == "wire" else 0.017
    au = np.abs(u)
    x, y = (au - EYE - 0.005) * (1 / a), (v - 0.025) * (1 / b)
    x2, y2 = x * x, y * y
    r = np.sqrt(x2 + y2) if p.glasses == "round" else np.sqrt(np.sqrt(x2 * x2 + y2 * y2))
    d = (r - 1) * b
    rim = np.abs(d) - thick * (1 + 0.35 * (y < 0) * (p.glasses != "wire"))
    bridge = np.maximum(np.abs(v + 0.03 + 0.6 * u * u * -1) - thick, au - 0.1)
    temple = np.maximum(np.abs(v + 0.035) - thick * 1.1, np.maximum(EYE + a - au, au - p.width - 0.03))
    return np.minimum(np.minimum(rim, bridge), temple), edge(-d, frame.px)
