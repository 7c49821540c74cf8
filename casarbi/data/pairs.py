"""LR and GT of an HR image at a scale, for tables and for the validation of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from casarbi.pictures.pixels import from_uint8
from casarbi.pictures.resize import resize
from casarbi.scales import Size, target_size


@dataclass(frozen=True)
class Pair:
    """What one image gives at one scale: LR (3, h, w) and GT (3, H, W), float32 in [0, 1], 8-bit values."""

    scale: float
    lr: Tensor
    gt: Tensor

    @property
    def size(self) -> Size:
        """(H, W) that a method is asked for."""
        return self.gt.shape[-2], self.gt.shape[-1]


def fixed_pairs(square: Tensor, source_side: int, lr_side: int, scales: Sequence[float]) -> list[Pair]:
    """Reduce a whole square to one LR, which all pairs share, and to the GT of each scale.

    Args:
        square: uint8 (3, S, S).
        source_side: LR and GT are made from the square at this side; a GT of more pixels from the square itself.
        lr_side: side of the LR.
        scales: a GT has the side lr_side times its scale, rounded half up.
    """
    # SelfSSIM needs one LR for all scales: it compares outputs of the same input.
    source = to_side(square, source_side)
    lr = from_uint8(to_side(source, lr_side))
    pairs = []
    for scale in scales:
        side, _ = target_size((lr_side, lr_side), scale)
        # Above source_side the GT comes from the square itself: enlarging the source would invent detail.
        gt = to_side(source if side <= source_side else square, side)
        pairs.append(Pair(scale, lr, from_uint8(gt)))
    return pairs


def patch_pair(patch: Tensor, lr_side: int, scale: float) -> Pair:
    """Take a square patch, uint8 (3, S, S), as the GT and reduce it to the LR."""
    return Pair(scale, from_uint8(to_side(patch, lr_side)), from_uint8(patch))


def to_side(square: Tensor, side: int) -> Tensor:
    """Bring a square (3, S, S) to a side; unchanged if it has that side already."""
    return square if square.shape[-2:] == torch.Size((side, side)) else resize(square, (side, side))


def centre_crop(image: Tensor, size: Size) -> Tensor:
    """Cut (C, H, W) to its middle (C, h, w)."""
    top, left = ((has - asked) // 2 for has, asked in zip(image.shape[-2:], size, strict=True))
    return image[:, top : top + size[0], left : left + size[1]].contiguous()


def centre_square(image: Tensor) -> Tensor:
    """Cut (C, H, W) to the largest square in its middle."""
    side = min(image.shape[-2:])
    return centre_crop(image, (side, side))
