"""Fréchet and kernel distances, and the features below them."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from network_metrics import inception_weights
from scipy.linalg import sqrtm
from sklearn.metrics.pairwise import polynomial_kernel

from benchmarks.metrics import create_metric, metric_info
from benchmarks.metrics.distribution import FeatureDistance, InceptionFeatures
from benchmarks.metrics.frechet import feature_moments, frechet_distance, moments_distance
from benchmarks.metrics.kid import kernel_distance
from casarbi.errors import CasarbiError


def features(n, d, seed, shift=0.0):
    """Skewed, correlated vectors, as networks give them."""
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(d, d)) * np.exp(-4 * np.arange(d) / d)[:, None]
    return np.maximum(generator.normal(size=(n, d)) @ mixing + shift, 0).astype(np.float32)


@pytest.mark.parametrize(
    "n, m, d", [(300, 300, 64), (200, 90, 64), (40, 200, 64), (64, 65, 64), (10, 10, 64), (2, 3, 8)]
)
def test_frechet_is_the_formula_whatever_the_numbers(n, m, d):
    x, y = features(n, d, 0).astype(float), features(m, d, 1, 0.3).astype(float)
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(s1 @ s2).real, 0)).sum()
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * roots
    assert frechet_distance(x, y) == pytest.approx(wanted, rel=1e-5)
    assert frechet_distance(y, x) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_frechet_equals_pytorch_fid(monkeypatch):
    from pytorch_fid import fid_score

    # It asks SciPy's root for an error estimate, too, which SciPy 1.18 does not give any more.
    monkeypatch.setattr(fid_score, "linalg", SimpleNamespace(sqrtm=lambda matrix, disp: (sqrtm(matrix), None)))
    x, y = features(500, 96, 0), features(450, 96, 1, 0.2)
    wanted = fid_score.calculate_frechet_distance(*feature_moments(x), *feature_moments(y))
    assert frechet_distance(x, y) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("n", [12, 64, 65, 300])
def test_set_against_itself_is_zero(n):
    """Printed as -0.00 elsewhere (toshas/torch-fidelity#44)."""
    x = features(n, 64, 0)
    distance = frechet_distance(x, x[np.random.default_rng(0).permutation(n)])
    assert abs(distance) < 1e-6 and f"{distance:.2f}" == "0.00"


def test_dead_and_repeated_features_stay_real():
    """A singular covariance turned the matrix root complex (mseitzer/pytorch-fid#13)."""
    x, y = features(300, 64, 0), features(300, 64, 1, 0.3)
    for z in (x, y):
        z[:, 5], z[:, 7] = 0, z[:, 8]
    alive = np.delete(np.arange(64), 5)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(x[:, alive], y[:, alive]), rel=1e-6)
    assert abs(frechet_distance(x, x)) < 1e-6


def test_known_gaussians():
    """Covariances I and 4 I in three dimensions, means 2 apart: 4 + 3 (1 + 4 - 2 · 2) = 7."""
    generator = np.random.default_rng(0)
    white = generator.normal(size=(400, 3))
    white = (white - white.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    assert frechet_distance(white, 2 * white + [2.0, 0, 0]) == pytest.approx(7, abs=1e-9)


@pytest.mark.parametrize("distance", [frechet_distance, lambda x, y: kernel_distance(x, y)[0]])
@pytest.mark.parametrize("n", [10, 100])
def test_failed_features_give_no_number(distance, n):
    x, y = features(n, 16, 0), features(n, 16, 1)
    x[3, 2] = np.nan
    assert math.isnan(distance(x, y)) and math.isnan(distance(y, x))


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize("shapes", [((1, 4), (9, 4)), ((9, 4), (9, 5)), ((0, 4), (9, 4))])
def test_sets_that_cannot_be_compared_are_refused(distance, shapes):
    with pytest.raises(CasarbiError, match="of one length"):
        distance(*(np.zeros(shape) for shape in shapes))


def test_moments_with_nan_give_nan():
    good = feature_moments(features(20, 4, 0))
    assert math.isnan(moments_distance(good._replace(mean=np.full(4, np.nan)), good))


def test_kernel_distance_is_the_unbiased_estimator():
    x, y = features(40, 32, 0).astype(float), features(33, 32, 1, 0.3).astype(float)
    kxx, kyy, kxy = (polynomial_kernel(a, b, degree=3, gamma=None, coef0=1) for a, b in ((x, x), (y, y), (x, y)))
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kxx, kyy)]
    assert kernel_distance(x, y)[0] == pytest.approx(sum(within) - 2 * kxy.mean(), rel=1e-9)


def test_kernel_distance_is_near_zero_between_halves_of_one_set():
    """Unbiased: it may fall below zero (GaParmar/clean-fid#36), within its standard error of it."""
    draws = [kernel_distance(features(60, 16, 2 * i), features(60, 16, 2 * i + 1)) for i in range(40)]
    values, errors = np.array(draws).T
    assert values.min() < 0 and abs(values.mean()) < 3 * values.std() / math.sqrt(40)
    assert 0.5 < np.sqrt((errors**2).mean()) / values.std() < 2


def test_blocks_do_not_change_the_kernel_distance(monkeypatch):
    x, y = features(50, 8, 0), features(41, 8, 1)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("benchmarks.metrics.kid._BLOCK", 7)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-9)


class FakeFeatures:
    name, dimensions, network = "fake-4", 4, SimpleNamespace(sha256="0")


@pytest.mark.parametrize("name, needs", [("fid", 4), ("kid", 16)])
def test_declared_needs_and_spread(name, needs):
    metric = FeatureDistance(name, FakeFeatures())
    x, y = features(30, 4, 0), features(30, 4, 1, 1.0)
    assert metric.needs == needs and metric.identity == {"features": "fake-4", "weights": "0"}
    assert metric.distance(x, y) > 0 and (metric.spread(x, y) is None) == (name == "fid")


def test_distances_on_other_features_are_not_called_fid():
    for name in ("fd-st-alex", "fd-st-vgg", "kid-st-alex"):
        assert "FID" not in metric_info(name).label and "KID" not in metric_info(name).label


@pytest.mark.parametrize("name", ["fd-st-alex", "fd-st-vgg"])
def test_st_features_do_not_depend_on_the_batch_and_see_noise(name, pair):
    try:
        metric = create_metric(name)
    except CasarbiError as error:
        pytest.skip(str(error))
    sr, gt = pair(40, 48, batch=4)
    vectors = metric.features(gt)
    assert vectors.dtype == np.float32 and vectors.shape == (4, metric.needs)
    np.testing.assert_array_equal(vectors, np.concatenate([metric.features(image[None]) for image in gt]))
    assert metric.distance(metric.features(sr), vectors) > 1 > abs(metric.distance(vectors, vectors))


def test_features_of_a_nan_image_are_nan_and_of_no_other(pair):
    try:
        metric = create_metric("fd-st-alex")
    except CasarbiError as error:
        pytest.skip(str(error))
    _, gt = pair(40, batch=2)
    gt[1, 0, 3, 3] = math.nan
    vectors = metric.features(gt)
    assert np.isfinite(vectors[0]).all() and np.isnan(vectors[1]).any()


@pytest.fixture(scope="module")
def inception():
    """Our network and pytorch-fid's on the same random weights."""
    import pytorch_fid.inception

    from benchmarks.metrics.inception import Inception

    weights = inception_weights()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: weights)
        reference = pytorch_fid.inception.InceptionV3([3]).eval()
    bare = {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    return Inception(bare, Path("random"), "random"), reference


@pytest.mark.parametrize("height, width", [(85, 85), (1, 1), (320, 200)])
def test_inception_features_equal_pytorch_fid(inception, height, width, pair):
    ours, reference = inception
    images, _ = pair(height, width, batch=2)
    with torch.inference_mode():
        wanted = reference(images)[0].flatten(1)
    metric = FeatureDistance("fid", InceptionFeatures(ours))
    found = torch.from_numpy(metric.features(images))
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)
    assert found.shape == (2, 2048) and wanted.std() > 0.1
    np.testing.assert_array_equal(found[1:], metric.features(images[1:]))


def test_inception_features_of_a_batch_are_those_of_each(inception, pair):
    ours, _ = inception
    _, images = pair(85, batch=3)
    seen = [{} for _ in images]
    ours.look_at(zip(images, seen, strict=True))
    together = torch.stack([ours.look(image, one) for image, one in zip(images, seen, strict=True)])
    alone = torch.stack([ours.look(image) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
