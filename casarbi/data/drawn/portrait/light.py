"""The picture under construction and its light: a G-buffer, shadows cast by depth, skin and cloth shading."""

from __future__ import annotations

import copy
import math

import numpy as np

from casarbi.data.drawn.portrait.exact import Array, box, resample, slope, smooth
from casarbi.data.drawn.portrait.frame import Frame

COARSE = 96  # side in pixels of the grid on which shadows are found


class Surface:
    """What is seen at each pixel, before light.

    Attributes:
        albedo: (3, n, n) linear-light reflectance.
        normal: (3, n, n), not normalised, z towards the camera.
        z: (n, n) depth in face units, larger is nearer.
        gloss: (n, n) strength of the highlight.
        blood: (n, n) how much light the skin lets bleed past the terminator, in red first.
        cover: (n, n) 1 where any of the person is, 0 where the backdrop is seen.
        glow: (n, n) white light added after shading: catchlights, wet edges.
    """

    def __init__(self, n: int) -> None:
        self.albedo = np.zeros((3, n, n), np.float32)
        self.normal = np.zeros((3, n, n), np.float32)
        self.normal[2] = 1
        self.z = np.full((n, n), -0.9, np.float32)
        self.gloss = np.zeros((n, n), np.float32)
        self.blood = np.zeros((n, n), np.float32)
        self.cover = np.zeros((n, n), np.float32)
        self.glow = np.zeros((n, n), np.float32)

    def crop(self, where: tuple[slice, slice]) -> Surface:
        """Return the surface of a window; painting on it paints on this one (views)."""
        part = copy.copy(self)
        for name in ("albedo", "normal", "z", "gloss", "blood", "cover", "glow"):
            setattr(part, name, getattr(self, name)[..., where[0], where[1]])
        return part

    def put(self, cover: Array, albedo: Array, z: Array, px: float, gloss: Array | float, blood: float) -> None:
        """Lay a shape over what is there; its normal is the slope of its own z."""
        dx, dy = slope(z, px)
        under = np.float32(1) - cover
        scalar = ((self.gloss, gloss), (self.blood, blood), (self.cover, 1.0))
        for field, value in (*zip(self.albedo, albedo, strict=True), (self.normal[0], -dx), (self.normal[1], -dy)):
            field *= under
            field += value * cover
        for field, level in ((self.z, z), *scalar):
            field *= under
            field += cover * level

    def tint(self, where: tuple[slice, slice], cover: Array, albedo: Array) -> None:
        """Paint over a window without changing its shape."""
        part = self.albedo[:, where[0], where[1]]
        part += (albedo - part) * cover


def shadows(z: Array, frame: Frame) -> tuple[Array, Array]:
    """Find how much key light and how much sky reaches each pixel: two (n, n) fields in [0, 1].

    The key light's shadow is the highest horizon met on the way to the light over a coarse depth map; the sky's is
    the depth below the neighbourhood's mean.
    """
    p = frame.person
    # A coarse depth map: shadows are soft, and every pixel of it looks in many directions.
    fine = resample(z, (2 * COARSE, 2 * COARSE))
    fine = fine[::2] + fine[1::2]
    coarse = (fine[:, ::2] + fine[:, 1::2]) * np.float32(0.25)
    unit = COARSE / 2 * p.scale
    lx, ly, lz = p.light
    flat = max(math.sqrt(lx * lx + ly * ly), 0.05)
    pad = COARSE // 2
    wide = np.pad(coarse, pad, mode="edge")
    worst = np.zeros_like(coarse)
    # Towards the key light, in steps that grow: the further off, the wider the penumbra.
    for k in range(14):
        reach = 0.03 + 0.03 * k + 0.0016 * k * k
        i, j = round(reach * ly / flat * unit), round(reach * lx / flat * unit)
        there = wide[pad + i : pad + i + COARSE, pad + j : pad + j + COARSE]
        rise = (there - coarse - np.float32(reach * lz / flat)) * np.float32(1 / (0.03 + 0.35 * reach))
        worst = np.maximum(worst, rise)
    key = 1 - smooth(0.0, 1.0, worst)
    # The sky reaches a pixel from all sides; what lies below its neighbourhood gets less of it.
    sky = np.ones_like(coarse)
    for radius, strength in ((2, 3.2), (6, 1.3)):
        sky -= np.clip((box(coarse, radius) - coarse) * np.float32(strength), -0.12, 0.42)
    size = (frame.n, frame.n)
    return resample(box(key, 1), size), resample(np.clip(sky, 0.25, 1.1), size)


def shade(surface: Surface, frame: Frame, key: Array, sky: Array) -> Array:
    """Light the surface: key light wrapped by scattering, sky, rim light, two highlights; (3, n, n) linear light."""
    p, s = frame.person, surface
    # Unit normals, and what they make of each light.
    nx, ny = s.normal[0], s.normal[1]
    nz = 1 / np.sqrt(nx * nx + ny * ny + 1)
    nx, ny = nx * nz, ny * nz
    lx, ly, lz = p.light
    facing = nx * lx + ny * ly + nz * lz
    sheen = _highlight(nx, ny, nz, p.light) * key * s.gloss * np.float32(0.5)
    up = (np.float32(0.66) - ny * np.float32(0.3)) * sky
    if p.rim > 0:
        rim = np.maximum(nx * np.float32(-1 if p.light[0] > 0 else 1) - np.float32(0.55), 0) * sky
        rim *= np.float32(p.rim * 2.2)
    picture = np.empty_like(s.albedo)
    # Red light travels furthest under skin, so its terminator lies furthest round.
    for c, reach in enumerate((0.42, 0.2, 0.14)):
        wrap = s.blood * np.float32(reach)
        sun = np.maximum(facing + wrap, 0) / (1 + wrap)
        sun *= key + (1 - key) * wrap * np.float32(0.35)
        sun *= np.float32(1.12 * p.light_colour[c])
        sun += up * np.float32(p.fill[c])
        np.multiply(s.albedo[c], sun, out=picture[c])
        picture[c] += sheen * np.float32(p.light_colour[c])
        if p.rim > 0:
            picture[c] += rim * (s.albedo[c] * np.float32(0.8) + np.float32(0.06))
        picture[c] += s.glow
    return picture


def _highlight(nx: Array, ny: Array, nz: Array, light: tuple[float, float, float]) -> Array:
    """Blinn-Phong with powers 8 and 32: the broad sheen of skin and the narrow one of its oil."""
    hx, hy, hz = light[0], light[1], light[2] + 1
    norm = math.sqrt(hx * hx + hy * hy + hz * hz)
    cosine = np.maximum(nx * np.float32(hx / norm) + ny * np.float32(hy / norm) + nz * np.float32(hz / norm), 0)
    c8 = cosine * cosine
    c8 *= c8
    c8 *= c8
    c32 = c8 * c8
    c32 *= c32
    return c8 * np.float32(0.25) + c32 * np.float32(0.75)
