"""Light on hair: sheen across the strands, darkness between the locks."""

from __future__ import annotations

import math

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, slope, smooth
from casarbi.data.drawn.portrait.hair import Hair


def hair_light(hair: Hair, key: Array, sky: Array) -> Array:
    """Light the strands after Kajiya and Kay (1989) in the hair's window, (3, n, n) in linear light.

    `key` and `sky` are the shadow fields of the whole frame.
    """
    p = hair.frame.person
    key, sky = key[hair.where], sky[hair.where]
    facing, across_light, half = _angles(hair)
    lit = key * facing
    s32 = _power_of_two(half, 5)
    # Pale hair passes light on from strand to strand, which evens it out.
    pale = min(max(p.hair) / 0.6, 1.0)
    contrast = 1 - 0.55 * pale
    fibre = hair.strands * np.float32(0.34 * contrast) + hair.locks * np.float32(0.24 * contrast)
    fibre = np.clip(fibre + np.float32(0.7 + 0.1 * pale), 0.1, 2.1)
    fibre *= 1 - np.float32(0.65) * hair.parting
    # The first highlight has the light's colour, the second the hair's.
    white = _power_of_two(s32, 2) * 0.05 + s32 * 0.025
    white *= np.clip(0.6 + 0.6 * hair.strands, 0, 2)
    white *= lit * np.float32((1 - 0.3 * pale) * (1 - 0.35 * min(hair.cut.curl, 1.0)))
    tinted = (across_light * np.float32(1.25) + s32 * np.float32(0.45)) * lit * fibre
    # Under the sky strands have their own colour; against a rim light their outline glows.
    ambient = sky * fibre * np.float32(1.1)
    rim = None
    if p.rim > 0:
        away = hair.frame.x * np.float32(-1 if p.light[0] > 0 else 1) > 0
        rim = smooth(0.16, 0.0, hair.outer) * away * fibre * np.float32(0.8 * p.rim)
    picture = np.empty((3, *key.shape), np.float32)
    for channel, tone, light, fill in zip(picture, p.hair, p.light_colour, p.fill, strict=True):
        np.multiply(tinted, np.float32(tone * light), out=channel)
        channel += ambient * np.float32(tone * fill)
        channel += white * np.float32(light)
        if rim is not None:
            channel += rim * np.float32(1.2 * tone + 0.05)
    return picture


def _angles(hair: Hair) -> tuple[Array, Array, Array]:
    """Cosine between surface and light (softened), sine between strand and light, squared sine to the half vector."""
    px = hair.frame.px
    lx, ly, lz = hair.frame.person.light
    # A strand runs along the line on which `across` is constant, over the dome of the hair.
    ax, ay = slope(hair.across, px)
    inverse = 1 / np.sqrt(ax * ax + ay * ay + np.float32(1e-4))
    tx, ty = ay * -inverse, ax * inverse
    zx, zy = slope(hair.dome + hair.locks * np.float32(0.018), px)
    tz = zx * tx + zy * ty
    norm = 1 / np.sqrt(1 + tz * tz)
    along = (tx * lx + ty * ly + tz * lz) * norm
    facing = (lz - zx * lx - zy * ly) / np.sqrt(zx * zx + zy * zy + 1)
    facing = np.clip(facing * np.float32(0.75) + np.float32(0.25), 0, 1)
    h = math.sqrt(lx * lx + ly * ly + (lz + 1) * (lz + 1))
    half = (tx * (lx / h) + ty * (ly / h) + tz * ((lz + 1) / h)) * norm
    half += hair.locks * np.float32(0.1)
    half += hair.strands * np.float32(0.05)
    return facing, np.sqrt(np.maximum(1 - along * along, 0)), np.maximum(1 - half * half, 0)


def _power_of_two(x: Array, times: int) -> Array:
    """Square x `times` over."""
    for _ in range(times):
        x = x * x
    return x
