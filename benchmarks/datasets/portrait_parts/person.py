"""Who sits for the portrait, and how: every number that decides a picture except its size."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.datasets.portrait_parts.exact import Draw

RGB = tuple[float, float, float]

# Linear-light reflectance, from the fairest to the darkest skin.
SKIN: tuple[RGB, ...] = (
    (0.78, 0.55, 0.45),
    (0.68, 0.45, 0.345),
    (0.56, 0.345, 0.24),
    (0.41, 0.235, 0.15),
    (0.255, 0.135, 0.082),
    (0.135, 0.07, 0.044),
)
HAIR: dict[str, RGB] = {
    "black": (0.018, 0.015, 0.014),
    "espresso": (0.04, 0.024, 0.016),
    "brown": (0.095, 0.052, 0.03),
    "chestnut": (0.15, 0.072, 0.036),
    "dark blond": (0.24, 0.155, 0.085),
    "blond": (0.42, 0.29, 0.15),
    "platinum": (0.6, 0.5, 0.36),
    "red": (0.27, 0.085, 0.03),
    "grey": (0.3, 0.295, 0.29),
    "white": (0.62, 0.61, 0.59),
}
IRIS: dict[str, RGB] = {
    "dark": (0.045, 0.022, 0.012),
    "brown": (0.11, 0.05, 0.02),
    "hazel": (0.19, 0.125, 0.045),
    "green": (0.15, 0.19, 0.1),
    "blue": (0.16, 0.26, 0.4),
    "grey": (0.24, 0.28, 0.3),
}
STYLES = ("bald", "buzz", "short", "swept", "curly", "afro", "tied", "bob", "long", "wavy")
LIGHTS: tuple[RGB, ...] = ((1.0, 0.97, 0.93), (1.0, 0.9, 0.78), (1.0, 0.82, 0.64), (0.92, 0.97, 1.06))
DYES: tuple[RGB, ...] = (
    (0.016, 0.016, 0.018),
    (0.055, 0.058, 0.062),
    (0.22, 0.22, 0.22),
    (0.6, 0.59, 0.57),
    (0.7, 0.7, 0.72),
    (0.018, 0.028, 0.075),
    (0.05, 0.11, 0.25),
    (0.14, 0.27, 0.5),
    (0.17, 0.018, 0.03),
    (0.42, 0.035, 0.03),
    (0.085, 0.09, 0.035),
    (0.02, 0.09, 0.05),
    (0.03, 0.16, 0.17),
    (0.48, 0.4, 0.28),
    (0.45, 0.26, 0.05),
    (0.5, 0.27, 0.25),
    (0.16, 0.085, 0.045),
    (0.2, 0.1, 0.27),
)
BACKDROPS = ("studio", "foliage", "bokeh", "indoor", "street")


@dataclass(frozen=True)
class Person:
    """Parameters of one portrait. Lengths are face units: half the pupils' distance is 0.245, the chin is at 0.86."""

    seed: int
    texture: float  # where the noise of this person's surfaces is read
    woman: bool
    age: float  # 0 young adult, 1 old
    skin: RGB
    redness: float
    freckles: float
    # pose
    yaw: float
    pitch: float
    sine: float
    cosine: float
    scale: float
    shift: tuple[float, float]
    # build
    width: float
    chin: float
    taper: float
    square: float
    cheek: float
    nose_length: float
    nose_width: float
    nose_height: float
    lips: float
    eye_open: float
    eye_tilt: float
    crease: float
    brow_thick: float
    brow_raise: float
    # expression
    smile: float
    gape: float
    gaze: tuple[float, float]
    # surface
    iris: RGB
    lip_colour: RGB
    makeup: float
    lashes: float
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
    # things
    glasses: str
    frame_colour: RGB
    garment: str
    garment_colour: RGB
    second_colour: RGB
    pattern: str
    # light and place
    light: tuple[float, float, float]
    light_colour: RGB
    fill: RGB
    rim: float
    exposure: float
    backdrop: str


def _blend(a: RGB, b: RGB, t: float) -> RGB:
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def _dye(draw: Draw) -> RGB:
    """Draw the colour of a garment: a common dye, faded or darkened, and a little off."""
    red, green, blue = draw.pick(DYES)
    level, fade = draw.between(0.7, 1.35), draw.between(0.0, 0.3)
    grey = (red + green + blue) / 3 + 0.02
    red, green, blue = _blend((red, green, blue), (grey, grey, grey), fade)
    return (red * level * draw.between(0.9, 1.1), green * level, blue * level * draw.between(0.9, 1.1))


def _skin(draw: Draw) -> tuple[float, RGB]:
    tone = draw.unit() * (len(SKIN) - 1.001)
    low = int(tone)
    return tone, _blend(SKIN[low], SKIN[low + 1], tone - low)


def _hair_colour(draw: Draw, tone: float, age: float) -> tuple[RGB, float]:
    names = list(HAIR)
    fair = max(0.0, 1 - tone / 2.6)
    weights = [1 + tone, 1.5, 0.4 + 1.2 * fair, 1.2 * fair, fair, 1.1 * fair, 0.35 * fair, 0.5 * fair, 0.0, 0.0]
    base = HAIR[draw.pick(names, weights)]
    grey = min(max((age - 0.55) * 2.2 + draw.bell(0, 0.2), 0.0), 1.0) if age > 0.45 else 0.0
    return _blend(base, HAIR["white" if age > 0.8 else "grey"], grey * 0.9), grey


def _style(draw: Draw, woman: bool, age: float, tone: float) -> str:
    curly = 0.4 + 0.5 * tone
    if woman:
        return draw.pick(STYLES, [0.02, 0.1, 0.4, 0.5, 0.4 * curly, 0.25 * tone, 1.5, 1.5, 2.6, 1.9])
    return draw.pick(STYLES, [0.35 + 1.0 * age, 0.7, 3.0, 2.2, 0.6 * curly, 0.22 * tone, 0.15, 0.15, 0.3, 0.25])


def _light(draw: Draw) -> tuple[float, float, float]:
    """Unit vector to the key light: from either side, mostly above and in front (y points down)."""
    x, y, z = draw.between(-0.95, 0.95), draw.between(-0.72, -0.1), draw.between(0.65, 1.2)
    norm = math.sqrt(x * x + y * y + z * z)
    return (x / norm, y / norm, z / norm)


def draw_person(seed: int) -> Person:
    """Draw a person and sitting from a seed; the same seed is the same person for ever under one VERSION."""
    draw = Draw(seed, 1)
    woman = draw.chance(0.55)
    age = draw.unit() * draw.unit() if draw.chance(0.86) else draw.between(0.4, 1.0)
    tone, skin = _skin(draw)
    hair, grey = _hair_colour(draw, tone, age)
    smile = min(max(draw.bell(0.5, 0.4), -0.15), 1.1)
    roll = draw.bell(0, 0.045)
    light = _light(draw)
    warm = draw.pick(LIGHTS, (3, 2, 1, 1.5))
    fill = draw.between(0.2, 0.5)
    beard = "none" if woman else draw.pick(("none", "stubble", "moustache", "goatee", "full"), (3.2, 2, 0.5, 0.7, 1.6))
    lip = _blend(skin, (skin[0] * 0.78, skin[1] * 0.42, skin[2] * 0.44), 0.95)
    makeup = draw.between(0.2, 1.0) if woman and draw.chance(0.7) else 0.0
    red = draw.pick(((0.42, 0.03, 0.045), (0.5, 0.12, 0.13), (0.3, 0.05, 0.08), (0.52, 0.16, 0.12)))
    return Person(
        seed=seed,
        texture=draw.between(0.0, 251.0),
        woman=woman,
        age=age,
        skin=skin,
        redness=draw.between(0.2, 1.0),
        freckles=draw.between(0.3, 1.0) if tone < 2 and draw.chance(0.3) else draw.between(0, 0.12),
        yaw=min(max(draw.bell(0, 0.14), -0.28), 0.28),
        pitch=draw.bell(0, 0.07),
        sine=round(roll * (1 - roll * roll / 6), 9),
        cosine=round(1 - roll * roll / 2, 9),
        scale=draw.between(0.79, 0.9),
        shift=(draw.bell(0, 0.012), draw.bell(-0.09, 0.016)),
        width=draw.bell(0.535, 0.024) + (0.0 if woman else 0.012),
        chin=draw.bell(0.86, 0.035) + (0.0 if woman else 0.02),
        taper=draw.bell(0.41, 0.05) + (0.03 if woman else -0.03),
        square=draw.between(0.2, 0.55) + (0.0 if woman else 0.2),
        cheek=draw.between(0.3, 1.0),
        nose_length=draw.bell(0.325, 0.014),
        nose_width=draw.bell(1.0, 0.1) + 0.08 * (tone / 3 - 1) + (-0.05 if woman else 0.05),
        nose_height=draw.bell(1.0, 0.1),
        lips=draw.bell(0.93, 0.15) + 0.08 * tone - 0.2 * age,
        eye_open=draw.bell(0.94, 0.08) - 0.14 * max(smile, 0) - 0.1 * age,
        eye_tilt=draw.bell(0.07, 0.05),
        crease=draw.between(0.25, 1.0),
        brow_thick=draw.between(0.6, 1.1) + (0.0 if woman else 0.3),
        brow_raise=draw.bell(0.0, 0.014),
        smile=smile,
        gape=draw.between(0.35, 1.0) if smile > 0.45 and draw.chance(0.7) else 0.0,
        gaze=(draw.bell(0, 0.006), draw.bell(0, 0.003)),
        iris=IRIS[draw.pick(list(IRIS), (1 + tone, 2, 0.9, 0.5, 1.4, 0.7) if tone < 2.2 else (4, 2, 0.3, 0, 0, 0))],
        lip_colour=_blend(lip, red, makeup * 0.75),
        makeup=makeup,
        lashes=draw.between(0.6, 1.0) if woman else draw.between(0.25, 0.5),
        style=_style(draw, woman, age, tone),
        hair=hair,
        grey=grey,
        hairline=draw.bell(0.56, 0.03) + (0.0 if woman else 0.02 + 0.1 * age),
        volume=draw.between(0.0, 1.0),
        part=draw.bell(0.0, 0.16),
        length=draw.between(0.0, 1.0),
        fringe=draw.between(0.0, 1.0) if draw.chance(0.45) else 0.0,
        curl=draw.between(0.0, 1.0),
        beard=beard,
        glasses=draw.pick(("none", "round", "square", "wire", "sun"), (7.5, 0.9, 1.0, 0.8, 0.25)),
        frame_colour=draw.pick(((0.012, 0.012, 0.013), (0.09, 0.035, 0.015), (0.4, 0.3, 0.16), (0.03, 0.04, 0.09))),
        garment=draw.pick(("crew", "vee", "shirt", "high", "jacket"), (2.4, 1.6, 1.8, 0.7, 1.5)),
        garment_colour=_dye(draw),
        second_colour=_dye(draw),
        pattern=draw.pick(("weave", "knit", "stripe", "check", "rib"), (2.5, 2, 0.8, 0.8, 1)),
        light=light,
        light_colour=warm,
        fill=(fill * draw.between(0.8, 1.05), fill * draw.between(0.9, 1.02), fill * draw.between(0.95, 1.25)),
        rim=draw.between(0.1, 0.9) if draw.chance(0.45) else 0.0,
        exposure=draw.between(0.88, 1.2),
        backdrop=draw.pick(BACKDROPS, (1.6, 1.6, 1.2, 1.5, 1.2)),
    )
