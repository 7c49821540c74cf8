"""On a GPU: methods, training and harness give what they give on a CPU, up to the device's rounding.

Tolerances are in levels of 255. Emulated on a CPU, sums in another order move an output by 0.0003 levels at most, TF32,
which torch takes for convolutions unless it is told not to, by 0.2, and bfloat16 by 1.6.
"""

import csv
import os

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from network_metrics import NAMES, filled, network_metric, outputs
from scenes import scene
from training_runs import ON_CPU, Runs

import benchmarks.cli
import casarbi.cli
from benchmarks.metrics import create_metric
from benchmarks.metrics.base import foresee
from casarbi.method.network import Denoiser, NetworkConfig
from casarbi.method.residuals import ResidualConfig, stage_inputs
from casarbi.pictures.pixels import to_uint8
from casarbi.pictures.reading import read_image
from casarbi.pictures.writing import write_image
from casarbi.signed import to_signed
from casarbi.sr import create_model
from casarbi.training.compiling import compiled_blocks
from casarbi.training.session import Start
from casarbi.training.snapshots import read_snapshot

pytestmark = pytest.mark.gpu

METHODS = ["bicubic", "liif:mini-face", "idm:mini-face", "kim:mini-face", "casarbi:mini-face"]
EXACT, TF32, BFLOAT16 = 0.05, 1.0, 6.0


@pytest.fixture(scope="module")
def device():
    name = os.environ.get("CASARBI_TEST_DEVICE", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    return name


def in_float32():
    """Convolutions in float32, as the harness has them."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


@pytest.fixture
def exact():
    with in_float32():
        yield


@pytest.fixture(scope="module")
def lr():
    return torch.stack([scene(16, 13, seed) for seed in range(2)])


def levels(a, b):
    return 255 * (a.cpu() - b.cpu()).abs().max().item()


@pytest.mark.parametrize("reference", METHODS)
def test_methods_enlarge_as_on_the_cpu(device, lr, reference):
    """Two images and two sizes, one with an odd side and one below the LR's."""
    sizes = [(85, 69), (12, 20)]
    expected = create_model(reference).upscale_many(lr, sizes, [3, 4])
    model = create_model(reference).to(device)
    made = model.upscale_many(lr.to(device), sizes, [3, 4])
    assert max(levels(a, b) for a, b in zip(made, expected, strict=True)) < EXACT


@pytest.mark.parametrize("reference", METHODS[1:])
def test_many_at_once_are_those_made_one_by_one(device, exact, lr, reference):
    model = create_model(reference).to(device)
    images = to_signed(lr.to(device)).contiguous()
    with torch.no_grad():
        (together,) = model.enlarge(images, [(40, 33)], [3, 4])
    assert levels((together + 1).div(2).clamp(0, 1), model.upscale(lr, (40, 33), [3, 4])) < EXACT


@pytest.mark.parametrize("reference", METHODS[1:])
@pytest.mark.parametrize(("precision", "limit"), [("tf32", TF32), ("bfloat16", BFLOAT16)])
def test_faster_numbers_are_close(device, lr, reference, precision, limit):
    made = create_model(f"{reference}?precision={precision}").to(device).upscale(lr, (85, 69), [3, 4])
    assert 0 < levels(made, create_model(reference).upscale(lr, (85, 69), [3, 4])) < limit


def test_upscale_writes_the_same_picture(device, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "p.png", to_uint8(scene(40, 36)))
    made = []
    for name in ("cpu", device):
        words = ["upscale", "-m", "casarbi:mini-scene?tile=64&overlap=16", "p.png", "-s", "2.3", "-o", "out"]
        done = CliRunner().invoke(casarbi.cli.main, [*words, "--overwrite", "--device", name])
        assert done.exit_code == 0, done.output
        made.append(read_image(tmp_path / "out" / "p_x2.3.png"))
    assert levels(*made) <= 2


@pytest.mark.parametrize("name", [*NAMES, "fid", "ssim", "ms-ssim", "selfssim"])
def test_metrics_of_a_batch_are_those_of_each_picture_on_the_cpu(device, exact, name):
    """Numbers; and features, which are compared by the largest of each vector."""
    metric = create_metric(name) if "ssim" in name else network_metric(name)
    side = max(64, metric.info.min_side)
    (column,) = metric.columns(2.0, (2.0, 3.0))
    expected = [filled(column, output) for output in outputs(side, side, side)]
    (column,) = metric.to(device).columns(2.0, (2.0, 3.0))
    found = outputs(side, side, side)
    foresee([([column], output) for output in found])
    for output, value in zip(found, expected, strict=True):
        bound = 1e-5 * max(1.0, np.abs(value).max())
        np.testing.assert_allclose(filled(column, output), value, rtol=0, atol=bound)


@pytest.mark.parametrize("metrics", ["psnr,ssim", "st-lpips-alex"])
def test_the_harness_measures_the_same(device, tmp_path, monkeypatch, metrics):
    if metrics in NAMES:
        network_metric(metrics)
    monkeypatch.chdir(tmp_path)
    values = []
    for name in ("cpu", device):
        words = ["grid", "--models", "bicubic,casarbi:mini-face", "--data", "toys:squares?n=3", "--scales", "2,3.3"]
        words += ["--protocol", "face", "--metrics", metrics, "--store", name, "--workers", "1"]
        done = CliRunner().invoke(benchmarks.cli.main, [*words, "--device", name])
        assert done.exit_code == 0, done.output
        with open("reports/out/grid/grid.csv", newline="", encoding="utf-8") as file:
            values.append([float(row["value"]) for row in csv.DictReader(file)])
    assert len(values[0]) == 4 * len(metrics.split(",")) and values[1] == pytest.approx(values[0], abs=0.01)


def gradients(device, compiled):
    """Loss, and gradients of a denoiser's weights, for stages of even and odd sizes."""
    torch.manual_seed(0)
    network = Denoiser(NetworkConfig(width=8, levels=(1, 2), lr_blocks=1, hr_blocks=1, embedding=8))
    torch.nn.init.normal_(network.out.weight, std=0.1)  # zero in the beginning, and with it all gradients but its own
    network, residual = network.to(device).train(), ResidualConfig()
    with compiled_blocks(network) if compiled else torch.enable_grad():
        for side in (16, 19, 26):
            small, x_t = torch.rand(2, 3, 13, 13), torch.randn(2, 3, side, side)
            inputs = stage_inputs(small.to(device), (side, side), side / 13, residual)
            made = network(x_t.to(device), torch.tensor([1, 4], device=device), network.encode(inputs))
            made.square().mean().backward()
    return torch.cat([weight.grad.flatten().cpu() for weight in network.parameters()])


def test_gradients_are_those_of_the_cpu(device, exact):
    expected, found = gradients("cpu", False), gradients(device, False)
    assert expected.norm() > 0.01 and (found - expected).norm() < 1e-4 * expected.norm()


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("CASARBI_HOME", str(tmp_path / "home"))
    return Runs(tmp_path)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_learns_and_keeps_float32_weights(device, runs, precision):
    start = Start(device=device)
    runs("run", start=start, precision=precision, iterations=60, drops=(), toy={"dropout": 0.0}, workers=2)
    losses = [row["loss"] for row in runs.rows("run")]
    assert losses[-1] < 0.7 * losses[0]
    assert all(tensor.dtype != torch.bfloat16 for tensor in runs.tensors("run").values())


def test_a_resumed_training_is_the_unbroken_one(device, exact, runs):
    """Weights, averages and moments, up to rounding; a moment that was lost would move weights by a whole step."""
    quiet = {"dropout": 0.0}
    runs("unbroken", start=Start(device=device), toy=quiet)
    stopped = runs("broken", start=Start(device=device), toy=quiet | {"interrupt_at": 7})
    assert stopped.weights is None
    assert runs("broken", start=Start(resume=True, device=device), toy=quiet).weights
    before, after = runs.tensors("unbroken"), runs.tensors("broken")
    assert all(torch.allclose(before[key], after[key], rtol=1e-3, atol=1e-4) for key in before)


def test_a_training_goes_on_on_the_other_device(device, runs):
    quiet = {"dropout": 0.0}
    assert runs("run", start=Start(device=device), toy=quiet | {"interrupt_at": 7}).weights is None
    assert runs("run", start=Start(resume=True, device=ON_CPU.device), toy=quiet).weights
    assert read_snapshot(runs.snapshot("run")).state.step == 20


def test_compiled_gradients_are_those_of_the_cpu(device, exact):
    """Last, because compiling takes longer than all the others."""
    expected, found = gradients("cpu", False), gradients(device, True)
    assert (found - expected).norm() < 1e-4 * expected.norm()
