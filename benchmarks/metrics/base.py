"""What a metric is to the harness: the columns of the store that it fills, and the value that stored rows then make.

A metric answers two questions, and nobody else needs to know of what kind it is: `columns` says what it computes from
an output, image by image, and `value` what all stored rows of a method at one scale come to. The four kinds in
`benchmarks.metrics.kinds` answer both; a metric derives from one of them and brings its function:

    ImageMetric         compares each image with its reference: `scores`
    DistributionMetric  compares a set of images with the set of references: `features` and `distance`
    DerivedMetric       reduces the stored scores of an image metric in another way: `reduced`
    ConsistencyMetric   compares a method's outputs of one image at two scales: `score`
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.metrics.networks import Network, Seen
from benchmarks.statistics import Interval
from benchmarks.store.rows import Row
from casarbi.errors import CasarbiError
from casarbi.scales import Size

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """Facts of a metric, known whether or not its weights are on this machine.

    Attributes:
        name: key in stores and on the command line, such as "psnr" or "st-lpips-alex".
        label: column heading with its unit, such as "PSNR (dB)".
        higher_is_better: direction.
        lowest, highest: range of possible values; infinite ends are float("inf").
        min_side: smallest image side in pixels; below it a value is missing with a reason, never made up.
        decimals: digits printed.
        description: one sentence with the variant spelled out (window, colour, backbone) and its source.
        weights: name of its weights in the catalogue, or "" if it needs none.
        example: its value on the pictures of `benchmarks.doctor`, or None if nobody could compute it yet.
    """

    name: str
    label: str
    higher_is_better: bool
    lowest: float
    highest: float
    min_side: int
    decimals: int
    description: str
    weights: str = ""
    example: float | None = None


@dataclass(frozen=True)
class Output:
    """What a method made of one image at one scale, with all that a metric may compare it with.

    Attributes:
        scale: the scale.
        sr, gt: output and reference as the protocol compares them, float32 (3, H, W) in [0, 1].
        by_scale: the method's outputs of this image at every scale, whole and not clipped.
        seen_sr, seen_gt: what networks gave for `sr` and for `gt` so far.
    """

    scale: float
    sr: Tensor
    gt: Tensor
    by_scale: Mapping[float, Tensor] = field(default_factory=dict)
    seen_sr: Seen = field(default_factory=dict)
    seen_gt: Seen = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """A column of the store, filled image by image.

    Attributes:
        name: the metric's name and a hash of what decides its values, such as `psnr#1f0c8a2e`.
        info: facts of the metric that fills it.
        fill: gives a number, or a feature vector (D,), of an output; raises CasarbiError with the reason for none.
        is_features: whether it holds vectors. The ground truth then has this column, too.
        network: what `fill` lets look at the output and, unless it gives features, at the reference; None if nothing.
    """

    name: str
    info: MetricInfo
    fill: Callable[[Output], float | np.ndarray]
    is_features: bool = False
    network: Network[Any] | None = None


@dataclass(frozen=True)
class Stored:
    """What the store holds of a method at one scale.

    Attributes:
        scale: the scale.
        rows: one per image in the order of the data set; None if nothing is stored of an image.
        truth: the same of the ground truth, for metrics that fill columns of features.
        towards: the scale compared with, for metrics between scales.
    """

    scale: float
    rows: Sequence[Row | None]
    truth: Sequence[Row | None] = ()
    towards: float = math.nan

    def numbers(self, column: str) -> list[float]:
        """A column as one number per image, NaN if there is none."""
        return [row.values.get(column, math.nan) if row else math.nan for row in self.rows]


@dataclass(frozen=True)
class Value:
    """A metric's value over the stored images.

    Attributes:
        interval: the value, its 95 % interval and the number of images.
        source: what was computed from which column, such as `psnr of psnr#1f0c8a2e`: the key of the value holds it.
        behind: places of the images that the value is of.
        scores: one number per image, NaN if there is none; empty if single images have no value.
        unusable: place of an image to the reason why what is stored of it cannot be used.
    """

    interval: Interval
    source: str
    behind: tuple[int, ...] = ()
    scores: Sequence[float] = ()
    unusable: Mapping[int, str] = field(default_factory=dict)


class Metric(ABC):
    """What the harness asks of a metric.

    Attributes:
        info: its facts.
        fewest: images below which there is no value at all.
        needs: images below which a value is refused unless forced.
        per_image: whether a value is a mean over images, so that two methods can be compared image by image.
        between_scales: whether a value is of two scales, so that reports show a matrix of them.
        looks_through: the network through which it looks at pictures; None without one.
        device: where it computes what takes long; pictures come and numbers go on the CPU.
    """

    info: MetricInfo
    fewest: int = 1
    needs: int = 1
    per_image: bool = True
    between_scales: bool = False
    looks_through: Network[Any] | None = None
    device: str = "cpu"

    def to(self, device: str) -> Self:
        """Move it to a device, with its network if it has one; returns self."""
        self.device = device
        if self.looks_through:
            self.looks_through.to(device)
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the values (variant, weights' SHA-256) as plain JSON; a change makes stored values stale."""
        return {"name": self.info.name}

    def drawn(self, noise: str) -> Metric:
        """The metric of outputs whose scales draw noise so; only values between scales depend on it."""
        return self

    @abstractmethod
    def columns(self, scale: float, scales: Iterable[float]) -> list[Column]:
        """Columns that it fills of an output at a scale, if outputs at all these scales are made."""

    @abstractmethod
    def value(self, stored: Stored) -> Value:
        """Value over the stored images, with its interval and with the images that it is of."""


def foresee(work: Iterable[tuple[Iterable[Column], Output]]) -> None:
    """Let networks look at once at all pictures that filling columns of some outputs will ask them about."""
    asked: dict[str, tuple[Network[Any], dict[int, tuple[Tensor, Seen]]]] = {}
    for columns, output in work:
        for column in columns:
            if column.network and not missing_reason(column.info, (output.sr.shape[-2], output.sr.shape[-1])):
                _, pictures = asked.setdefault(column.network.key, (column.network, {}))
                pictures[id(output.seen_sr)] = output.sr, output.seen_sr
                if not column.is_features:
                    pictures[id(output.seen_gt)] = output.gt, output.seen_gt
    for network, pictures in asked.values():
        # What fails here fails again when a row is filled, and is told there of the one picture whose fault it is.
        with suppress(CasarbiError):
            network.look_at(pictures.values())


def fill_row(row: Row, columns: Iterable[Column], output: Output) -> None:
    """Fill columns of a row from an output, each with a number, features, or the reason why it has neither."""
    for column in columns:
        if missing_reason(column.info, (output.sr.shape[-2], output.sr.shape[-1])):
            # Without the picture's own size, so that a report names all small pictures in one sentence.
            row.failures[column.name] = f"{column.info.name} needs {column.info.min_side} px a side"
            continue
        try:
            found = column.fill(output)
        except CasarbiError as error:
            row.failures[column.name] = str(error)
            continue
        except torch.OutOfMemoryError:
            row.failures[column.name] = f"{column.info.name} needs more memory than the device has"
            continue
        # A NaN never enters the store: a mean over it would lose all other images.
        if isinstance(found, np.ndarray):
            row.features[column.name] = found
        elif math.isnan(found):
            row.failures[column.name] = "the metric gave no number"
        else:
            row.values[column.name] = found


def missing_reason(info: MetricInfo, size: Size) -> str | None:
    """Say why a metric has no value for images of this (height, width), or None if it has one."""
    if min(size) >= info.min_side:
        return None
    return f"{info.name} needs images of at least {info.min_side} px, this one is {size[1]}x{size[0]} px"


def check_pair(info: MetricInfo, sr: Tensor, gt: Tensor) -> None:
    """Refuse what a metric would turn into a wrong number.

    NaN passes: each metric answers it with NaN.

    Raises:
        CasarbiError: if the shapes differ or are not (B, 3, H, W), a side is below the metric's smallest, or values
            leave [0, 1] (a metric never clips in silence, nor guesses a range).
    """
    if sr.shape != gt.shape or sr.ndim != 4 or sr.shape[1] != 3:
        raise CasarbiError(
            f"{info.name} compares two batches of equal shape (B, 3, H, W), found {tuple(sr.shape)} and "
            f"{tuple(gt.shape)}: bring both to one size first."
        )
    reason = missing_reason(info, (sr.shape[-2], sr.shape[-1]))
    if reason:
        raise CasarbiError(f"{reason}: leave the metric out here, or score larger images.")
    for images, what in ((sr, "The scored images"), (gt, "The reference images")):
        check_range(info.name, images, what)


def check_range(metric: str, images: Tensor, what: str = "The images") -> None:
    """Raise CasarbiError if values leave [0, 1]; NaN passes."""
    if images.numel() == 0:
        raise CasarbiError(f"{what} given to {metric} hold no pixels.")
    low, high = (float(end) for end in images.detach().aminmax())
    if low < 0 or high > 1:
        raise CasarbiError(
            f"{what} hold values from {low:.4g} to {high:.4g}, {metric} expects [0, 1]: clip or rescale them first."
        )
