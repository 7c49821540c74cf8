"""The bicubics against Pillow and against MATLAB-style figures."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from casarbi.errors import CasarbiError
from casarbi.pictures.resize import matlab_taps, resize, resize_matlab

SIZES = [(16, 12), (21, 17), (48, 36), (75, 36), (131, 97), (1, 1)]


def noise(low=0, high=256, shape=(3, 48, 36)):
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def synthetic():
    """A picture of wrapping parabolas, the same on every machine; its figures were taken from the implementation
    that rebuilt all 15 published LR files of Set5 value for value."""
    x = torch.arange(48 * 36 * 3).reshape(48, 36, 3).permute(2, 0, 1)
    return ((x * x + 7 * x) // 3 % 256).to(torch.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_8_bit_equals_pillow(size):
    image = noise()
    pillow = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(size[::-1], Image.Resampling.BICUBIC)
    out = resize(image, size)
    assert out.dtype == torch.uint8
    assert np.array_equal(out.permute(1, 2, 0).numpy(), np.asarray(pillow))


@pytest.mark.parametrize("size", SIZES)
def test_float_is_within_a_level_of_pillow(size):
    image = noise(60, 196)  # no value overshoots, so Pillow's clip between its passes cannot show
    out = (resize(image / 255.0, size) * 255).round()
    assert (out - resize(image, size).float()).abs().max() <= 1


def test_float_keeps_overshoot_and_gradient():
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    edge.requires_grad_()
    out = resize(edge, (37, 37))
    assert out.min() < -0.05 and out.max() > 1.05  # bicubic overshoots: the caller clamps
    out.sum().backward()
    assert torch.allclose(edge.grad.sum(), torch.tensor(3.0 * 37 * 37), rtol=1e-3)


def test_8_bit_edges_never_wrap():
    edge = torch.zeros(3, 10, 10, dtype=torch.uint8)
    edge[..., 5:] = 255
    big = resize(edge, (47, 47))  # 4.7x
    assert big[..., :20].max() == 0 and big[..., -20:].min() == 255
    assert resize_matlab(edge, 4.0)[..., -10:].min() == 255


@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7), (2, 3, 5, 7), (2, 4, 3, 5, 7)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.bfloat16])
def test_any_leading_axes_and_type(shape, dtype):
    image = noise(shape=shape).to(dtype)
    out = resize(image, (11, 3))
    assert out.shape == (*shape[:-2], 11, 3) and out.dtype == dtype
    assert torch.equal(out.reshape(-1, 11, 3)[0], resize(image.reshape(-1, 5, 7)[0], (11, 3)))


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_ramp_stays_on_the_pixel_centres(kind):
    """x1.5 of a linear ramp, up and down; one pixel of shift would be 4.7 levels."""
    ramp = (torch.arange(40) * 5 + 20.0).expand(3, 40, 40)
    for length in (60, 27):
        exact = ((torch.arange(length) + 0.5) * 40 / length - 0.5) * 5 + 20
        out = resize(ramp.to(kind), (length, length)).float()[..., 4:-4]
        assert (out - exact[4:-4]).abs().max() < 1
    exact = ((torch.arange(60) + 0.5) / 1.5 - 0.5) * 5 + 20
    out = resize_matlab(ramp.to(torch.uint8), 1.5).float()
    assert (out - exact)[..., 4:-4].abs().max() < 1


def test_size_is_met_where_a_factor_falls_short():
    assert resize(torch.rand(1, 3, 88, 88), (120, 120)).shape == (1, 3, 120, 120)  # 88 * (120 / 88) < 120


@pytest.mark.parametrize("shrink", [lambda x: resize(x, (32, 32)), lambda x: resize_matlab(x, 1 / 3)])
def test_shrinking_does_not_alias(shrink):
    """A 1-px checkerboard turns grey, not back into a checkerboard of 127 levels' spread."""
    board = ((torch.arange(96)[:, None] + torch.arange(96)) % 2 * 255).to(torch.uint8).expand(3, 96, 96)
    assert shrink(board)[..., 2:-2, 2:-2].float().std() < 1


@pytest.mark.parametrize(
    ("to", "digest", "first", "last"),
    [
        ((24, 18), "a6a240a63e3d70bd", [28, 117, 150, 191], [90, 127, 151, 120]),
        ((16, 12), "a34fe2db90c33cd2", [74, 153, 167, 91], [119, 102, 141, 115]),
        (1 / 4, "70205c59cea2674c", [104, 158, 110, 114], [133, 119, 127, 128]),
        ((61, 50), "703e54c6d24b9ed9", [0, 6, 12, 16], [190, 84, 103, 204]),
        (2.0, "e89b18b5737a270e", [0, 2, 8, 9], [72, 73, 168, 216]),
    ],
)
def test_matlab_figures(to, digest, first, last):
    out = resize_matlab(synthetic(), to)
    assert out[0, 0, :4].tolist() == first and out[2, -1, -4:].tolist() == last
    assert hashlib.sha256(out.contiguous().numpy().tobytes()).hexdigest().startswith(digest)


def test_matlab_kernel_of_a_halving():
    """The eight weights of x1/2, worked out by hand from kappa at odd quarters, and the mirrored border."""
    taps, weights = matlab_taps(8, 4, 0.5)
    used = weights[:, 1] != 0
    half = np.array([-3, -9, 29, 111]) / 256
    assert np.allclose(weights[used, 1], [*half, *half[::-1]], atol=1e-15)
    assert taps[used, 1].tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
    assert taps[weights[:, 0] != 0, 0].tolist() == [2, 1, 0, 0, 1, 2, 3, 4]


def test_matlab_rounds_after_each_axis():
    rows_then_columns = resize_matlab(resize_matlab(synthetic(), (16, 36)), (16, 12))
    assert torch.equal(resize_matlab(synthetic(), (16, 12)), rows_then_columns)
    assert not torch.equal(resize_matlab(synthetic(), (16, 12)), resize(synthetic(), (16, 12)))


@pytest.mark.parametrize("call", [resize, resize_matlab])
def test_no_side_below_one_pixel(call):
    with pytest.raises(CasarbiError, match="36x48 px cannot become 5x0 px"):
        call(noise(), (0, 5))
    with pytest.raises(CasarbiError, match="0x48 px"):
        call(noise()[..., :0], (4, 5))


def test_wrong_types_are_refused():
    with pytest.raises(CasarbiError, match="torch.int64"):
        resize(noise().long(), (4, 4))
    with pytest.raises(CasarbiError, match="8 bits"):
        resize_matlab(noise() / 255, (4, 4))
