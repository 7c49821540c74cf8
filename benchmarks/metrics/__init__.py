"""Metrics by name; a metric's module is loaded when it is asked for, so that listing them costs nothing.

Each module named here holds `INFO`, a MetricInfo a name, and `create(name)`.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from casarbi.errors import CasarbiError, near_names

if TYPE_CHECKING:
    from benchmarks.metrics.base import Metric, MetricInfo

_MODULES = {
    "psnr": "psnr",
    "psnr-y": "psnr",
    "psnr-pooled8": "psnr",
    "mse": "psnr",
    "ssim": "ssim",
    "ssim-uniform7": "ssim",
    "ssim-zeropad": "ssim",
    "ssim-y": "ssim",
    "ms-ssim": "ssim",
    "lpips-alex": "lpips",
    "lpips-vgg": "lpips",
    "lpips-squeeze": "lpips",
    "st-lpips-alex": "stlpips",
    "st-lpips-vgg": "stlpips",
    "fid": "distribution",
    "kid": "distribution",
    "fd-st-alex": "distribution",
    "fd-st-vgg": "distribution",
    "kid-st-alex": "distribution",
    "selfssim": "selfssim",
    "selfssim-bilinear": "selfssim",
    "selfssim-nearest": "selfssim",
    "selfssim-uniform7": "selfssim",
    "selfssim-y": "selfssim",
}

METRIC_NAMES = tuple(_MODULES)
"""Every metric, in the order tables show them."""


def create_metric(name: str) -> Metric:
    """Build a metric by name, its weights loaded and checked.

    Raises:
        CasarbiError: on an unknown name (near names are suggested), or where its weights are not at hand or damaged.
    """
    return _module(name).create(name)


def metric_info(name: str) -> MetricInfo:
    """Facts of a metric, whether or not its weights are at hand; raises CasarbiError on an unknown name."""
    return _module(name).INFO[name]


def _module(name: str) -> ModuleType:
    if name not in _MODULES:
        raise CasarbiError(f"There is no metric '{name}': {near_names(name, METRIC_NAMES)}")
    return importlib.import_module(f"benchmarks.metrics.{_MODULES[name]}")
