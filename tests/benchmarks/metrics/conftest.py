import pytest
import torch
from torch.nn.functional import interpolate


def picture(height, width, seed=0):
    """Smooth colours with some grain, rounded to 8 bits: (3, height, width) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, max(height // 8, 2), max(width // 8, 2), generator=generator)
    smooth = interpolate(coarse, (height, width), mode="bilinear", align_corners=False)[0]
    grain = torch.randn(3, height, width, generator=generator)
    return (smooth + 0.03 * grain).clamp(0, 1).mul(255).round() / 255


def noisy(image, sigma=0.08, seed=1):
    """The same with noise, rounded to 8 bits."""
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return (image + sigma * noise).clamp(0, 1).mul(255).round() / 255


@pytest.fixture
def pair():
    """Factory of a batch and its noisy copy: pair(height, width, batch)."""

    def make(height, width=None, batch=1):
        gt = torch.stack([picture(height, width or height, seed) for seed in range(batch)])
        return torch.stack([noisy(image, 0.04 * (i + 1), i) for i, image in enumerate(gt)]), gt

    return make
