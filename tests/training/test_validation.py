"""A training validates on the pairs that tables measure, and its PSNR is theirs."""

import math
import statistics

import pytest
import torch
from scenes import scene

from casarbi.data.pairs import centre_crop
from casarbi.data.protocol import PROTOCOLS
from casarbi.data.psnr import psnr
from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.pictures.resize import resize
from casarbi.training.validation import mean_psnr, validation_pairs

IMAGES = [to_uint8(scene(256, 256, seed)) for seed in range(2)]


class Faces:
    def image(self, image_id):
        return from_uint8(IMAGES[image_id])


@pytest.mark.parametrize("scale", [5.3, 7.0])
def test_whole_images_give_the_pairs_of_the_face_protocol(scale):
    lr, gt = validation_pairs(IMAGES, 16, scale, whole=True)
    pairs = [PROTOCOLS["face"].pairs(Faces(), i, (scale,))[0] for i in range(2)]
    assert torch.equal(lr, torch.stack([pair.lr for pair in pairs]))
    assert torch.equal(gt, torch.stack([pair.gt for pair in pairs]))


def test_patches_are_cut_from_the_middle_and_reduced():
    lr, gt = validation_pairs(IMAGES, 12, 2.0, whole=False)
    assert torch.equal(to_uint8(gt[0]), IMAGES[0][:, 116:140, 116:140])
    assert torch.equal(to_uint8(lr[1]), resize(centre_crop(IMAGES[1], (24, 24)), (12, 12)))


def test_mean_psnr_is_the_mean_of_the_tables_psnr_of_8_bit_images():
    gt = from_uint8(torch.stack(IMAGES))
    made = gt + 0.05 * torch.randn(gt.shape, generator=torch.Generator().manual_seed(0))
    saved = from_uint8(to_uint8(made))
    assert mean_psnr(made, gt) == statistics.fmean(
        psnr(to_uint8(a), to_uint8(b)) for a, b in zip(saved, gt, strict=True)
    )


def test_mean_psnr_stays_finite_without_error_and_is_nan_with_one_nan():
    gt = from_uint8(torch.stack(IMAGES))
    assert mean_psnr(gt, gt) == pytest.approx(78.13, abs=0.01)
    broken = gt.clone()
    broken[1, 0, 0, 0] = math.nan
    assert math.isnan(mean_psnr(broken, gt))
