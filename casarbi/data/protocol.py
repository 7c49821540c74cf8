"""Protocols: how an HR image becomes the LR that a method is given and the GT that its output is compared with.

A protocol is data with a hash, so a table can say which one gave its numbers. Three modes:

- `fixed`: the centre square, brought to `source_side`, is the image; one LR of `lr_side` serves every scale, and
  the GT of scale s has sides of round(lr_side s) pixels. The paper's face protocol, and all that SelfSSIM allows.
- `patch`: one seeded square crop of round(lr_side s) pixels at native resolution is the GT, its reduction the LR.
- `full`: the whole image, cropped at the bottom and right to round(floor(side / s) s), is the GT, its reduction the LR.

Sources: docs/protocol.md §4 and §7 (sizes, one LR per image, patch and full); yinboc/liif, test.py and
datasets/wrappers.py (border cuts and cropping of the benchmark protocol).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from casarbi.data.base import Dataset
from casarbi.data.pairs import Pair, centre_square, fixed_pairs, patch_pair
from casarbi.errors import CasarbiError, near_names
from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.pictures.resize import resize, resize_matlab
from casarbi.references import DATASETS, Reference
from casarbi.scales import Size, scale_label, target_size
from casarbi.sr import image_seed

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
"""Raised when a change of this code makes other pixels from the same fields."""


@dataclass(frozen=True)
class Protocol:
    """How images are cropped, reduced and compared.

    Attributes:
        name: what users type.
        about: one sentence for tables and help.
        mode: fixed, patch or full (see the module).
        lr_side: side of the LR in pixels, for fixed and patch.
        source_side: side to which the centre square is brought first, for fixed.
        lr_from: whether a fixed LR is made from the source (one for all scales) or from each scale's GT.
        lr_made_by: pillow; or benchmark: the data set's own LR if it ships one, else MATLAB's bicubic for whole
            scales up to 4 and Pillow's beyond, as the published LIIF evaluation mixes them.
        border: pixels cut from each side before comparing: 0, the scale (rounded up), or the scale + 6.
        quantise: whether outputs are rounded to 8 bits before comparing, as a saved file would be.
    """

    name: str
    about: str
    mode: Literal["fixed", "patch", "full"]
    lr_side: int = 0
    source_side: int = 0
    lr_from: Literal["source", "gt"] = "source"
    lr_made_by: Literal["pillow", "benchmark"] = "pillow"
    border: Literal["none", "scale", "scale+6"] = "none"
    quantise: bool = True

    @property
    def hash(self) -> str:
        """SHA-256 over every field that decides a number (not the wording)."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if k not in ("name", "about")}
        return hashlib.sha256(json.dumps([VERSION, fields], sort_keys=True).encode()).hexdigest()

    @property
    def one_lr(self) -> bool:
        """Whether all scales of an image share one LR."""
        return self.mode == "fixed" and self.lr_from == "source"

    def check(self, scales: Sequence[float]) -> None:
        """Refuse scales that no image could serve, before any work; raises CasarbiError."""
        # `target_size` raises. In full mode the LR has no fixed side, so only an image can tell.
        for scale in scales:
            if self.lr_side:
                target_size((self.lr_side, self.lr_side), scale)

    def pairs(self, dataset: Dataset, image_id: str, scales: Sequence[float]) -> list[Pair]:
        """LR and GT of an image at each scale; if `one_lr`, the pairs share one LR tensor.

        Raises:
            CasarbiError: if the image cannot be read or is too small for a scale.
        """
        # Everything is made from 8-bit values, as a file would hold them, and gives 8-bit values again.
        image = to_uint8(dataset.image(image_id))
        if self.mode == "fixed":
            return self._fixed(image, image_id, scales)
        if self.mode == "patch":
            return [self._patch(image, image_id, scale) for scale in scales]
        pairs = [self._full(image, image_id, scale, dataset.lr(image_id, scale)) for scale in scales]
        for pair in pairs:
            self._cut(pair.size, pair.scale)  # an image that is too small fails here, alone, not with its batch
        return pairs

    def _fixed(self, image: Tensor, image_id: str, scales: Sequence[float]) -> list[Pair]:
        # A scale that only an enlarged GT could serve is refused, not measured against invented detail.
        square = centre_square(image)
        sides = [target_size((self.lr_side, self.lr_side), scale)[0] for scale in scales]
        needed = max(self.source_side, *sides)
        if square.shape[-1] < needed:
            raise CasarbiError(
                f"'{image_id}' has a centre square of {square.shape[-1]} px; protocol {self.name} needs {needed} px "
                f"for scale {scale_label(max(scales))}."
            )
        pairs = fixed_pairs(square, self.source_side, self.lr_side, scales)
        if self.lr_from == "source":
            return pairs
        # face-kim-chain: each GT is reduced to an LR of its own (docs/protocol.md §4.4).
        return [patch_pair(to_uint8(pair.gt), self.lr_side, pair.scale) for pair in pairs]

    def _patch(self, image: Tensor, image_id: str, scale: float) -> Pair:
        side = target_size((self.lr_side, self.lr_side), scale)[0]
        height, width = image.shape[-2:]
        if min(height, width) < side:
            raise CasarbiError(
                f"'{image_id}' has {width}x{height} px; protocol {self.name} cuts {side} px squares at scale "
                f"{scale_label(scale)}."
            )
        # The id alone decides where the crop lies: the same relative place at every scale. The seed gives one number
        # below 65,521 (the largest prime of 16 bits) per axis.
        seed = image_seed(image_id)
        top = seed % 65_521 * (height - side + 1) // 65_521
        left = seed // 65_521 % 65_521 * (width - side + 1) // 65_521
        gt = image[:, top : top + side, left : left + side].contiguous()
        return patch_pair(gt, self.lr_side, scale)

    def _full(self, image: Tensor, image_id: str, scale: float, given: Tensor | None) -> Pair:
        # The data set's own LR decides the size of the GT: published HR images are not always multiples of the scale.
        if self.lr_made_by == "benchmark" and given is not None:
            height, width = target_size((given.shape[-2], given.shape[-1]), scale)
            if height > image.shape[-2] or width > image.shape[-1]:
                raise CasarbiError(
                    f"The LR of '{image_id}' at scale {scale_label(scale)} asks for {width}x{height} px, more than its "
                    f"HR of {image.shape[-1]}x{image.shape[-2]} px: is it the LR of another scale?"
                )
            return Pair(scale, given, from_uint8(image[:, :height, :width]))
        # The epsilon keeps 120 / (120 / 88) at 88 (yinboc/liif floors side / scale + 1e-9).
        lr_size = tuple(math.floor(side / scale + 1e-9) for side in image.shape[-2:])
        if min(lr_size) < 1:
            raise CasarbiError(f"'{image_id}' is too small for scale {scale_label(scale)}: its LR would be empty.")
        height, width = target_size((lr_size[0], lr_size[1]), scale)
        gt = image[:, :height, :width].contiguous()
        # Published evaluations took MATLAB's LR for the scales it was published for, and Pillow's for all others.
        matlab = self.lr_made_by == "benchmark" and scale in (2.0, 3.0, 4.0)
        lr = resize_matlab(gt, (lr_size[0], lr_size[1])) if matlab else resize(gt, (lr_size[0], lr_size[1]))
        return Pair(scale, from_uint8(lr), from_uint8(gt))

    def compared(self, image: Tensor, scale: float) -> Tensor:
        """Bring an output or GT of shape (..., H, W) to what metrics see: clamped, rounded, border cut.

        Raises:
            CasarbiError: if the border leaves nothing.
        """
        image = image.clamp(0, 1)
        if self.quantise:
            image = from_uint8(to_uint8(image))
        height, width = image.shape[-2:]
        cut = self._cut((height, width), scale)
        return image[..., cut : height - cut, cut : width - cut]

    def cropped(self, scale: float) -> str:
        """The part of an image that is compared, in words for a table's `crop` column.

        Example:
            >>> PROTOCOLS["face"].cropped(7), PROTOCOLS["div2k-patch"].cropped(4), PROTOCOLS["whole"].cropped(4)
            ('centre square', '192 px square', 'whole')
        """
        if self.mode == "patch":
            return f"{target_size((self.lr_side, self.lr_side), scale)[0]} px square"
        return "centre square" if self.mode == "fixed" else "whole"

    def border_pixels(self, scale: float) -> int:
        """Pixels cut from each side of output and GT before they are compared."""
        return {"none": 0, "scale": math.ceil(scale), "scale+6": math.ceil(scale) + 6}[self.border]

    def _cut(self, size: Size, scale: float) -> int:
        """Pixels cut from each side of a (height, width); raises CasarbiError if that leaves nothing."""
        cut = self.border_pixels(scale)
        if min(size) <= 2 * cut:
            raise CasarbiError(f"Cutting {cut} px from each side leaves nothing of {size[1]}x{size[0]} px.")
        return cut


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "face",
            "Centre square at 256 px (Pillow bicubic), one 16 px LR for all scales, 8-bit RGB, no border cut.",
            "fixed",
            lr_side=16,
            source_side=256,
        ),
        Protocol(
            "face-kim-chain",
            "As face, but each scale's LR is made from its own GT, as zhenshij/arbitrary-scale-diffusion does.",
            "fixed",
            lr_side=16,
            source_side=256,
            lr_from="gt",
        ),
        Protocol(
            "photo",
            "Centre square at 288 px, one 24 px LR for all scales, 8-bit RGB, no border cut.",
            "fixed",
            lr_side=24,
            source_side=288,
        ),
        Protocol(
            "div2k-patch",
            "One seeded crop of round(48 s) px per image, its 48 px LR by Pillow bicubic, 8-bit RGB, no border cut.",
            "patch",
            lr_side=48,
        ),
        Protocol(
            "div2k-full",
            "Whole images, LR as shipped or MATLAB bicubic up to 4x and Pillow beyond, RGB, border of s + 6 px cut.",
            "full",
            lr_made_by="benchmark",
            border="scale+6",
        ),
        Protocol(
            "whole",
            "Whole images, LR by Pillow bicubic, 8-bit RGB, no border cut.",
            "full",
        ),
        Protocol(
            "sr-benchmark",
            "Published Set5-type benchmark: LR as shipped or MATLAB bicubic up to 4x and Pillow beyond, outputs not "
            "rounded, border of s px cut; its PSNR is psnr-y.",
            "full",
            lr_made_by="benchmark",
            border="scale",
            quantise=False,
        ),
    )
}


def get_protocol(name: str) -> Protocol:
    """Look a protocol up; raises CasarbiError with near names on a typo."""
    if name not in PROTOCOLS:
        raise CasarbiError(f"There is no protocol '{name}': {near_names(name, PROTOCOLS)}")
    return PROTOCOLS[name]


def default_protocol(name: str) -> Protocol:
    """The protocol used for a registered data set if none is named: its factory says which (see `measured_by`)."""
    try:
        factory, _ = DATASETS.factory(Reference.parse(name))
    except Exception:  # unknown, or a plug-in that cannot be imported: opening it says what is wrong
        return PROTOCOLS["whole"]
    return PROTOCOLS[getattr(factory, "protocol", "whole")]
