"""Metrics that look at pictures through networks, on random weights if no package ships them."""

from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.metrics import create_metric
from benchmarks.metrics.base import Output, fill_row
from benchmarks.metrics.distribution import FeatureDistance, InceptionFeatures
from benchmarks.metrics.lpips import Lpips
from benchmarks.store.rows import Row
from casarbi.errors import CasarbiError

NAMES = ("lpips-alex", "st-lpips-alex", "st-lpips-vgg", "fd-st-alex")


def network_metric(name):
    """The metric of a name; skipped if its weights are missing."""
    if name == "fid":
        from benchmarks.metrics.inception import Inception

        return FeatureDistance(name, InceptionFeatures(Inception(inception_weights(), Path("random"), "random")))
    if name.startswith("lpips"):
        from torchvision import models

        torch.manual_seed(0)
        return Lpips("alex", models.alexnet(weights=None).state_dict(), "random")
    try:
        return create_metric(name)
    except CasarbiError as error:
        pytest.skip(str(error))


def inception_weights():
    """Random weights of pytorch-fid's network under which activations neither die nor explode."""
    from benchmarks.metrics.inception import architecture

    torch.manual_seed(0)
    network = architecture()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    nn.init.zeros_(network.fc.weight)
    nn.init.zeros_(network.fc.bias)
    return network.state_dict()


def outputs(*sides):
    """Outputs of these sides: noisy copies of random pictures, and at another scale the pictures themselves."""
    generator = torch.Generator().manual_seed(0)
    gts = [torch.rand(3, side, side + 5, generator=generator) for side in sides]
    srs = [(gt + 0.1 * torch.randn(gt.shape, generator=generator)).clamp(0, 1) for gt in gts]
    return [Output(2.0, sr, gt, {2.0: sr, 3.0: gt[..., 4:]}) for sr, gt in zip(srs, gts, strict=True)]


def filled(column, output):
    """What a column holds of an output: a number, a vector or a reason."""
    row = Row("a", "")
    fill_row(row, [column], output)
    return next(iter((*row.values.values(), *row.features.values(), *row.failures.values())))
