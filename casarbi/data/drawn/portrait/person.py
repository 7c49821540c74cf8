"""Who sits for the portrait, and how: every number that decides a picture except its size.

Each group of parameters has its own stream of random numbers, so that a new parameter in one leaves the others alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from casarbi.data.drawn.portrait.exact import Draw
from casarbi.data.drawn.portrait.palettes import (
    DYES,
    FRAMES,
    HAIR,
    IRIS,
    LIGHTS,
    LIPSTICKS,
    RGB,
    SKIN,
    blend,
)

STYLES = ("bald", "buzz", "short", "swept", "curly", "afro", "tied", "bob", "long", "wavy")
BACKDROPS = ("studio", "foliage", "bokeh", "indoor", "street")


@dataclass(frozen=True)
class Body:
    """Age and skin."""

    seed: int
    texture: float  # where the noise of this person's surfaces is read
    woman: bool
    age: float  # 0 young adult, 1 old
    tone: float  # 0 fairest skin, 5 darkest
    skin: RGB
    redness: float
    freckles: float


@dataclass(frozen=True)
class Pose:
    """Where the head is and how it is turned; yaw and pitch as tangents."""

    yaw: float
    pitch: float
    sine: float  # of the roll
    cosine: float
    scale: float
    shift: tuple[float, float]


@dataclass(frozen=True)
class Build:
    """Shape and expression of the face; lengths in face units, the rest as factors or strengths about 1."""

    width: float
    chin: float
    taper: float
    square: float
    cheek: float
    nose_length: float
    nose_width: float
    nose_height: float
    lips: float
    mouth_width: float
    eye_open: float
    eye_tilt: float
    crease: float
    brow_thick: float
    brow_raise: float
    brow_arch: float
    brow_tilt: float
    smile: float  # -0.15 sulking to 1.1 beaming
    gape: float  # 0 mouth closed, 1 open
    gaze: tuple[float, float]
    iris: RGB


@dataclass(frozen=True)
class Grooming:
    """Hair, beard and make-up."""

    style: str
    hair: RGB
    grey: float
    hairline: float
    volume: float
    part: float
    length: float
    fringe: float
    curl: float
    beard: str
    lip_colour: RGB
    makeup: float
    lashes: float


@dataclass(frozen=True)
class Setting:
    """What is worn, the light and the place."""

    glasses: str
    frame_colour: RGB
    garment: str
    garment_colour: RGB
    second_colour: RGB
    pattern: str
    light: tuple[float, float, float]  # unit vector to the key light, y down, z towards the camera
    light_colour: RGB
    fill: RGB
    rim: float
    exposure: float
    backdrop: str


@dataclass(frozen=True)
class Person(Setting, Grooming, Build, Pose, Body):
    """Parameters of one portrait. Lengths are face units: half the pupils' distance is 0.245, the chin is at 0.86."""


def draw_person(seed: int) -> Person:
    """Draw a person and sitting from a seed; the same seed is the same person for ever under one VERSION."""
    body = _body(seed)
    parts = (body, _pose(seed), _build(body), _grooming(body), _setting(seed))
    return Person(**{name: value for part in parts for name, value in vars(part).items()})


def _body(seed: int) -> Body:
    draw = Draw(seed, 10)
    tone = draw.unit() * (len(SKIN) - 1.001)
    low = int(tone)
    return Body(
        seed=seed,
        texture=draw.between(0.0, 251.0),
        woman=draw.chance(0.55),
        age=draw.unit() * draw.unit() if draw.chance(0.86) else draw.between(0.4, 1.0),
        tone=tone,
        skin=blend(SKIN[low], SKIN[low + 1], tone - low),
        redness=draw.between(0.2, 1.0),
        freckles=draw.between(0.3, 1.0) if tone < 2 and draw.chance(0.3) else draw.between(0, 0.12),
    )


def _pose(seed: int) -> Pose:
    draw = Draw(seed, 11)
    roll = draw.bell(0, 0.045)
    return Pose(
        yaw=min(max(draw.bell(0, 0.14), -0.28), 0.28),
        pitch=draw.bell(0, 0.07),
        sine=roll * (1 - roll * roll / 6),
        cosine=1 - roll * roll / 2,
        scale=draw.between(0.79, 0.9),
        shift=(draw.bell(0, 0.012), draw.bell(-0.09, 0.016)),
    )


def _build(body: Body) -> Build:
    draw, man, tone = Draw(body.seed, 12), 0.0 if body.woman else 1.0, body.tone
    smile = min(max(draw.bell(0.5, 0.4), -0.15), 1.1)
    return Build(
        width=draw.bell(0.535, 0.024) + 0.012 * man,
        chin=draw.bell(0.86, 0.035) + 0.02 * man,
        taper=draw.bell(0.44, 0.05) - 0.06 * man,
        square=draw.between(0.2, 0.55) + 0.2 * man,
        cheek=draw.between(0.3, 1.0),
        nose_length=draw.bell(0.325, 0.018),
        nose_width=draw.bell(0.95, 0.1) + 0.08 * (tone / 3 - 1) + 0.1 * man,
        nose_height=draw.bell(0.97, 0.13),
        lips=draw.bell(0.93, 0.15) + 0.08 * tone - 0.2 * body.age,
        mouth_width=draw.bell(1.0, 0.075),
        eye_open=draw.bell(0.95, 0.1) - 0.14 * max(smile, 0) - 0.1 * body.age,
        eye_tilt=draw.bell(0.07, 0.065),
        crease=draw.between(0.25, 1.0),
        brow_thick=draw.between(0.6, 1.1) + 0.3 * man,
        brow_raise=draw.bell(0.0, 0.014),
        brow_arch=draw.between(0.008, 0.045),
        brow_tilt=draw.bell(0.0, 0.014),
        smile=smile,
        gape=draw.between(0.35, 1.0) if smile > 0.45 and draw.chance(0.7) else 0.0,
        gaze=(draw.bell(0, 0.006), draw.bell(0, 0.003)),
        iris=IRIS[draw.pick(list(IRIS), (1 + tone, 2, 0.9, 0.5, 1.4, 0.7) if tone < 2.2 else (4, 2, 0.3, 0, 0, 0))],
    )


def _grooming(body: Body) -> Grooming:
    draw, woman, skin = Draw(body.seed, 13), body.woman, body.skin
    hair, grey = _hair_colour(draw, body)
    lip = blend(skin, (skin[0] * 0.78, skin[1] * 0.42, skin[2] * 0.44), 0.95)
    makeup = draw.between(0.2, 1.0) if woman and draw.chance(0.7) else 0.0
    beards = ("none", "stubble", "moustache", "goatee", "full")
    return Grooming(
        style=_style(draw, body),
        hair=hair,
        grey=grey,
        hairline=draw.bell(0.56, 0.03) + (0.0 if woman else 0.02 + 0.1 * body.age),
        volume=draw.between(0.0, 1.0),
        part=draw.bell(0.0, 0.16),
        length=draw.between(0.0, 1.0),
        fringe=draw.between(0.0, 1.0) if draw.chance(0.45) else 0.0,
        curl=draw.between(0.0, 1.0),
        beard="none" if woman else draw.pick(beards, (3.2, 2, 0.5, 0.7, 1.6)),
        lip_colour=blend(lip, draw.pick(LIPSTICKS), makeup * 0.75),
        makeup=makeup,
        lashes=draw.between(0.6, 1.0) if woman else draw.between(0.25, 0.5),
    )


def _setting(seed: int) -> Setting:
    draw = Draw(seed, 14)
    fill = draw.between(0.2, 0.5)
    return Setting(
        glasses=draw.pick(("none", "round", "square", "wire", "sun"), (7.5, 0.9, 1.0, 0.8, 0.25)),
        frame_colour=draw.pick(FRAMES),
        garment=draw.pick(("crew", "vee", "shirt", "high", "jacket"), (2.4, 1.6, 1.8, 0.7, 1.5)),
        garment_colour=_dye(draw),
        second_colour=_dye(draw),
        pattern=draw.pick(("weave", "knit", "stripe", "check", "rib"), (2.5, 2, 0.8, 0.8, 1)),
        light=_light(draw),
        light_colour=draw.pick(LIGHTS, (3, 2, 1, 1.5)),
        fill=(fill * draw.between(0.8, 1.05), fill * draw.between(0.9, 1.02), fill * draw.between(0.95, 1.25)),
        rim=draw.between(0.1, 0.9) if draw.chance(0.45) else 0.0,
        exposure=draw.between(0.88, 1.2),
        backdrop=draw.pick(BACKDROPS, (1.6, 1.6, 1.2, 1.5, 1.2)),
    )


def _dye(draw: Draw) -> RGB:
    """Draw the colour of a garment: a common dye, faded or darkened, and a little off."""
    red, green, blue = draw.pick(DYES)
    level, fade = draw.between(0.7, 1.35), draw.between(0.0, 0.3)
    grey = (red + green + blue) / 3 + 0.02
    red, green, blue = blend((red, green, blue), (grey, grey, grey), fade)
    return (red * level * draw.between(0.9, 1.1), green * level, blue * level * draw.between(0.9, 1.1))


def _hair_colour(draw: Draw, body: Body) -> tuple[RGB, float]:
    """Draw the hair's colour and how grey it has turned, 0 to 1."""
    fair = max(0.0, 1 - body.tone / 2.6)
    weights = [1 + body.tone, 1.5, 0.4 + 1.2 * fair, 1.2 * fair, fair, 1.1 * fair, 0.35 * fair, 0.5 * fair, 0.0, 0.0]
    base = HAIR[draw.pick(list(HAIR), weights)]
    grey = min(max((body.age - 0.55) * 2.2 + draw.bell(0, 0.2), 0.0), 1.0) if body.age > 0.45 else 0.0
    return blend(base, HAIR["white" if body.age > 0.8 else "grey"], grey * 0.9), grey


def _style(draw: Draw, body: Body) -> str:
    curly = 0.4 + 0.5 * body.tone
    afro = 0.25 * body.tone
    if body.woman:
        return draw.pick(STYLES, [0.02, 0.1, 0.4, 0.5, 0.4 * curly, afro, 1.5, 1.5, 2.6, 1.9])
    return draw.pick(STYLES, [0.35 + body.age, 0.7, 3.0, 2.2, 0.6 * curly, afro, 0.15, 0.15, 0.3, 0.25])


def _light(draw: Draw) -> tuple[float, float, float]:
    """Draw the direction of the key light: from either side, mostly above and in front."""
    x, y, z = draw.between(-0.95, 0.95), draw.between(-0.72, -0.1), draw.between(0.65, 1.2)
    norm = math.sqrt(x * x + y * y + z * z)
    return (x / norm, y / norm, z / norm)
