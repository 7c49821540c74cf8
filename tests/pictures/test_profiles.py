"""Colour profiles: sRGB stays untouched, others are followed, and what cannot be followed is said."""

import io
import struct

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageCms

from casarbi.cli import main
from casarbi.data.folder import folder
from casarbi.data.headers import read_header
from casarbi.pictures.profiles import profile_space, to_srgb
from casarbi.pictures.reading import read_image, read_picture
from casarbi.weights import sha256_file

RAMP = np.stack([*np.mgrid[0:240:10, 0:252:7], np.full((24, 36), 90)], axis=-1).astype(np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def icc(space: bytes, gamma: float, colorants: tuple = ()) -> bytes:
    """A display profile of ICC version 2: one gamma, and colorants at D50 for RGB."""

    def fixed(*values):
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249)}
    tags |= {name: curve for name in ([b"kTRC"] if space == b"GRAY" else [b"rTRC", b"gTRC", b"bTRC"])}
    tags |= {
        bytes([sign]) + b"XYZ": b"XYZ " + bytes(4) + fixed(*xyz) for sign, xyz in zip(b"rgb", colorants, strict=False)
    }
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data
    head = b"\0\0\0\0lcms\x02\x10\0\0mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += fixed(0.9642, 1, 0.8249) + bytes(48)
    return struct.pack(">I", 128 + len(table) + len(body)) + head[4:] + table + body


WIDE, LINEAR_GREY = icc(b"RGB ", 2.2, ADOBE), icc(b"GRAY", 1.0)


def save(path, array=RAMP, mode="RGB", **options):
    Image.fromarray(array).convert(mode).save(path, **options)
    return path


def as_seen(image: Image.Image, profile: bytes) -> np.ndarray:
    """What littleCMS shows of a picture, asked another way than the program does."""
    source, target = ImageCms.getOpenProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    shown = ImageCms.profileToProfile(
        image, source, target, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB"
    )
    return np.asarray(shown).astype(float)


@pytest.mark.parametrize("profile", [SRGB, None])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_pictures_that_are_srgb_keep_every_bit(tmp_path, profile, name):
    plain = read_image(save(tmp_path / f"plain-{name}"))
    assert torch.equal(read_image(save(tmp_path / name, icc_profile=profile)), plain)
    assert "profile" not in read_header(tmp_path / name).kinds


def test_a_wide_profile_is_followed_for_comparing_and_kept_for_enlarging(tmp_path):
    """Two files that look alike scored 27.7 dB."""
    path = save(tmp_path / "a.png", icc_profile=WIDE)
    kept, compared = read_picture(path), read_image(path)
    assert kept.icc == WIDE and torch.equal(kept.rgb, read_image(save(tmp_path / "b.png")))
    shown = as_seen(Image.fromarray(RAMP), WIDE)
    assert np.abs(compared.permute(1, 2, 0).numpy() * 255 - shown).max() <= 2
    assert np.abs(shown - RAMP).mean() > 3 and "profile" in read_header(path).kinds


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "1"])
def test_a_grey_profile_is_followed_always(tmp_path, mode):
    grey = Image.fromarray(RAMP).convert("L")
    grey = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    grey.save(tmp_path / "a.png", icc_profile=LINEAR_GREY)
    picture = read_picture(tmp_path / "a.png")
    shown = as_seen(Image.fromarray(RAMP).convert("L"), LINEAR_GREY)
    expected = shown if mode != "1" else np.asarray(grey.convert("RGB"))
    assert np.abs(picture.rgb.permute(1, 2, 0).numpy() * 255 - expected).max() <= 2
    assert picture.icc is None and picture.notes[0] == "GRAY profile turned into sRGB"
    assert torch.equal(picture.rgb, read_image(tmp_path / "a.png"))


def test_alpha_goes_through_unchanged(tmp_path):
    rgba = np.dstack([RAMP, np.full((24, 36), 100, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "a.png", icc_profile=WIDE)
    Image.fromarray(rgba).save(tmp_path / "b.png")
    with_profile = read_picture(tmp_path / "a.png", keep_profile=False, background="black")
    without = read_picture(tmp_path / "b.png", background="black")
    assert torch.equal(with_profile.alpha, without.alpha) and not torch.equal(with_profile.rgb, without.rgb)


@pytest.mark.parametrize(
    ("profile", "mode", "words"),
    [
        (WIDE[:200], "RGB", "colour profile not used: it is damaged"),
        (b"not a profile", "RGB", "colour profile not used: it is damaged or for the colour space ''"),
        (LINEAR_GREY, "RGB", "colour profile not used: it is for GRAY and the picture is RGB"),
    ],
)
def test_a_profile_that_cannot_be_used_is_said(tmp_path, profile, mode, words):
    path = save(tmp_path / "a.png", mode=mode, icc_profile=profile)
    assert read_picture(path).notes == (words,) and read_picture(path).icc is None
    with pytest.warns(UserWarning, match=f"a.png: {words}"):
        plain = read_image(path)
    assert torch.equal(plain, read_image(save(tmp_path / "b.png", mode=mode)))


def test_data_sets_name_followed_profiles_and_their_digests_tell(tmp_path):
    """What decides an image's pixels is in its digest: values measured before profiles were followed are stale."""
    for name, profile in {"plain": None, "srgb": SRGB, "wide": WIDE, "odd": WIDE[:150]}.items():
        save(tmp_path / f"{name}.png", icc_profile=profile)
    data = folder(str(tmp_path))
    assert "With a colour profile other than sRGB, turned into sRGB (relative colorimetric" in " ".join(data.notes)
    assert "1 of 4 (wide)." in " ".join(data.notes) and "cannot be used" in " ".join(data.notes)
    plain = {name: sha256_file(tmp_path / f"{name}.png") == data.digest(name) for name in data.ids}
    assert plain == {"plain": True, "srgb": True, "wide": False, "odd": True}
    assert data.digest("wide") == data.digest_now("wide")


def test_cmyk_without_a_profile_is_named(tmp_path):
    save(tmp_path / "a.jpg", mode="CMYK")
    assert "cmyk" in read_header(tmp_path / "a.jpg").kinds
    assert "CMYK without a profile" in " ".join(folder(str(tmp_path)).notes)


def test_upscale_keeps_the_look_of_a_grey_file(tmp_path):
    path = save(tmp_path / "a.png", mode="L", icc_profile=LINEAR_GREY)
    result = CliRunner().invoke(main, ["upscale", "-m", "bicubic", "--device", "cpu", str(path), "-s", "2"])
    assert result.exit_code == 0 and "(GRAY profile turned into sRGB; grey)" in result.output
    big = np.asarray(Image.open(tmp_path / "a_x2.png")).mean()
    assert abs(big - as_seen(Image.open(path), LINEAR_GREY).mean()) < 1


def test_studying_a_profile():
    assert to_srgb(SRGB).is_srgb and not to_srgb(WIDE).is_srgb and to_srgb(SRGB[:99]).trouble
    assert profile_space(LINEAR_GREY) == "GRAY" and np.allclose(to_srgb(LINEAR_GREY).curve()[[0, 255]], [0, 1])


def test_a_number_in_the_place_of_a_profile_is_no_profile(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.tif", icc_profile=SRGB)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    entry = data.index(struct.pack("<HH", 34675, 7))
    data[entry : entry + 12] = struct.pack("<HHII", 34675, 4, 1, 7)
    (tmp_path / "a.tif").write_bytes(data)
    assert not isinstance(Image.open(tmp_path / "a.tif").info["icc_profile"], bytes)
    assert read_picture(tmp_path / "a.tif").icc is None
