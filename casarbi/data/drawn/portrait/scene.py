"""The whole picture: backdrop, body, head, hair and spectacles, each worked out only where it can be seen."""

from __future__ import annotations

import numpy as np

from casarbi.data.drawn.portrait import dress, head, mouth, skin
from casarbi.data.drawn.portrait.backdrop import backdrop
from casarbi.data.drawn.portrait.exact import Array, box, colour, resample
from casarbi.data.drawn.portrait.eyes import eyes
from casarbi.data.drawn.portrait.frame import Frame, edge
from casarbi.data.drawn.portrait.glasses import glasses
from casarbi.data.drawn.portrait.hair import Hair, haircut_of
from casarbi.data.drawn.portrait.light import Surface, shade, shadows
from casarbi.data.drawn.portrait.sheen import hair_light


def scene(frame: Frame) -> Array:
    """Render a frame's person in linear light, (3, n, n)."""
    # The person without hair: neck, clothes, ears, head.
    surface = Surface(frame.n)
    dress.neck(frame, surface)
    dress.garment(frame, surface)
    dress.ears(frame, surface)
    _face(frame, surface)
    cut = haircut_of(frame.person)
    hair = Hair(frame, cut) if cut else None

    # Hair shades the face: shadows are found on the height of both.
    z = surface.z.copy()
    if hair is not None:
        part = z[hair.where]
        part += (np.maximum(hair.z * 0.8, part + 0.035) - part) * hair.front
    key, sky = shadows(z, frame)
    if hair is not None:
        sky[hair.where] *= 1 - 0.4 * _near(hair.front)

    # From back to front: backdrop, hair behind, person, hair in front, glasses.
    picture = backdrop(frame)
    lit = np.zeros(0, np.float32) if hair is None else hair_light(hair, key, sky)
    if hair is not None:
        _over(picture, hair.where, lit * np.float32(0.42), hair.back)
    # Above the shoulders the person is no wider than the head, which spares the corners.
    head_box = frame.window(0.0, -0.1, 0.85, 0.92)
    rest = slice(head_box[0].stop, frame.n), slice(0, frame.n)
    for where in (head_box, rest):
        on = surface.crop(where)
        _over(picture, where, shade(on, frame, key[where], sky[where]), on.cover)
    if hair is not None:
        _over(picture, hair.where, lit, hair.front)
    where = frame.window(0.0, 0.03, 0.75, 0.25)
    part = picture[:, where[0], where[1]]
    part[:] = glasses(frame.crop(where), part, key[where])
    return picture


def _over(picture: Array, where: tuple[slice, slice], paint: Array, cover: Array) -> None:
    """Lay paint over a window of the picture."""
    under = np.float32(1) - cover
    for channel, tone in zip(picture, paint, strict=True):
        part = channel[where]
        part *= under
        part += tone * cover


def _near(cover: Array) -> Array:
    """Blur a cover over a twentieth of the face: where hair keeps the sky off the skin beside it."""
    coarse = resample(cover, (max(cover.shape[0] // 8, 4), max(cover.shape[1] // 8, 4)))
    return resample(box(coarse, 1), (cover.shape[0], cover.shape[1]))


def _face(frame: Frame, surface: Surface) -> None:
    """Lay the bare head, then paint mouth, eyes, brows and beard on it."""
    where = frame.window(0.0, 0.0, 0.75, 1.02)
    near, on = frame.crop(where), surface.crop(where)
    relief = skin.pores(near)
    z = head.height(near)
    mouth.lip_height(near, z)
    cover = edge((1 - np.sqrt(near.q)) * 0.5, frame.px)
    gloss = np.clip(0.26 + 0.05 * relief, 0.05, 1)
    on.put(cover, skin.albedo(near, relief), z + relief * np.float32(0.0006), frame.px, gloss, 1.0)
    mouth.mouth(frame, surface)
    eyes(frame, surface)
    p = frame.person
    where = frame.window(0.0, -0.17 - p.brow_raise, 0.46, 0.12)
    _paint_hairs(frame.crop(where), surface.crop(where), skin.brows(frame.crop(where)))
    if p.beard != "none":
        where = frame.window(0.0, 0.55, 0.66, 0.48)
        _paint_hairs(frame.crop(where), surface.crop(where), skin.beard(frame.crop(where)))


def _paint_hairs(frame: Frame, surface: Surface, hairs: tuple[Array, Array]) -> None:
    """Paint brows or a beard in the colour of the hair, a little darker."""
    cover, tone = hairs
    cover = cover * edge((1 - np.sqrt(frame.q)) * 0.5, frame.px)
    surface.albedo += (colour([c * 0.6 for c in frame.person.hair]) * tone - surface.albedo) * cover
    surface.gloss *= 1 - 0.85 * cover
    surface.blood *= 1 - 0.7 * cover
