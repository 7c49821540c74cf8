import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from benchmarks.metrics import create_metric
from benchmarks.metrics.psnr import luma_y601, psnr_pooled
from casarbi.data.psnr import psnr, psnr_from_mse


def as_bytes(image):
    return image.mul(255).round().to(torch.uint8)


def test_rgb_equals_scikit_image(pair):
    sr, gt = pair(37, 53)
    wanted = peak_signal_noise_ratio(as_bytes(gt[0]).numpy(), as_bytes(sr[0]).numpy(), data_range=255)
    assert create_metric("psnr").scores(sr, gt) == pytest.approx([wanted], abs=1e-6)


def test_luma_is_that_of_bt601_in_limited_range():
    colours = torch.tensor([[0.0, 1, 1, 0, 0], [0.0, 1, 0, 1, 0], [0.0, 1, 0, 0, 1]])[:, None]
    wanted = [16, 235, 81.481, 144.553, 40.966]
    assert (luma_y601(colours)[0, 0] * 255).tolist() == pytest.approx(wanted, abs=1e-4)


def test_y_equals_scikit_image_on_the_same_luma(pair):
    sr, gt = pair(30)
    a, b = (luma_y601(image)[0].numpy() * 255 for image in (sr, gt))
    assert create_metric("psnr-y").scores(sr, gt) == pytest.approx([peak_signal_noise_ratio(b, a, data_range=255)])


def test_pooled_is_the_psnr_of_each_eight_images(pair):
    sr, gt = pair(16, batch=11)
    rows = create_metric("mse").scores(sr, gt)
    wanted = (psnr(sr[:8], gt[:8]) + psnr(sr[8:], gt[8:])) / 2
    assert create_metric("psnr-pooled8").reduced(rows) == pytest.approx(wanted, abs=1e-5)
    assert wanted < np.mean([psnr_from_mse(row) for row in rows]) - 0.1


def test_pooled_leaves_failed_images_out_and_knows_perfect_ones():
    assert psnr_pooled([100.0, math.nan, 300.0]) == psnr_from_mse(200.0)
    assert psnr_pooled([0.0] * 9) == math.inf
    assert psnr_pooled([0.0] * 8 + [200.0]) == psnr_from_mse(200.0)
    assert math.isnan(psnr_pooled([math.nan])) and math.isnan(psnr_pooled([]))


def test_score_of_the_saved_file_is_that_of_the_tensor(pair):
    """Truncation on saving made every picture half a level darker (pytorch/vision#8141)."""
    from casarbi.pictures.pixels import from_uint8, to_uint8

    sr, gt = pair(48)
    fine = (sr + 0.3 / 255).clamp(0, 1)
    assert psnr(from_uint8(to_uint8(fine)), gt) == pytest.approx(psnr(fine, gt), abs=0.05)
