import numpy as np
import pytest
import torch
from PIL import Image

from casarbi.sr import create_model


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (11, 17, 3), dtype=np.uint8)


def as_batch(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("size", [(58, 90), (11, 17), (5, 40)])
def test_equals_pillow_on_8_bit_images(picture, size):
    expected = Image.fromarray(picture).resize(size[::-1], Image.Resampling.BICUBIC)
    result = create_model("bicubic").upscale(as_batch(picture), size, [0])
    torch.testing.assert_close(result, as_batch(np.array(expected)), rtol=0, atol=0)


def test_hard_edges_stay_inside_the_range():
    edges = torch.zeros(1, 3, 8, 8)
    edges[..., 4:] = 1
    result = create_model("bicubic").upscale(edges, (38, 38), [0])
    assert result.min() == 0 and result.max() == 1
    assert result[..., :16].max() < 0.2 and result[..., 22:].min() > 0.8


def test_image_does_not_depend_on_its_batch(picture):
    model, lr = create_model("bicubic"), as_batch(picture)
    alone = model.upscale(lr, (30, 50), [0])
    together = model.upscale(torch.cat([lr.flip(-1), lr]), (30, 50), [1, 2])
    assert torch.equal(alone[0], together[1])
    assert torch.equal(model.upscale(lr.flip(-1), (30, 50), [3])[0], together[0])
