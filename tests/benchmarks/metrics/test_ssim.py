import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from benchmarks.metrics import create_metric
from benchmarks.metrics.psnr import luma_y601
from benchmarks.metrics.ssim import GAUSSIAN, UNIFORM7, gaussian_taps, ms_ssim, ssim

GAUSS = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}


def levels(image):
    """(H, W, 3) in 8-bit levels, as scikit-image wants it."""
    return image.mul(255).round().permute(1, 2, 0).numpy().astype(np.uint8)


@pytest.mark.parametrize("height, width", [(11, 11), (11, 64), (42, 43), (75, 31), (107, 200)])
def test_gaussian_equals_scikit_image_at_every_size_of_block(height, width, pair):
    sr, gt = pair(height, width)
    wanted = structural_similarity(levels(gt[0]), levels(sr[0]), channel_axis=2, **GAUSS)
    assert create_metric("ssim").scores(sr, gt) == pytest.approx([wanted], abs=1e-7)


@pytest.mark.parametrize("side", [7, 10, 24, 70])
def test_uniform7_equals_scikit_image(side, pair):
    sr, gt = pair(side)
    wanted = structural_similarity(levels(gt[0]), levels(sr[0]), channel_axis=2, data_range=255)
    assert create_metric("ssim-uniform7").scores(sr, gt) == pytest.approx([wanted], abs=1e-7)


def test_luma_equals_scikit_image_on_the_same_luma(pair):
    sr, gt = pair(50)
    a, b = (luma_y601(image)[0, 0].numpy() * 255 for image in (sr, gt))
    assert create_metric("ssim-y").scores(sr, gt) == pytest.approx([structural_similarity(a, b, **GAUSS)], abs=1e-7)


def test_zero_padded_is_the_formula_over_the_padded_image(pair):
    sr, gt = pair(29, 33)
    x, y = (np.pad(255 * image[0].numpy().astype(float), ((0, 0), (9, 9), (9, 9))) for image in (sr, gt))

    def mean(maps):  # reaches five pixels, and the padding is nine: what lies beyond does not matter
        return gaussian_filter(maps, (0, 1.5, 1.5), radius=(0, 5, 5))[:, 9:-9, 9:-9]

    mx, my, c1, c2 = mean(x), mean(y), 6.5025, 58.5225
    vx, vy, vxy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    value = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert create_metric("ssim-zeropad").scores(sr, gt) == pytest.approx([value.mean()], abs=1e-6)


def test_range_of_floats_is_one_not_two(pair):
    """Guessed as 2, the range made SSIM too high in silence (scikit-image/scikit-image#3942)."""
    sr, gt = pair(40)
    a, b = gt[0].permute(1, 2, 0).numpy(), sr[0].permute(1, 2, 0).numpy()
    wrong = structural_similarity(a, b, channel_axis=2, **(GAUSS | {"data_range": 2.0}))
    assert ssim(sr[0], gt[0]) == pytest.approx(
        structural_similarity(a, b, channel_axis=2, **(GAUSS | {"data_range": 1.0}))
    )
    assert ssim(sr[0], gt[0]) < wrong - 0.01


def test_ms_ssim_is_the_product_of_scikit_images_levels(pair):
    """With K1 beyond all luminance scikit-image gives the contrast term alone."""
    sr, gt = pair(176, 190)
    wanted = np.zeros(3)
    for channel in range(3):
        a, b = (255 * image[0, channel].numpy().astype(np.float64) for image in (sr, gt))
        terms = []
        for level in range(5):
            terms.append(structural_similarity(a, b, K1=0.01 if level == 4 else 1e6, **GAUSS))
            a, b = (x[: x.shape[0] // 2 * 2, : x.shape[1] // 2 * 2] for x in (a, b))
            a, b = ((x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4 for x in (a, b))
        wanted[channel] = np.prod(np.power(terms, (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)))
    assert ms_ssim(sr[0], gt[0]) == pytest.approx(wanted.mean(), abs=1e-6)


def test_ms_ssim_of_inverted_structure_is_a_number(pair):
    _, gt = pair(192)
    assert 0 <= ms_ssim(1 - gt[0], gt[0]) < 0.05  # a negative contrast to a broken power would be NaN


def test_variants_differ_and_are_named():
    names = ("ssim", "ssim-uniform7", "ssim-zeropad", "ssim-y")
    descriptions = {create_metric(name).info.description for name in names}
    assert len(descriptions) == 4 and all("window" in d or "uniform" in d or "zeros" in d for d in descriptions)


def test_windows_sum_to_one():
    assert sum(gaussian_taps()) == pytest.approx(1) and sum(UNIFORM7.taps) == pytest.approx(1)
    assert GAUSSIAN.taps == tuple(reversed(GAUSSIAN.taps)) and len(GAUSSIAN.taps) == 11


def test_large_image_is_not_taken_for_a_stack(pair):
    """The colour axis was once read as space (scikit-image/scikit-image#7144): colours must not mix."""
    sr, gt = pair(64)
    alone = [ssim(sr[0, c : c + 1], gt[0, c : c + 1]) for c in range(3)]
    assert ssim(sr[0], gt[0]) == pytest.approx(np.mean(alone), abs=1e-12)
    assert ssim(torch.cat((sr[0, :1], gt[0, 1:])), gt[0]) == pytest.approx((alone[0] + 2) / 3, abs=1e-12)
