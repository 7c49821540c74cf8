"""Our metrics against the libraries that the field uses, same inputs, same values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.metrics import create_metric
from benchmarks.metrics.frechet import feature_moments, moments_distance
from benchmarks.metrics.inception import architecture, build_inception, inception_features
from benchmarks.metrics.kinds import ImageMetric

Race = Callable[..., float]


pytestmark = pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")


@pytest.mark.parametrize("side", [192, 1000])
def test_psnr_and_ssim_against_scikit_image(race: Race, side: int) -> None:
    """Both take 8-bit values as float32 in [0, 1], both compute SSIM with the 11-tap Gaussian."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    generator = np.random.default_rng(0)
    a = generator.integers(0, 256, (side, side, 3)).astype(np.float32) / 255
    b = np.rint(255 * np.clip(a + generator.normal(0, 0.1, a.shape), 0, 1)).astype(np.float32) / 255
    sr, gt = (torch.from_numpy(image).permute(2, 0, 1)[None].contiguous() for image in (a, b))
    metrics = [metric for metric in map(create_metric, ("psnr", "ssim")) if isinstance(metric, ImageMetric)]
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}

    def ours() -> list[float]:
        return [metric.scores(sr, gt)[0] for metric in metrics]

    def theirs() -> list[float]:
        psnr = peak_signal_noise_ratio(b, a, data_range=1.0)
        return [psnr, structural_similarity(a, b, channel_axis=2, **settings)]

    assert ours() == pytest.approx(theirs(), abs=1e-5)
    race(ours, theirs, target=0.5, rounds=20 if side < 500 else 7)


def test_inception_features_against_pytorch_fid(race: Race, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights serve for timing: the arithmetic is the same."""
    import pytorch_fid.inception

    tensors = _random_weights()
    monkeypatch.setattr(pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: tensors)
    reference = pytorch_fid.inception.InceptionV3([3]).eval()
    network = build_inception(tensors, Path("random"))
    images = torch.rand(8, 3, 192, 192, generator=torch.Generator().manual_seed(0))

    def theirs() -> torch.Tensor:
        with torch.inference_mode():
            return reference(images)[0].flatten(1)

    torch.testing.assert_close(inception_features(network, images), theirs(), atol=1e-3, rtol=0)
    race(lambda: inception_features(network, images), theirs, target=0.7, rounds=4)


def test_frechet_distance_against_pytorch_fid(race: Race) -> None:
    """From means and covariances of 3000 vectors a side, which is what pytorch-fid's function takes."""
    from pytorch_fid.fid_score import calculate_frechet_distance

    generator = np.random.default_rng(0)
    # Features with a decaying spectrum and no negative values, as those of Inception have.
    mixing = generator.normal(0, 0.05, (2048, 2048)) * np.exp(-np.arange(2048) / 300)[:, None]
    sets = [np.maximum(generator.normal(size=(3000, 2048)) @ mixing + shift, 0) for shift in (0.2, 0.25)]
    first, second = (feature_moments(features) for features in sets)

    def theirs() -> float:
        return float(calculate_frechet_distance(*first, *second))

    try:
        wanted = theirs()
    except TypeError as error:
        pytest.skip(f"pytorch-fid's distance does not work with this SciPy: {error}")
    assert moments_distance(first, second) == pytest.approx(wanted, abs=1e-4)
    race(lambda: moments_distance(first, second), theirs, target=0.1, rounds=2)


def _random_weights() -> dict[str, torch.Tensor]:
    """Weights of pytorch-fid's network under which activations neither die nor explode."""
    torch.manual_seed(0)
    network = architecture()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return network.state_dict()
