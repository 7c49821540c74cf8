"""Metrics by name; a metric's module is loaded when it is asked for, so that listing them costs nothing."""

from __future__ import annotations

import importlib

from benchmarks.metrics.base import Metric
from casarbi.errors import CasarbiError
from casarbi.references import near_names

_FACTORIES = {
    "psnr": "psnr:Psnr",
    "psnr-y": "psnr:PsnrY",
    "mse": "psnr:Mse",
    "psnr-pooled8": "psnr:PsnrPooled8",
    "ssim": "ssim:Ssim",
    "ssim-uniform7": "ssim:Ssim",
    "ssim-zeropad": "ssim:Ssim",
    "ssim-y": "ssim:Ssim",
    "ms-ssim": "ssim:Ssim",
}

METRIC_NAMES = tuple(_FACTORIES)
"""Every metric, in the order tables show them."""


def create_metric(name: str) -> Metric:
    """Build a metric by name.

    Raises:
        CasarbiError: on an unknown name (near names are suggested), or where its weights are not at hand or damaged.
    """
    if name not in _FACTORIES:
        raise CasarbiError(f"There is no metric '{name}': {near_names(name, METRIC_NAMES)}")
    module, _, attribute = _FACTORIES[name].partition(":")
    factory = getattr(importlib.import_module(f"benchmarks.metrics.{module}"), attribute)
    return factory(name)
