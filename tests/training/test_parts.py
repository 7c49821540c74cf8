"""Weight average, learning rate, logs, noise augmentation, contact sheets."""

import io

import pytest
import torch
from rich.console import Console
from torch import nn

from casarbi.errors import CasarbiError
from casarbi.training.augmentation import NoiseAugmentation
from casarbi.training.ema import WeightAverage
from casarbi.training.logs import CsvLog, read_log
from casarbi.training.optimizer import make_adam
from casarbi.training.progress import ConsoleReporter
from casarbi.training.schedule import LearningRate
from casarbi.training.sheet import draw_sheet
from casarbi.training.task import Sheet


def test_average_is_the_exponential_one():
    network = nn.Linear(1, 1, bias=False)
    average, expected = WeightAverage(network, 0.5), network.weight.item()
    for n in range(1, 12):
        nn.init.constant_(network.weight, float(n))
        average.update(network)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * n
    assert average.network.weight.item() == pytest.approx(expected) and average.updates == 11
    assert not average.network.weight.requires_grad and not average.network.training


def test_average_copies_buffers():
    network = nn.BatchNorm1d(2)
    average = WeightAverage(network, 0.9)
    network(torch.randn(8, 2))
    average.update(network)
    assert torch.equal(average.network.running_mean, network.running_mean)
    assert average.network.num_batches_tracked == 1


@pytest.mark.parametrize(("step", "rate"), [(0, 0.25), (1, 0.5), (3, 1.0), (9, 1.0), (10, 0.5), (15, 0.25), (19, 0.25)])
def test_rate_warms_up_and_drops(step, rate):
    assert LearningRate(1.0, 20, (0.5, 0.75), 0.5, warmup=4).at(step) == rate


def test_weight_decay_shrinks_weights_apart_from_the_gradient():
    """AdamW: without a gradient a step multiplies the weights by 1 - rate * decay; Adam leaves them."""
    for decay, factor in ((0.0, 1.0), (0.1, 0.98)):
        layer = nn.Linear(3, 2)
        before = layer.weight.detach().clone()
        optimizer = make_adam(layer, 0.2, decay)
        for parameter in layer.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        torch.testing.assert_close(layer.weight.detach(), before * factor)


def test_log_is_rewound_without_doubled_or_torn_rows(tmp_path):
    path = tmp_path / "log.csv"
    log = CsvLog(path, 0)
    for step in (5, 10, 15):
        log.add({"step": step, "loss": step / 3})
    path.write_text(path.read_text() + "20,0.1")  # killed while it wrote
    CsvLog(path, 10).add({"step": 15, "loss": 0.25, "news": 1.0})
    assert read_log(path) == [{"step": 5, "loss": 5 / 3}, {"step": 10, "loss": 10 / 3}, {"step": 15, "loss": 0.25}]


def test_log_survives_an_empty_file(tmp_path):
    (tmp_path / "log.csv").write_text("ste")
    log = CsvLog(tmp_path / "log.csv", 7)
    log.add({"step": 8, "loss": 1.0})
    assert read_log(tmp_path / "log.csv")[-1] == {"step": 8, "loss": 1.0}


CHAIN = (0.1, 0.2, 0.4)


@pytest.mark.parametrize(
    ("noise", "deviation"),
    [
        (NoiseAugmentation("none", 3), 0.0),
        (NoiseAugmentation("sigma", 0.3), 0.3),
        (NoiseAugmentation("resshift_steps", 3), 0.4),
        (NoiseAugmentation("ddpm_steps", 3), 0.0190),
        (NoiseAugmentation("ddpm_steps", 5), 0.0264),
    ],
)
def test_noise_has_the_deviation_of_its_reading(noise, deviation):
    """docs/method.md §7, on the [-1, 1] scale."""
    lr = torch.full((4, 3, 64, 64), 0.5)
    noisy = noise.apply(lr, torch.Generator().manual_seed(0), CHAIN)
    assert (2 * (noisy - lr)).std().item() == pytest.approx(deviation, rel=0.01, abs=1e-9)


@pytest.mark.parametrize("reading", ["resshift_steps", "sigma"])
def test_drawn_noise_differs_between_images(reading):
    noise = NoiseAugmentation(reading, 3, drawn=True)
    noisy = noise.apply(torch.zeros(64, 3, 32, 32), torch.Generator().manual_seed(0), CHAIN)
    found = (2 * noisy).flatten(1).std(1)
    if reading == "sigma":
        assert found.max() < 3.1 and found.min() < 0.5 and 1.1 < found.mean() < 1.9
    else:
        nearest = (found[:, None] / torch.tensor(CHAIN)).log().abs().min(1)
        assert nearest.values.max() < 0.1 and set(nearest.indices.tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (NoiseAugmentation("resshift_steps", 5), "5 steps of resshift_steps is not possible: the chain has 3"),
        (NoiseAugmentation("ddpm_steps", 2.5), "2.5 steps"),
        (NoiseAugmentation("ddpm", 3), "did you mean ddpm_steps"),
    ],
)
def test_impossible_noise_is_refused(noise, words):
    with pytest.raises(CasarbiError, match=words):
        noise.deviations(CHAIN)


def test_sheet_shows_pixels_as_they_are():
    lr = torch.rand(3, 16, 16)
    sheet = draw_sheet(Sheet(("LR", "GT"), ((lr, torch.rand(3, 128, 128)), (lr, torch.rand(3, 85, 85)))))
    assert sheet.dtype == torch.uint8 and sheet.shape == (3, 8 + (128 + 30) + (96 + 30), 8 + 2 * (128 + 8))
    assert torch.equal(sheet[:, 8:136:8, 8:136:8], lr.mul(255).round().to(torch.uint8))


def test_bar_of_training_leaves_the_terminal_to_that_of_the_pictures_until_the_loop_begins():
    reporter = ConsoleReporter(Console(file=io.StringIO(), force_terminal=True))
    with reporter:
        assert not reporter.bar.live.is_started
        reporter.start(0, 2)
        assert reporter.bar.live.is_started
    assert not reporter.bar.live.is_started
