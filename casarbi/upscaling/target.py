"""How large a result is to be: by a scale, an exact size, a width or a height."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from casarbi.errors import CasarbiError
from casarbi.scales import MAX_OUTPUT_PIXELS, Size, check_pixels, parse_scales, scale_label, target_size


@dataclass(frozen=True)
class TargetSize:
    """One of the four ways to say a size.

    Attributes:
        label: what names of results bear: `x3.7`, `640x480`, `w640` or `h480`.
        scale: factor for both sides.
        width: in pixels; together with height an exact size, alone the height follows.
        height: in pixels.
        max_pixels: larger results are refused.
    """

    label: str
    scale: float | None = None
    width: int | None = None
    height: int | None = None
    max_pixels: int = MAX_OUTPUT_PIXELS

    @classmethod
    def parse(
        cls,
        *,
        scale: str | None = None,
        size: str | None = None,
        width: int | None = None,
        height: int | None = None,
        max_pixels: int | None = None,
    ) -> TargetSize:
        """Read what was typed: at most one of scale, size, width and height; scale 4 if there is none.

        Example:
            >>> TargetSize.parse(width=640).label, TargetSize.parse(scale="x3.70").label
            ('w640', 'x3.7')

        Raises:
            CasarbiError: if several were given, or one is no scale or size.
        """
        options = {"--scale": scale, "--size": size, "--width": width, "--height": height}
        given = [name for name, value in options.items() if value is not None]
        if len(given) > 1:
            raise CasarbiError(
                f"{' and '.join(given)} ask for different things: give one of them (--size WxH fixes both sides)."
            )
        limit = MAX_OUTPUT_PIXELS if max_pixels is None else max_pixels
        if size is not None:
            width, height = _parse_size(size)
            return cls(f"{width}x{height}", width=width, height=height, max_pixels=limit)
        if width is not None or height is not None:
            return cls(f"w{width}" if width else f"h{height}", width=width, height=height, max_pixels=limit)
        number = _parse_one_scale("4" if scale is None else scale)
        return cls(f"x{scale_label(number)}", scale=number, max_pixels=limit)

    def of(self, size: Size) -> Size:
        """Output size of a picture of this (height, width), each side rounded half up.

        Raises:
            CasarbiError: if a side would shrink, or the result would exceed max_pixels.
        """
        if self.scale is not None:
            return target_size(size, self.scale, self.max_pixels)
        h, w = size
        # With only a width or a height, the other side keeps the aspect, rounded half up as in `target_size`.
        height = self.height or max(1, math.floor(h * (self.width or 0) / w + 0.5))
        width = self.width or max(1, math.floor(w * height / h + 0.5))
        if height < h or width < w:
            # If the sides fit exchanged, the height was probably typed first.
            turned = width >= h and height >= w and self.width and self.height
            mend = f"--size is width x height, did you mean {height}x{width}?" if turned else "ask for more than that."
            raise CasarbiError(f"{width}x{height} px is smaller than the picture's {w}x{h} px: {mend}")
        check_pixels((height, width), self.max_pixels, f"Size {self.label} for {w}x{h} px")
        return height, width

    def warning(self, size: Size) -> str | None:
        """What is odd about an exact size for a picture: its sides exchanged, or the picture stretched."""
        if not (self.width and self.height):
            return None
        h, w = size
        height, width = self.of(size)
        stretch = width * h / (height * w)
        if (w - h) * (width - height) < 0:
            return (
                f"--size {self.label} (width x height) turns the aspect of a picture of {w}x{h} px round: "
                f"did you mean {height}x{width}?"
            )
        # Half a pixel of rounding is no stretching.
        if abs(stretch - 1) > 0.01 + 0.5 / min(height, width):
            return f"--size {self.label} stretches a picture of {w}x{h} px by {max(stretch, 1 / stretch) - 1:.0%}."
        return None


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text)
    if not match or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise CasarbiError(f"'{text}' is not a size: write WIDTHxHEIGHT in pixels, like 640x480.")
    return int(match[1]), int(match[2])


def _parse_one_scale(text: str) -> float:
    scales = parse_scales(text)
    if len(scales) > 1:
        raise CasarbiError(f"'{text}' gives {len(scales)} scales but one is expected (decimals take a point: 3.7).")
    return scales[0]
