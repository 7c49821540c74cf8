"""The HR target that IDM and Kim were trained towards: reduced without antialiasing, as their environments did it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.scales import Size

TARGETS = ("antialiased", "published")
"""What a training may ask for: GT as everywhere here, or the published one."""


def check_target(target: str) -> None:
    """Refuse another word than one of `TARGETS`; raises CasarbiError."""
    if target not in TARGETS:
        raise CasarbiError(f"[settings.training] target = '{target}' is unknown: {' or '.join(TARGETS)}.")


def training_target(images: Tensor, size: Size) -> Tensor:
    """Reduce HR images (B, 3, H, W), in any range, to a training target as the published environments did.

    Bicubic on the tensor without antialiasing, the default of torchvision 0.12 (later ones smooth), and not clamped:
    it aliases. At half the size its PSNR against an antialiased one is 35 dB (docs/idm.md §6, docs/kim.md §7.1).
    `casarbi.pictures.resize` is what everything else here uses.
    """
    return F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=False)
