"""LPIPS and ST-LPIPS against the packages that define them and figures measured with them."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data

from benchmarks.metrics import create_metric
from benchmarks.metrics.lpips import Lpips
from casarbi.errors import CasarbiError

# docs/protocol.md §6.1, measured with the package's own forward pass: blur by sigma, one-pixel shift at 256 px
BLURS = (0.5, 1, 1.5, 2, 3, 4, 6, 8)
SERIES = {
    ("alex", 256): (0.017, 0.173, 0.349, 0.495, 0.662, 0.740, 0.821, 0.865),
    ("vgg", 256): (0.036, 0.227, 0.384, 0.487, 0.614, 0.689, 0.785, 0.835),
    ("alex", 128): (0.016, 0.167, 0.359, 0.535, 0.739, 0.835, 0.927, 0.978),
    ("vgg", 128): (0.048, 0.297, 0.460, 0.561, 0.678, 0.767, 0.903, 0.960),
}
SHIFT = {"alex": 0.005, "vgg": 0.015}


def astronaut(side):
    return np.asarray(Image.fromarray(data.astronaut()).resize((side, side), Image.Resampling.BICUBIC))


def batch(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def shift_tolerant(net):
    try:
        return create_metric(f"st-lpips-{net}")
    except CasarbiError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "net, side", [("alex", 256), ("alex", 128), ("vgg", 128), pytest.param("vgg", 256, marks=pytest.mark.slow)]
)
def test_st_lpips_gives_the_measured_blur_series(net, side):
    metric, sharp = shift_tolerant(net), astronaut(side)
    values = [metric.scores(batch(gaussian_filter(sharp, (s, s, 0))), batch(sharp))[0] for s in BLURS]
    assert values == pytest.approx(SERIES[net, side], abs=0.01)  # the series was blurred by another routine
    assert values == sorted(values)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_st_lpips_hardly_sees_a_shift_and_is_symmetric(net):
    metric, image = shift_tolerant(net), batch(astronaut(256))
    left, right = image[..., :-1], image[..., 1:]
    assert metric.scores(left, right) == pytest.approx([SHIFT[net]], abs=0.005)
    assert metric.scores(left, right) == pytest.approx(metric.scores(right, left), rel=1e-5)


@pytest.fixture
def random_alexnet(monkeypatch, tmp_path):
    """Random weights where the lpips package looks for AlexNet; it takes them unseen."""
    from torchvision.models import alexnet

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    torch.manual_seed(0)
    weights = alexnet(weights=None).state_dict()
    (tmp_path / "checkpoints").mkdir()
    torch.save(weights, tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth")
    return weights


@pytest.mark.filterwarnings("ignore")
def test_lpips_equals_the_package_on_its_own_range(random_alexnet, pair):
    """Fed [0, 1] it looked better than it was (nerfstudio-project/nerfstudio#1424)."""
    import lpips

    package = lpips.LPIPS(net="alex", verbose=False)
    sr, gt = pair(64, 80)
    with torch.no_grad():
        wanted, wrong = float(package(2 * sr - 1, 2 * gt - 1)), float(package(sr, gt))
    assert Lpips("alex", random_alexnet, "random").scores(sr, gt) == pytest.approx([wanted], rel=1e-5)
    assert wrong != pytest.approx(wanted, rel=0.05)


def test_trunk_of_another_network_is_refused(random_alexnet):
    with pytest.raises(CasarbiError, match=r"lpips-vgg has no features.0.weight of shape \(64, 3, 3, 3\)"):
        Lpips("vgg", random_alexnet, "random")
