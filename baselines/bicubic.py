"""Bicubic interpolation, the baseline of every table: Pillow's result on 8-bit images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.pictures.resize import resize
from casarbi.scales import Size
from casarbi.sr import ModelInfo, SRModel


class Bicubic(SRModel):
    """Catmull-Rom bicubic as Pillow computes it on 8-bit images, antialiased when it reduces.

    An LR image that is not 8-bit-valued (k/255) is first rounded to 8 bits, as it would be in a file.
    """

    @property
    def identity(self) -> dict[str, Any]:
        """The method has no weights and no options."""
        return {"method": "bicubic", "variant": "pillow-8bit"}

    @property
    def info(self) -> ModelInfo:
        """Facts for reports."""
        return ModelInfo(
            parameters=0,
            trained_scales=None,
            stochastic=False,
            weights="none",
            licence="MIT",
            source="casarbi.pictures.resize, equal to Pillow's bicubic on 8-bit images",
        )

    def upscale(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> Tensor:
        """Enlarge (B, 3, h, w) in [0, 1] to (B, 3, H, W), whose values are k/255."""
        return from_uint8(resize(to_uint8(lr), size))


def bicubic() -> Bicubic:
    """Build the model that `bicubic` names."""
    return Bicubic()
