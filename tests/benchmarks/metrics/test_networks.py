"""Networks look at many pictures at once, at each once, and metrics find what they gave."""

from dataclasses import replace

import pytest
import torch
from network_metrics import NAMES, filled, network_metric, outputs

from benchmarks.metrics import metric_info
from benchmarks.metrics.base import Column, foresee
from benchmarks.metrics.kinds import ImageMetric
from benchmarks.metrics.networks import Network
from casarbi.errors import CasarbiError


def watched(network, monkeypatch):
    """Sizes of the batches that a network gets from now on."""
    batches, forward = [], network.forward
    monkeypatch.setattr(network, "forward", lambda images: batches.append(len(images)) or forward(images))
    return batches


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_one_shape_go_together_and_give_what_each_gives_alone(name, monkeypatch):
    metric = network_metric(name)
    (column,) = metric.columns(2.0, (2.0,))
    alone = [filled(column, output) for output in outputs(40, 48, 40)]
    batches, foreseen = watched(metric.looks_through, monkeypatch), outputs(40, 48, 40)
    foresee([([column], output) for output in foreseen])
    # Scores see references, too; features are those of the outputs.
    assert batches == ([2, 1] if column.is_features else [4, 2])
    for output, expected in zip(foreseen, alone, strict=True):
        assert filled(column, output) == pytest.approx(expected, abs=1e-5)
    assert sum(batches) == (3 if column.is_features else 6)


def test_metrics_that_share_a_network_foresee_a_picture_once(monkeypatch):
    columns = [c for name in ("st-lpips-alex", "fd-st-alex") for c in network_metric(name).columns(2.0, (2.0,))]
    batches = watched(columns[0].network, monkeypatch)
    seen = outputs(40, 40)
    foresee([(columns, output) for output in seen])
    assert batches == [4]
    assert [filled(columns[1], output).shape for output in seen] == [(256,)] * 2


def test_a_picture_too_small_for_a_network_is_not_shown_to_it(monkeypatch):
    metric = network_metric("st-lpips-alex")
    (column,) = metric.columns(2.0, (2.0,))
    batches, some = watched(metric.looks_through, monkeypatch), outputs(12, 40)
    foresee([([column], output) for output in some])
    assert batches == [2]
    assert filled(column, some[0]) == "st-lpips-alex needs 21 px a side"


class Plain(ImageMetric):
    """Knows nothing of batches, and calls its own network as it likes."""

    info = replace(metric_info("psnr"), name="plain")

    def __init__(self):
        self.network = torch.nn.Flatten()

    def scores(self, sr, gt):
        return [float(difference.mean()) for difference in self.network(sr - gt)]


def test_a_metric_that_knows_nothing_of_batches_is_filled_one_by_one():
    (column,) = Plain().to("cpu").columns(2.0, (2.0,))
    some = outputs(8, 8)
    foresee([([column], output) for output in some])
    assert [filled(column, o) for o in some] == pytest.approx([float((o.sr - o.gt).mean()) for o in some], abs=1e-6)


class Refusing(Network):
    """Takes no picture with a white corner."""

    key = "refusing"

    def forward(self, images):
        if (images[:, :, 0, 0] == 1).all(1).any():
            raise CasarbiError("a white corner")
        return [float(image.mean()) for image in images]

    def memory_bytes(self, size):
        return 0


def test_a_picture_that_a_network_refuses_costs_no_other():
    network = Refusing()
    column = Column(
        "mean", metric_info("psnr"), lambda output: network.look(output.sr, output.seen_sr), network=network
    )
    some = outputs(8, 8)
    some[1].sr[:, 0, 0] = torch.ones(3)
    foresee([([column], output) for output in some])
    assert filled(column, some[0]) == float(some[0].sr.mean()) and filled(column, some[1]) == "a white corner"
