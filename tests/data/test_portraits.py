import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from casarbi.data.drawn import portrait
from casarbi.data.drawn.portrait.exact import Draw, box, resample, slope, smooth, wave
from casarbi.data.drawn.portrait.lattice import noise, sheet
from casarbi.data.drawn.portrait.person import BACKDROPS, STYLES, draw_person
from casarbi.data.drawn.portraits import VERSION, portraits, render
from casarbi.data.drawn.procedural import SPLITS
from casarbi.errors import CasarbiError

TEST = SPLITS["test"][0]
# Whoever changes a pixel raises VERSION and stores the new bytes.
BYTES = {
    (TEST, 256): "056a1d8a1c330ddbdc32a5fbae923269d33a8e556c21443ddcbbed94ea33f5ba",
    (TEST + 1, 64): "ed4d430d4b78c3af27f6ec9e6ccd549efcb224e3801cf8c12664c60774d1a760",
    (3, 300): "a1acee9e5d7308d44ed3f4703f9bd751009bd275ef324a556bf83caf2b83b5c7",
}


@pytest.fixture(scope="module")
def gallery():
    """Sixteen test portraits at 128 pixels, float (16, 128, 128, 3) in [0, 1]."""
    return np.stack([render(TEST + i, 128) for i in range(16)]).astype(np.float64) / 255


def sha256(seed, size):
    return hashlib.sha256(render(seed, size).tobytes()).hexdigest()


def spectrum_slope(picture):
    """Exponent of the radial power spectrum between 4 and 100 cycles a picture, Hann window, log-spaced fit."""
    grey = picture.mean(2)
    size = len(grey)
    window = np.hanning(size)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window[:, None] * window)) ** 2
    f = np.fft.fftfreq(size, 1 / size)
    radius = np.rint(np.hypot(f[:, None], f[None])).astype(int).ravel()
    radial = np.bincount(radius, power.ravel()) / np.bincount(radius)
    k = np.unique(np.rint(np.geomspace(4, 100, 24)).astype(int))
    return np.polyfit(np.log(k), np.log(radial[k]), 1)[0]


@pytest.mark.parametrize(("seed", "size"), BYTES)
def test_bytes_are_those_stored_for_this_version(seed, size):
    assert VERSION == "portraits-3"
    assert sha256(seed, size) == BYTES[seed, size]


def test_bytes_do_not_depend_on_the_processors_vector_units():
    """NumPy with all its run-time dispatch switched off draws the same picture."""
    umath = pytest.importorskip("numpy._core._multiarray_umath")
    dispatched = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]
    code = f"""
import hashlib
from numpy._core._multiarray_umath import __cpu_features__ as features
from casarbi.data.drawn.portraits import render
assert not any(features[name] for name in {dispatched})
print(hashlib.sha256(render({TEST + 1}, 64).tobytes()).hexdigest())"""
    plain = {"NPY_DISABLE_CPU_FEATURES": " ".join(dispatched)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=os.environ | plain, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == sha256(TEST + 1, 64)


def test_parts_use_only_operations_that_ieee_754_fixes():
    forbidden = {"exp", "log", "sin", "cos", "tan", "arctan2", "power", "hypot", "cbrt", "dot", "matmul", "einsum"}
    forbidden |= {"sum", "mean", "std", "fft", "default_rng", "Generator"}
    for file in Path(portrait.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            assert not isinstance(node, (ast.Pow, ast.MatMult)), file
            assert not (isinstance(node, ast.Attribute) and node.attr in forbidden), (file, node.lineno)


def test_pictures_do_not_depend_on_those_drawn_before():
    first = render(5, 48)
    render(6, 48)
    np.testing.assert_array_equal(render(5, 48), first)


def test_image_is_the_rendered_bytes_over_255():
    image = portraits(n=2, size=40).image("test-00001")
    assert image.shape == (3, 40, 40) and image.dtype == torch.float32
    expected = torch.from_numpy(render(TEST + 1, 40)).permute(2, 0, 1).float() / 255
    assert torch.equal(image, expected)


def test_digest_is_known_without_rendering(monkeypatch):
    def refuse(*_):
        raise AssertionError("rendered")

    monkeypatch.setattr("casarbi.data.drawn.portraits.render", refuse)
    data = portraits(n=3)
    assert len({data.digest(i) for i in data.ids}) == 3
    assert data.fingerprint != portraits(n=3, size=128).fingerprint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "tset"}, "train, val, test"),
        ({"n": 0}, "n=0"),
        ({"size": 513}, "32 to 512"),
        ({"size": 31}, "size=31"),
    ],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(CasarbiError, match=words):
        portraits(**options)


@pytest.mark.parametrize("size", [32, 33, 101, 257, 512])
def test_every_size_has_contrast_and_no_clipped_mass(size):
    picture = render(TEST + 2, size)
    assert picture.shape == (size, size, 3)
    assert picture.std() > 25
    assert (picture == 255).mean() < 0.05 and (picture == 0).mean() < 0.15


@pytest.mark.parametrize("seed", [TEST, TEST + 5, TEST + 9])
def test_another_size_is_the_same_person(seed):
    large = render(seed, 256).astype(np.float64)
    halved = large.reshape(128, 2, 128, 2, 3).mean((1, 3))
    same, other = (((halved - render(s, 128)) ** 2).mean() for s in (seed, seed + 1))
    assert 10 * np.log10(255**2 / same) > 36
    assert 10 * np.log10(255**2 / other) < 18


def test_portraits_differ_from_each_other(gallery):
    assert gallery.mean((1, 2)).std(0).min() > 0.06
    distances = [np.sqrt(((a - b) ** 2).mean()) for i, a in enumerate(gallery) for b in gallery[:i]]
    assert min(distances) > 0.12


def test_faces_share_their_place():
    """Aligned as FFHQ: the face's middle is skin in every picture, its corners are not always."""
    people = [draw_person(seed) for seed in range(300)]
    eyes = np.array([[p.shift[1], 0.245 * p.scale] for p in people])
    assert np.abs(eyes[:, 0] + 0.09).max() < 0.06
    assert eyes[:, 1].min() > 0.18 and eyes[:, 1].max() < 0.23


def test_every_style_and_backdrop_occurs():
    people = [draw_person(seed) for seed in range(400)]
    assert {p.style for p in people} == set(STYLES)
    assert {p.backdrop for p in people} == set(BACKDROPS)
    assert {p.beard for p in people if p.woman} == {"none"}
    assert 0.2 < np.mean([p.glasses != "none" for p in people]) < 0.4


def test_spectrum_falls_like_a_photograph():
    slopes = [spectrum_slope(render(TEST + i, 256).astype(np.float64)) for i in range(8)]
    assert -2.9 < np.mean(slopes) < -2.2
    assert min(slopes) > -3.2 and max(slopes) < -1.8


def test_pixels_hold_detail_no_interpolation_restores(gallery):
    """Half the samples, interpolated, miss the picture by far more than the grain of half a level."""
    small = torch.from_numpy(gallery).permute(0, 3, 1, 2)
    low = torch.nn.functional.interpolate(small, scale_factor=0.5, mode="area")
    back = torch.nn.functional.interpolate(low, scale_factor=2, mode="bicubic")
    assert (small - back).pow(2).mean((1, 2, 3)).sqrt().min() > 0.012


def test_draws_are_uniform_and_named_by_their_key():
    draw = Draw(1, 2)
    values = np.array([draw.unit() for _ in range(2000)])
    assert abs(values.mean() - 0.5) < 0.03 and values.min() >= 0 and values.max() < 1
    assert Draw(1, 2).unit() == values[0] != Draw(1, 3).unit()
    bells = np.array([draw.bell(2.0, 0.5) for _ in range(2000)])
    assert abs(bells.mean() - 2) < 0.06 and abs(bells.std() - 0.5) < 0.04


def test_weights_decide_what_is_picked():
    draw = Draw(4)
    assert {draw.pick("abc", (1, 0, 3)) for _ in range(200)} == {"a", "c"}


def test_noise_agrees_with_its_lattice_and_its_period():
    x, y = np.meshgrid(np.arange(5, dtype=np.float32), np.arange(4, dtype=np.float32))
    at_points = noise(x, y)
    np.testing.assert_allclose(noise(x + 256, y - 256), at_points, atol=1e-6)
    middle = noise(x[:1, :1] + 0.5, y[:1, :1])
    np.testing.assert_allclose(middle, (at_points[0, 0] + at_points[0, 1]) / 2, atol=1e-6)


def test_sheet_is_the_same_noise_on_any_grid():
    fine = np.linspace(-1, 1, 65, dtype=np.float32)
    np.testing.assert_allclose(sheet(fine, fine, 0.1, 3.0)[::4, ::2], sheet(fine[::2], fine[::4], 0.1, 3.0), atol=1e-5)


def test_box_and_resample_keep_a_ramp():
    ramp = np.tile(np.arange(12, dtype=np.float32), (8, 1))
    np.testing.assert_allclose(box(ramp, 1)[:, 1:-1], ramp[:, 1:-1], rtol=1e-6)
    np.testing.assert_allclose(
        resample(ramp, (16, 24))[:, 1:-1], np.tile(np.arange(1, 23) / 2 - 0.25, (16, 1)), rtol=1e-6
    )
    dx, dy = slope(ramp, 0.5)
    np.testing.assert_allclose(dx, 2)
    np.testing.assert_allclose(dy, 0)


def test_wave_and_smooth_are_close_to_their_models():
    t = np.linspace(-2, 2, 401, dtype=np.float32)
    assert np.abs(wave(t) - np.sin(2 * np.pi * t)).max() < 0.06
    np.testing.assert_allclose(smooth(1.0, 0.0, t), 1 - smooth(0.0, 1.0, t), atol=1e-6)
