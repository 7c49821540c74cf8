"""The numbers that networks compute with: float32, or faster ones that some processors and GPUs have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import torch

from casarbi.errors import CasarbiError
from casarbi.settings import Choices, Option

EMULATED = "bfloat16-emulated"

Precision = Annotated[
    str,
    Choices("float32", "tf32", "bfloat16", EMULATED),
    Option(
        "numbers of convolutions and matrix products: float32; tf32 of NVIDIA GPUs; bfloat16; or bfloat16-emulated on "
        "processors that lack it, ten times slower than float32"
    ),
]
"""A setting of every network here. Chains and images are float32 whatever it says."""


def precision_identity(precision: str) -> str:
    """What the identity of a model says: emulated numbers are those of other devices up to rounding."""
    return "bfloat16 by autocast" if precision.startswith("bfloat16") else precision


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse numbers that a device lacks.

    Raises:
        CasarbiError: for tf32 without an NVIDIA GPU, or bfloat16 on a processor without its instructions.
    """
    if precision == "tf32" and device.type != "cuda":
        raise CasarbiError(f"precision=tf32 is of NVIDIA GPUs, and this runs on {device.type}: take precision=float32.")
    if precision == "bfloat16" and device.type == "cpu" and not _has_bfloat16():
        raise CasarbiError(
            "This processor has no bfloat16, which would be about ten times slower than float32: take "
            f"precision=float32, or precision={EMULATED} if it has to be."
        )


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Let networks on a device compute with these numbers: float32 is kept exact, though torch would use TF32 on a GPU.

    Raises:
        CasarbiError: as `check_precision`.
    """
    check_precision(precision, device)
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = precision == "tf32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision.startswith("bfloat16")):
            yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


def _has_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
