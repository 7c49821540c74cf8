"""Metrics that look at pictures through networks, on random weights if no package ships them."""

import pytest
import torch

from benchmarks.metrics import create_metric
from benchmarks.metrics.base import Output, fill_row
from benchmarks.metrics.lpips import Lpips
from benchmarks.store.rows import Row
from casarbi.errors import CasarbiError

NAMES = ("lpips-alex", "st-lpips-alex", "st-lpips-vgg", "fd-st-alex")


def network_metric(name):
    """The metric; skipped if its weights are missing."""
    if name.startswith("lpips"):
        from torchvision import models

        torch.manual_seed(0)
        return Lpips("alex", models.alexnet(weights=None).state_dict(), "random")
    try:
        return create_metric(name)
    except CasarbiError as error:
        pytest.skip(str(error))


def outputs(*sides):
    """Outputs, noisy, of random pictures of these sides."""
    generator = torch.Generator().manual_seed(0)
    gts = [torch.rand(3, side, side + 5, generator=generator) for side in sides]
    return [Output(2.0, (gt + 0.1 * torch.randn(gt.shape, generator=generator)).clamp(0, 1), gt) for gt in gts]


def filled(column, output):
    """What a column holds of an output: a number, a vector or a reason."""
    row = Row("a", "")
    fill_row(row, [column], output)
    return next(iter((*row.values.values(), *row.features.values(), *row.failures.values())))
