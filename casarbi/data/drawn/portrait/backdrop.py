"""What lies behind the sitter, out of focus: a studio wall, foliage, lights at night, a room, a street."""

from __future__ import annotations

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, Draw, box, colour, mix, resample, smooth
from casarbi.data.drawn.portrait.frame import Frame
from casarbi.data.drawn.portrait.lattice import cloud

COARSE = 96  # a blurred backdrop needs no more pixels


def backdrop(frame: Frame) -> Array:
    """Linear-light picture (3, n, n) of the place."""
    p = frame.person
    draw = Draw(p.seed, 2)
    axis = ((2 * np.arange(COARSE) + 1) / COARSE - 1).astype(np.float32)
    paint = {"studio": _studio, "foliage": _foliage, "bokeh": _bokeh, "indoor": _indoor, "street": _street}
    picture = paint[p.backdrop](draw, axis)
    picture = picture * np.float32(draw.between(0.75, 1.25))
    large = np.empty((3, frame.n, frame.n), np.float32)
    for channel, small in zip(large, picture, strict=True):
        channel[:] = resample(small, (frame.n, frame.n))
    return large


def _tint(draw: Draw, level: float, spread: float = 0.35) -> Array:
    """Draw a colour between warm and cool, green and purple kept apart from it and small."""
    warm, green = draw.between(-spread, spread), draw.between(-0.3 * spread, 0.2 * spread)
    return colour((level * (1 + warm), level * (1 + green), level * (1 - 0.9 * warm)))


def _studio(draw: Draw, axis: Array) -> Array:
    x, y = axis[None, :], axis[:, None]
    level = draw.between(0.12, 0.8)
    dx, dy = x - draw.between(-0.7, 0.7), y - draw.between(-0.8, 0.3)
    fall = 1 / (1 + draw.between(0.1, 0.9) * (dx * dx + dy * dy))
    mottle = cloud(axis, axis, (0.9, 0.45, 0.22, 0.11), draw.between(0, 200), 0.02)
    return _tint(draw, level * level, 0.3) * (fall * (1 + draw.between(0.02, 0.16) * mottle))


def _discs(draw: Draw, picture: Array, axis: Array, count: int, radius: tuple[float, float], power: float) -> None:
    """Add out-of-focus lights: flat discs, a little brighter at the rim, as a lens draws them."""
    x, y = axis[None, :], axis[:, None]
    size = draw.between(*radius)
    for _ in range(count):
        r = size * draw.between(0.7, 1.15)
        cx, cy = draw.between(-1.1, 1.1), draw.between(-1.1, 1.0)
        d = np.sqrt((x - cx) * (x - cx) + (y - cy) * (y - cy)) * np.float32(1 / r)
        disc = smooth(1.12, 0.88, d) * (0.75 + 0.25 * d * d)
        warmth = draw.between(0, 1)
        tint = colour((1.0, 0.55 + 0.4 * draw.unit(), 0.25 + 0.5 * draw.unit())) if warmth < 0.6 else _tint(draw, 0.8)
        picture += tint * disc * np.float32(power * draw.unit() * draw.unit() * draw.unit())


def _foliage(draw: Draw, axis: Array) -> Array:
    start = draw.between(0, 200)
    leaves = cloud(axis, axis, (0.7, 0.35, 0.18, 0.09), start, 0.016, 0.7)
    warm = cloud(axis, axis, (0.8, 0.3), start + 50, 0.016)
    green = colour((draw.between(0.05, 0.14), draw.between(0.13, 0.22), draw.between(0.02, 0.07)))
    autumn = colour((0.3, 0.16, 0.04))
    picture = mix(green, autumn, np.clip(warm * 0.5 + draw.between(-0.3, 0.5), 0, 1)[None])
    picture = picture * np.maximum(0.75 + leaves * 0.8, 0.06)
    gap = smooth(0.55, 1.1, leaves - 0.55 * axis[:, None])
    picture = mix(picture, colour((0.75, 0.8, 0.82)), gap[None] * draw.between(0.2, 0.9))
    _discs(draw, picture, axis, 14, (0.05, 0.1), 0.35)
    return np.stack([box(channel, int(draw.between(1, 4))) for channel in picture])


def _bokeh(draw: Draw, axis: Array) -> Array:
    dark = cloud(axis, axis, (1.0, 0.5, 0.25), draw.between(0, 200), 0.016)
    picture = _tint(draw, draw.between(0.02, 0.09), 0.5) * (1 + 0.7 * dark)
    _discs(draw, picture, axis, 40, (0.06, 0.15), 0.9)
    return np.stack([box(channel, 1) for channel in picture])


def _slab(axis: Array, low: float, high: float, soft: float) -> Array:
    return smooth(low - soft, low + soft, axis) * smooth(high + soft, high - soft, axis)


def _indoor(draw: Draw, axis: Array) -> Array:
    x, y = axis[None, :], axis[:, None]
    level = draw.between(0.3, 0.75)
    picture = _tint(draw, level * level, 0.2) * (1 - 0.25 * y + 0 * x) * (1 + 0.3 * draw.between(-1, 1) * x)
    soft = draw.between(0.05, 0.16)
    for _ in range(9):
        cx, cy = draw.between(-1, 1), draw.between(-1, 1)
        w, h = draw.between(0.05, 0.4), draw.between(0.08, 0.7)
        slab = _slab(x, cx - w, cx + w, soft) * _slab(y, cy - h, cy + h, soft)
        picture = mix(picture, _tint(draw, draw.between(0.03, 0.45), 0.35), slab * draw.between(0.3, 0.8))
    if draw.chance(0.6):
        cx, w = draw.between(-1, 1), draw.between(0.15, 0.4)
        window = _slab(x, cx - w, cx + w, soft) * _slab(y, -1.2, draw.between(-0.3, 0.5), soft)
        picture = mix(picture, colour((0.95, 1.0, 1.05)), window * 0.85)
    mottle = cloud(axis, axis, (0.6, 0.3, 0.15), draw.between(0, 200), 0.016)
    return np.maximum(picture * (1 + 0.15 * mottle), 0)


def _street(draw: Draw, axis: Array) -> Array:
    x, y = axis[None, :], axis[:, None]
    skyline = draw.between(-0.7, 0.3)
    grey, level = draw.between(0.0, 0.3), draw.between(0.6, 0.95)
    sky = colour((level * (0.62 + grey), level * (0.82 + 0.4 * grey), level))
    ground = _tint(draw, draw.between(0.06, 0.2), 0.3)
    picture = mix(sky * (1 - 0.15 * y + 0 * x), ground * (1 + 0 * x), smooth(skyline - 0.1, skyline + 0.1, y))
    soft = draw.between(0.05, 0.14)
    for _ in range(8):
        cx, w = draw.between(-1.1, 1.1), draw.between(0.08, 0.35)
        slab = _slab(x, cx - w, cx + w, soft) * _slab(y, skyline - draw.between(0, 0.6), 0.9, soft)
        picture = mix(picture, _tint(draw, draw.between(0.03, 0.4), 0.3), slab * draw.between(0.4, 0.95))
    blot = cloud(axis, axis, (0.5, 0.25, 0.12), draw.between(0, 200), 0.016)
    _discs(draw, picture, axis, 8, (0.04, 0.09), 0.4)
    return np.maximum(picture * (1 + 0.25 * blot), 0)
