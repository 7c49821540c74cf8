"""Our metrics against the libraries that the field uses, same inputs, same values; and how many pictures they score.

Random weights serve for timing: the arithmetic is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn
from torchvision import models

from benchmarks.metrics import create_metric
from benchmarks.metrics.base import Metric, Output, foresee
from benchmarks.metrics.distribution import FeatureDistance, InceptionFeatures
from benchmarks.metrics.frechet import feature_moments, moments_distance
from benchmarks.metrics.inception import Inception, architecture
from benchmarks.metrics.kinds import ImageMetric
from benchmarks.metrics.lpips import Lpips

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
    """Both take one picture after the other."""
    import pytorch_fid.inception

    tensors = _random_weights()
    monkeypatch.setattr(pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: tensors)
    reference = pytorch_fid.inception.InceptionV3([3]).eval()
    network = Inception(tensors, Path("random"), "random")
    images = torch.rand(8, 3, 192, 192, generator=torch.Generator().manual_seed(0))

    def theirs() -> torch.Tensor:
        with torch.inference_mode():
            return reference(images)[0].flatten(1)

    def ours() -> torch.Tensor:
        return torch.stack([network.look(image) for image in images])

    torch.testing.assert_close(ours(), theirs(), atol=1e-3, rtol=0)
    race(ours, theirs, target=0.7, rounds=4)


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


NETWORKS = ("lpips-alex", "st-lpips-alex", "st-lpips-vgg", "fid")  # a distance on a trunk of ST-LPIPS costs its pass
OTHERS = ("psnr", "ssim", "selfssim")  # one pair at a time anywhere


@pytest.mark.parametrize(
    ("name", "batch"), [*((name, batch) for name in NETWORKS for batch in (1, 16)), *((name, 1) for name in OTHERS)]
)
def test_pictures_per_second(name: str, batch: int, benchmark: BenchmarkFixture, tell: Callable[[str], None]) -> None:
    """Outputs scored as in a run, networks looking at `batch` of them at once; a GPU is used if there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    (column,) = _metric(name).to(device).columns(2.0, (2.0, 3.0))
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(batch, 2, 3, 192, 192, generator=generator)
    smaller = torch.rand(3, 128, 128, generator=generator)

    def score() -> list[float | np.ndarray]:
        outputs = [Output(2.0, sr, gt, {2.0: sr, 3.0: smaller}) for sr, gt in pictures]
        if batch > 1:
            foresee(([column], output) for output in outputs)
        return [column.fill(output) for output in outputs]

    assert len(score()) == batch
    benchmark.pedantic(score, rounds=2 if device == "cpu" and batch > 1 else 10)
    rate = batch / benchmark.stats.stats.median
    benchmark.extra_info.update(batch=batch, pictures_per_second=round(rate, 2))
    tell(f"{name:<13} {batch:>3} at once {rate:>10.2f} pictures/s on {device}, {1e3 / rate:.2f} ms per picture")


def _metric(name: str) -> Metric:
    """A metric, on random weights if they do not ship with a package."""
    if name == "lpips-alex":
        return Lpips("alex", models.alexnet(weights=None).state_dict(), "random")
    if name == "fid":
        return FeatureDistance("fid", InceptionFeatures(Inception(_random_weights(), Path("random"), "random")))
    return create_metric(name)


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
