"""Metrics by name; a metric's module is loaded when it is asked for, so that listing them costs nothing.

Each module named here holds `INFO`, which maps its names to their MetricInfo, and `create(name)`, which builds one.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from casarbi.errors import CasarbiError, near_names
from casarbi.settings import Choices

if TYPE_CHECKING:
    from benchmarks.metrics.base import Metric, MetricInfo

_MODULES = {
    "psnr": ("psnr", "psnr-y", "psnr-pooled8", "mse"),
    "ssim": ("ssim", "ssim-uniform7", "ssim-zeropad", "ssim-y", "ms-ssim"),
    "lpips": ("lpips-alex", "lpips-vgg", "lpips-squeeze"),
    "stlpips": ("st-lpips-alex", "st-lpips-vgg"),
    "distribution": ("fid", "kid", "fd-st-alex", "fd-st-vgg", "kid-st-alex"),
    "selfssim": ("selfssim", "selfssim-bilinear", "selfssim-nearest", "selfssim-uniform7", "selfssim-y"),
}
"""The registry: each module of this folder with the names of its metrics."""

METRIC_NAMES = tuple(name for names in _MODULES.values() for name in names)
"""Every metric, in the order tables show them."""

NOISES = Choices("shared", "independent")
"""How the scales of an image draw noise: from one seed, which they share as far as the method does, or a seed each."""


def create_metric(name: str) -> Metric:
    """Build a metric by name, its weights loaded and checked.

    Raises:
        CasarbiError: on an unknown name (near names are suggested), or if its weights are missing or damaged.
    """
    return _module(name).create(name)


def metric_info(name: str) -> MetricInfo:
    """Facts of a metric, whether or not its weights are at hand; raises CasarbiError on an unknown name."""
    return _module(name).INFO[name]


def _module(name: str) -> ModuleType:
    # Two dozen names: a search costs nothing, and the registry stays one line per file.
    module = next((module for module, names in _MODULES.items() if name in names), None)
    if module is None:
        raise CasarbiError(f"There is no metric '{name}': {near_names(name, METRIC_NAMES)}")
    return importlib.import_module(f"benchmarks.metrics.{module}")
