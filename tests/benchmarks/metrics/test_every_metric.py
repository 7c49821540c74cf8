"""What holds for each metric that scores images: batches, identical, constant, tiny and NaN images."""

import math

import pytest
import torch

from benchmarks.metrics import METRIC_NAMES, create_metric, metric_info
from benchmarks.metrics.base import missing_reason
from benchmarks.metrics.kinds import ImageMetric
from benchmarks.metrics.lpips import Lpips, build_lpips
from casarbi.errors import CasarbiError

# Of another kind, or with a network that takes long to make: each has tests in a file of its own.
OTHERS = ("psnr-pooled8", "fid", "kid", "fd-", "selfssim", "lpips-vgg", "lpips-squeeze")
IMAGE_METRICS = [name for name in METRIC_NAMES if not name.startswith(OTHERS)]


def image_metric(name):
    """A metric; LPIPS stands on random weights, ST-LPIPS is skipped if its weights are missing."""
    if name == "lpips-alex":
        torch.manual_seed(0)
        trunk = build_lpips_trunk()
        return Lpips("alex", trunk, "random")
    try:
        metric = create_metric(name)
    except CasarbiError as error:
        pytest.skip(str(error))
    assert isinstance(metric, ImageMetric)
    return metric


def build_lpips_trunk(net="alex"):
    from torchvision import models

    network = {"alex": models.alexnet, "vgg": models.vgg16, "squeeze": models.squeezenet1_1}[net]
    torch.manual_seed(0)
    return network(weights=None).state_dict()


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_value_does_not_depend_on_the_batch(name, pair):
    metric = image_metric(name)
    sr, gt = pair(max(metric.info.min_side, 40), max(metric.info.min_side, 40) + 5, batch=3)
    together = metric.scores(sr, gt)
    assert together == [metric.scores(sr[i : i + 1], gt[i : i + 1])[0] for i in range(3)]
    assert len(set(together)) == 3


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_identical_images_get_the_perfect_value(name, pair):
    metric = image_metric(name)
    _, gt = pair(max(metric.info.min_side, 40))
    assert metric.scores(gt, gt) == [metric.info.highest if metric.info.higher_is_better else 0.0]


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_constant_images_have_a_value_in_range(name):
    metric = image_metric(name)
    side = max(metric.info.min_side, 40)
    grey, bright = (torch.full((1, 3, side, side), level / 255) for level in (100, 200))
    (value,) = metric.scores(grey, bright)
    assert math.isfinite(value) and metric.info.lowest <= value <= metric.info.highest
    assert metric.scores(grey, grey) != [value]


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_smallest_side_has_a_value_and_below_it_a_reason(name, pair):
    metric = image_metric(name)
    side = metric.info.min_side
    sr, gt = pair(side)
    assert math.isfinite(metric.scores(sr, gt)[0]) and missing_reason(metric.info, (side, side)) is None
    if side > 1:
        wanted = f"{name} needs images of at least {side} px, this one is {side + 9}x{side - 1} px"
        assert missing_reason(metric.info, (side - 1, side + 9)) == wanted
        with pytest.raises(CasarbiError, match="needs images of at least"):
            metric.scores(sr[..., 1:, :], gt[..., 1:, :])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_nan_is_never_scored_nor_spread(name, bad, pair):
    metric = image_metric(name)
    sr, gt = pair(max(metric.info.min_side, 40), batch=2)
    good = metric.scores(sr, gt)[1]
    sr[0, 1, 7, 9] = bad
    if math.isinf(bad):
        with pytest.raises(CasarbiError, match=r"expects \[0, 1\]"):
            metric.scores(sr, gt)
        return
    first, second = metric.scores(sr, gt)
    assert math.isnan(first) and second == good


@pytest.mark.parametrize("low, high", [(-0.2, 1.3), (0.0, 255.0), (-1.0, 1.0)])
def test_values_outside_the_range_are_refused(low, high):
    images = torch.linspace(low, high, 3 * 16 * 16).reshape(1, 3, 16, 16)
    with pytest.raises(CasarbiError, match=rf"from {low:.4g} to {high:.4g}, psnr expects \[0, 1\]"):
        create_metric("psnr").scores(images, torch.zeros_like(images))


def test_other_sizes_and_grey_images_are_refused():
    for sr, gt in ((torch.zeros(1, 3, 20, 20), torch.zeros(1, 3, 20, 21)), (torch.zeros(1, 1, 20, 20),) * 2):
        with pytest.raises(CasarbiError, match="equal shape"):
            create_metric("ssim").scores(sr, gt)


def test_mistyped_name_gets_a_suggestion():
    with pytest.raises(CasarbiError, match="no metric 'lpips-alx': did you mean lpips-alex"):
        create_metric("lpips-alx")


@pytest.mark.parametrize("name", METRIC_NAMES)
def test_facts_are_known_without_weights(name):
    info = metric_info(name)
    assert info.name == name and info.min_side >= 1 and info.lowest < info.highest and info.description


def test_missing_weights_are_named_with_the_way_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("CASARBI_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CasarbiError, match="casarbi-bench weights fetch stlpips-alex"):
        create_metric("st-lpips-alex")
    for name in ("lpips-alex", "fid"):
        with pytest.raises(CasarbiError, match=r"get https://.* and put it at"):
            create_metric(name)


def test_other_weights_under_the_right_name_are_refused(monkeypatch, tmp_path):
    """lpips and pytorch-fid accept any file that is there (docs/protocol.md §6.2)."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({}, folder / "alexnet-owt-7be5be79.pth")
    with pytest.raises(CasarbiError, match="SHA-256"):
        create_metric("lpips-alex")


def test_lpips_of_each_network_needs_its_own_smallest_side(pair):
    for net, side in (("alex", 31), ("vgg", 16), ("squeeze", 17)):
        network = build_lpips(net, build_lpips_trunk(net))
        assert metric_info(f"lpips-{net}").min_side == side
        with torch.inference_mode(), pytest.raises(RuntimeError, match="(?i)too small"):
            network(*(torch.zeros(1, 3, side - 1, side - 1),) * 2)
