"""SelfSSIM: how far a method's outputs of one input at two scales agree (Ntavelis et al. 2022; docs/protocol.md §3.3).

Rows of a matrix are the scale a whose output is resized, columns the scale b at whose size SSIM is taken; the two
triangles differ because of that alone.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from benchmarks.metrics.base import MetricInfo, check_range, missing_reason
from benchmarks.metrics.kinds import ConsistencyMetric
from benchmarks.metrics.ssim import INFO as SSIM_INFO
from benchmarks.metrics.ssim import ssim_variant
from casarbi.errors import CasarbiError, near_names
from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.pictures.resize import resize_bytes

RESIZERS = ("bicubic", "bilinear", "nearest")
VARIANTS = tuple(SSIM_INFO)
"""The SSIM variants of `benchmarks.metrics.ssim`: window and colour are chosen together, such as "ssim-y"."""


def selfssim_pair(
    sr_a: Tensor, sr_b: Tensor, resizer: str = "bicubic", variant: str = "ssim", device: str = "cpu"
) -> list[float]:
    """SelfSSIM(a -> b) of each image: SSIM of the output at scale a, resized to the size of b, with that at scale b.

    Both are rounded to 8 bits first; the resize is Pillow's, antialiased, on 8 bits. Equal sizes are not resized.

    Args:
        sr_a: (B, 3, Ha, Wa) in [0, 1], the outputs at scale a.
        sr_b: (B, 3, Hb, Wb) in [0, 1], those of the same LR images, in the same order, at scale b.
        resizer: one of `RESIZERS`.
        variant: one of `VARIANTS`.
        device: where SSIM is computed.

    Returns:
        B values; NaN if a pixel of either output is not finite.

    Raises:
        CasarbiError: on unknown options, different numbers of images, or sides below the variant's window.
    """
    _check(sr_a, sr_b, resizer, variant)
    return [_one(a, b, resizer, variant, device) for a, b in zip(sr_a, sr_b, strict=True)]


def _one(a: Tensor, b: Tensor, resizer: str, variant: str, device: str) -> float:
    if not (a.isfinite().all() and b.isfinite().all()):
        return float("nan")
    # As files would hold them: Pillow resizes bytes, and a method is judged by the pictures it writes.
    bytes_a, bytes_b = to_uint8(a), to_uint8(b)
    if a.shape != b.shape:
        bytes_a = resize_bytes(bytes_a, (b.shape[-2], b.shape[-1]), resizer)
    return ssim_variant(variant, from_uint8(bytes_a), from_uint8(bytes_b), device)


def _check(sr_a: Tensor, sr_b: Tensor, resizer: str, variant: str) -> None:
    for kind, name, known in (("resizer", resizer, RESIZERS), ("SSIM variant", variant, VARIANTS)):
        if name not in known:
            raise CasarbiError(f"SelfSSIM has no {kind} '{name}': {near_names(name, known)}")
    if len(sr_a) != len(sr_b):
        raise CasarbiError(f"SelfSSIM compares outputs of the same images, found {len(sr_a)} and {len(sr_b)}.")
    reason = missing_reason(SSIM_INFO[variant], (sr_b.shape[-2], sr_b.shape[-1]))
    if reason:
        raise CasarbiError(f"SelfSSIM has no value here: {reason}.")
    for images in (sr_a, sr_b):
        check_range("SelfSSIM", images)


# Resizer and SSIM variant of each name, and its value on the doctor's pictures; scikit-image with Pillow gives the same
# SelfSSIM.
_NAMED = {
    "selfssim": ("bicubic", "ssim", 0.895445011),
    "selfssim-bilinear": ("bilinear", "ssim", 0.861009775),
    "selfssim-nearest": ("nearest", "ssim", 0.829637206),
    "selfssim-uniform7": ("bicubic", "ssim-uniform7", 0.893968924),
    "selfssim-y": ("bicubic", "ssim-y", 0.990198582),
}

INFO = {
    name: MetricInfo(
        name=name,
        label="SelfSSIM" if name == "selfssim" else f"SelfSSIM ({name.partition('-')[2]})",
        higher_is_better=True,
        lowest=-1.0,
        highest=1.0,
        min_side=SSIM_INFO[variant].min_side,
        decimals=3,
        description=f"{variant} of the output at the row's scale, resized by Pillow's {resizer} to the column's, with "
        "the latter",
        example=example,
    )
    for name, (resizer, variant, example) in _NAMED.items()
}


class SelfSSIM(ConsistencyMetric):
    """SelfSSIM under a name that fixes resizer and SSIM variant; the plain name has docs/protocol.md §3.3's."""

    def __init__(self, name: str) -> None:
        self.info = INFO[name]
        self.resizer, self.variant, _ = _NAMED[name]

    @property
    def identity(self) -> dict[str, Any]:
        """Resizer and SSIM variant."""
        return {"name": self.info.name, "resizer": self.resizer, "variant": self.variant}

    def score(self, sr: Tensor, reference: Tensor) -> float:
        """SelfSSIM of one image: both outputs (3, H, W) in [0, 1]."""
        return selfssim_pair(sr[None], reference[None], self.resizer, self.variant, self.device)[0]


def create(name: str) -> SelfSSIM:
    """The metric of a name."""
    return SelfSSIM(name)
