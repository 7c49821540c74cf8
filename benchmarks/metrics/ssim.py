"""Structural similarity (Wang et al. 2004, eq. 13) in its named variants, in float64.

Windowed means are products with banded matrices in blocks: on one core that takes a fraction of a convolution's time
and, unlike a Fourier transform, keeps every digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from benchmarks.metrics.base import MetricInfo, check_pair
from benchmarks.metrics.kinds import ImageMetric
from benchmarks.metrics.psnr import luma_y601

_BLOCK = 32  # measured: 16 and 64 are both slower in float64
_C1, _C2 = 0.01**2, 0.03**2  # (K1 L)² and (K2 L)² with L = 1, the range of [0, 1]
_MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@dataclass(frozen=True)
class Window:
    """How local means, variances and covariances are taken.

    Attributes:
        taps: weights along one axis, of sum 1; their outer product is the window.
        sample: whether (co)variances divide by n - 1 instead of n, n the number of pixels in the window.
        zero_pad: whether the image is surrounded by zeros; otherwise only windows inside the image count.
    """

    taps: tuple[float, ...]
    sample: bool = False
    zero_pad: bool = False


def gaussian_taps(size: int = 11, sigma: float = 1.5) -> tuple[float, ...]:
    """Weights of a Gaussian cut off to `size` taps, of sum 1."""
    weights = [math.exp(-0.5 * ((i - (size - 1) / 2) / sigma) ** 2) for i in range(size)]
    return tuple(weight / sum(weights) for weight in weights)


GAUSSIAN = Window(gaussian_taps())
UNIFORM7 = Window((1 / 7,) * 7, sample=True)
ZERO_PADDED = Window(gaussian_taps(), zero_pad=True)


def ssim(a: Tensor, b: Tensor, window: Window = GAUSSIAN) -> float:
    """SSIM of one image against another, mean over channels and windows.

    Args:
        a: (C, H, W) in [0, 1]; the value equals that of 8-bit images with range 255.
        b: the same shape.
        window: see `GAUSSIAN`, `UNIFORM7`, `ZERO_PADDED`.

    Returns:
        A value in [-1, 1]; exactly 1 for identical images, NaN if a pixel is not finite.
    """
    return float(_channel_terms(a, b, window)[0].mean())


def ms_ssim(a: Tensor, b: Tensor) -> float:
    """Five-level SSIM (Wang, Simoncelli and Bovik 2003), mean over channels.

    Levels are halved by 2x2 means; an odd last row or column is dropped, so a side needs 16 times the window. Negative
    contrast terms count as 0.
    """
    product = torch.ones(a.shape[0], dtype=torch.float64, device=a.device)
    for level, weight in enumerate(_MS_WEIGHTS):
        full, contrast = _channel_terms(a, b, GAUSSIAN)
        term = full if level == len(_MS_WEIGHTS) - 1 else contrast
        product = product * term.clamp_min(0) ** weight
        a, b = (torch.nn.functional.avg_pool2d(image.double(), 2) for image in (a, b))
    return float(product.mean())


def _channel_terms(a: Tensor, b: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean contrast-structure term of each channel of (C, H, W): two (C,)."""
    taps = len(window.taps)
    if window.zero_pad:
        a, b = (torch.nn.functional.pad(image, (taps // 2,) * 4) for image in (a, b))
    count = a.shape[-2] - taps + 1, a.shape[-1] - taps + 1
    full, contrast = (torch.zeros(a.shape[0], dtype=torch.float64, device=a.device) for _ in range(2))
    for top in range(0, count[0], _BLOCK):
        rows = slice(top, min(top + _BLOCK, count[0]) + taps - 1)
        strip = _strip_terms(a[:, rows].double(), b[:, rows].double(), window)
        full += strip[0]
        contrast += strip[1]
    return full / math.prod(count), contrast / math.prod(count)


def _strip_terms(a: Tensor, b: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Sums over windows of SSIM and of its contrast-structure term, per channel of a strip.

    From the sum t and the difference d of the images four windowed means are enough instead of five:
    t² - d² = 4ab and t² + d² = 2(a² + b²). Identical images give exactly 1.
    """
    maps = torch.empty(4, *a.shape, dtype=torch.float64, device=a.device)
    torch.add(a, b, out=maps[0])
    torch.sub(a, b, out=maps[1])
    torch.mul(maps[:2], maps[:2], out=maps[2:])
    mean_t, mean_d, var_t, var_d = _windowed_means(maps, window.taps)
    # From means of squares to variances, in place: these maps are most of the memory.
    power_t, power_d = mean_t.square_(), mean_d.square_()
    var_t -= power_t
    var_d -= power_d
    if window.sample:
        pixels = len(window.taps) ** 2
        var_t *= pixels / (pixels - 1)
        var_d *= pixels / (pixels - 1)
    # Eq. 13 with each factor doubled: var_t - var_d is 4 cov, var_t + var_d is 2 (var_a + var_b); means likewise.
    contrast = (var_t - var_d).add_(2 * _C2).div_(var_t.add_(var_d).add_(2 * _C2))
    luminance = (power_t - power_d).add_(2 * _C1).div_(power_t.add_(power_d).add_(2 * _C1))
    return luminance.mul_(contrast).sum((-2, -1)), contrast.sum((-2, -1))


def _windowed_means(maps: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Separable weighted means of (…, h + k - 1, w + k - 1), k taps: (…, h, w)."""
    k = len(taps)
    height, width = maps.shape[-2] - k + 1, maps.shape[-1] - k + 1
    columns = (_band(taps, height, maps.device).T @ maps).reshape(-1, maps.shape[-1])
    means = torch.empty(columns.shape[0], width, dtype=maps.dtype, device=maps.device)
    for left in range(0, width, _BLOCK):
        n = min(_BLOCK, width - left)
        band = _band(taps, n, maps.device)
        torch.mm(columns[:, left : left + n + k - 1], band, out=means[:, left : left + n])
    return means.reshape(*maps.shape[:-2], height, width)


@lru_cache(maxsize=256)
def _band(taps: tuple[float, ...], n: int, device: torch.device) -> Tensor:
    """Matrix (n + k - 1, n) whose columns hold the k taps, each one lower."""
    band = torch.zeros(n + len(taps) - 1, n, dtype=torch.float64)
    for column in range(n):
        band[column : column + len(taps), column] = torch.tensor(taps, dtype=torch.float64)
    return band.to(device)


_RGB = "RGB channels averaged, range 255"
_GAUSS = "Gaussian 11 taps, sigma 1.5, K1 0.01, K2 0.03, population covariance"


def _info(name: str, label: str, min_side: int, variant: str, example: float) -> MetricInfo:
    return MetricInfo(
        name=name,
        label=label,
        higher_is_better=True,
        lowest=0.0 if name == "ms-ssim" else -1.0,
        highest=1.0,
        min_side=min_side,
        decimals=4,
        description=f"SSIM per image: {variant}",
        example=example,
    )


# scikit-image gives the same SSIM, SSIM-Y and SSIM uniform 7 on the doctor's pictures.
INFO = {
    info.name: info
    for info in (
        _info("ssim", "SSIM", 11, f"{_GAUSS}, windows inside the image, {_RGB}", 0.790819805),
        _info(
            "ssim-uniform7", "SSIM uniform 7", 7, f"uniform 7x7, sample covariance (scikit-image), {_RGB}", 0.796303689
        ),
        _info("ssim-zeropad", "SSIM zero-padded", 11, f"{_GAUSS}, zeros around the image, {_RGB}", 0.79423049),
        _info("ssim-y", "SSIM-Y", 11, f"{_GAUSS}, windows inside the image, y601 luma, range 255", 0.905605566),
        _info("ms-ssim", "MS-SSIM", 176, f"five levels, {_GAUSS}, 2x2 means between levels, {_RGB}", 0.897997777),
    )
}


def ssim_variant(name: str, a: Tensor, b: Tensor, device: str = "cpu") -> float:
    """A named variant (a key of `INFO`) on one pair of (3, H, W) in [0, 1], computed on a device."""
    # Other GPUs have no float64: for them it stays on the CPU.
    if torch.device(device).type == "cuda":
        a, b = a.to(device), b.to(device)
    if name == "ms-ssim":
        return ms_ssim(a, b)
    if name == "ssim-y":
        return ssim(luma_y601(a), luma_y601(b))
    return ssim(a, b, {"ssim-uniform7": UNIFORM7, "ssim-zeropad": ZERO_PADDED}.get(name, GAUSSIAN))


class Ssim(ImageMetric):
    """One named variant of SSIM; exactly 1 if identical, NaN if a pixel is not finite."""

    def __init__(self, name: str) -> None:
        self.info = INFO[name]

    def scores(self, sr: Tensor, gt: Tensor) -> list[float]:
        """Score each image of (B, 3, H, W) in [0, 1]."""
        check_pair(self.info, sr, gt)
        return [ssim_variant(self.info.name, a, b, self.device) for a, b in zip(sr, gt, strict=True)]


def create(name: str) -> Ssim:
    """Build one of `INFO`."""
    return Ssim(name)
