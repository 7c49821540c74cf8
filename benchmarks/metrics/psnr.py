"""Peak signal-to-noise ratio: the mean of PSNR per image, and the pooled form under its own name."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from benchmarks.metrics.base import MetricInfo, check_pair
from benchmarks.metrics.kinds import DerivedMetric, ImageMetric
from casarbi.data.psnr import mse, psnr, psnr_from_mse

_INF_RULE = "infinite for identical images, which a mean leaves out and counts"
_Y601 = (65.481, 128.553, 24.966)


def psnr_pooled(mses: Sequence[float], batch: int = 8) -> float:
    """PSNR as batch-wise scripts give it: MSE averaged over each batch, PSNR of that, averaged over batches.

    Lower than the mean of PSNR per image by about ln(10)/20 * variance * 7/8 (docs/protocol.md §4.4). Failed images
    (NaN) are left out of their batch, batches without error out of the mean.
    """
    # A batch that lost all its images has no PSNR; one without error has an infinite one.
    groups = [[v for v in mses[i : i + batch] if not math.isnan(v)] for i in range(0, len(mses), batch)]
    pooled = [psnr_from_mse(math.fsum(group) / len(group)) for group in groups if group]
    finite = [value for value in pooled if math.isfinite(value)]
    if not finite:
        return math.inf if pooled else math.nan
    return math.fsum(finite) / len(finite)


def luma_y601(images: Tensor) -> Tensor:
    """BT.601 luma in limited range, of (…, 3, H, W) in [0, 1]: float64 (…, 1, H, W) over 255, so 16/255 to 235/255.

    The Y of MATLAB's rgb2ycbcr, unrounded; not the full-range Y (chaofengc/IQA-PyTorch#257).
    """
    r, g, b = (images[..., i : i + 1, :, :].double() for i in range(3))
    return (16.0 + _Y601[0] * r + _Y601[1] * g + _Y601[2] * b) / 255.0


def psnr_y601(a: Tensor, b: Tensor) -> float:
    """PSNR in dB over BT.601 luma of one (3, H, W) in [0, 1] against another, peak 255."""
    return psnr(luma_y601(a), luma_y601(b))


def _info(name: str, label: str, description: str, example: float) -> MetricInfo:
    is_mse = name == "mse"
    return MetricInfo(
        name=name,
        label=label,
        higher_is_better=not is_mse,
        lowest=0.0 if is_mse else -math.inf,
        highest=255.0**2 if is_mse else math.inf,
        min_side=1,
        decimals=2,
        description=description,
        example=example,
    )


# scikit-image gives the same PSNR and PSNR-Y on the doctor's pictures.
INFO = {
    info.name: info
    for info in (
        _info("psnr", "PSNR (dB)", f"PSNR per image over RGB, peak 255; {_INF_RULE}", 17.1367291),
        _info(
            "psnr-y",
            "PSNR-Y (dB)",
            f"PSNR per image over y601 (BT.601 luma, 16 to 235, unrounded), peak 255; {_INF_RULE}",
            25.025032,
        ),
        _info("mse", "MSE", "mean squared error per image over RGB, in squared 8-bit levels", 1257.2089),
        _info(
            "psnr-pooled8",
            "PSNR pooled/8 (dB)",
            "PSNR of the MSE of each 8 images in id order, averaged over these batches (docs/protocol.md §4.4)",
            19.886218,
        ),
    )
}

_FUNCTIONS = {"psnr": psnr, "psnr-y": psnr_y601, "mse": mse}


class PixelMetric(ImageMetric):
    """PSNR or MSE of each image; inf if identical (PSNR), NaN if a pixel is not finite."""

    def __init__(self, name: str) -> None:
        self.info = INFO[name]

    def scores(self, sr: Tensor, gt: Tensor) -> list[float]:
        """Score each image of (B, 3, H, W) in [0, 1]."""
        check_pair(self.info, sr, gt)
        return [_FUNCTIONS[self.info.name](a, b) for a, b in zip(sr, gt, strict=True)]


class PsnrPooled8(DerivedMetric):
    """PSNR of the error pooled over batches of eight, as Kim's evaluation prints it."""

    info = INFO["psnr-pooled8"]
    source = PixelMetric("mse")

    def reduced(self, scores: Sequence[float]) -> float:
        """Pool the MSE of all images, in id order."""
        return psnr_pooled(scores)


def create(name: str) -> ImageMetric | DerivedMetric:
    """Build one of `INFO`."""
    return PsnrPooled8() if name == PsnrPooled8.info.name else PixelMetric(name)
