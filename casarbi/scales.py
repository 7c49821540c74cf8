"""Scales and sizes: how they are typed, printed and turned into pixels."""

from __future__ import annotations

import math

from casarbi.errors import CasarbiError

Size = tuple[int, int]
"""(height, width) in pixels, everywhere."""

MAX_OUTPUT_PIXELS = 2**28
"""Largest output accepted without asking (16384 x 16384): a mistyped scale must not fill the memory."""


def parse_scales(text: str) -> tuple[float, ...]:
    """Read a list of scales such as `5.3, 7,10`: in the order given, each once.

    Accepts spaces, a last comma, semicolons instead of commas and a leading or trailing `x` or `×`. A comma always
    separates: `5,3` is 5 and 3. If semicolons separate, a comma inside a piece is an error, not a guess.

    Example:
        >>> parse_scales("x5.3, 7×, 1e1,")
        (5.3, 7.0, 10.0)

    Raises:
        CasarbiError: on an empty list or a piece that is no number of at least 1, which is named.
    """
    separator = ";" if ";" in text else ","
    pieces = [piece.strip() for piece in text.split(separator)]
    if pieces and not pieces[-1]:
        pieces.pop()
    if not pieces:
        raise CasarbiError("No scale was given: write them like 5.3,7,10.")
    return tuple(dict.fromkeys(parse_scale(piece, text) for piece in pieces))


def parse_scale(piece: str, text: str | None = None) -> float:
    """Read one scale of at least 1; `text` is the whole list, to be quoted in the error."""
    where = f" in '{text}'" if text and text != piece else ""
    try:
        scale = float(piece.strip().strip("xX×").strip())
    except ValueError:
        raise CasarbiError(f"'{piece}'{where} is not a scale: write numbers like 5.3,7,10.") from None
    if not math.isfinite(scale) or scale < 1:
        raise CasarbiError(f"Scale '{piece}'{where} must be a finite number of at least 1.")
    return scale


def scale_label(scale: float) -> str:
    """The one label of a scale, everywhere.

    Example:
        >>> [scale_label(s) for s in (5.3, 7.0, 10.7)]
        ['5.3', '7', '10.7']
    """
    return f"{scale:.10g}"


def target_size(size: Size, scale: float, max_pixels: int = MAX_OUTPUT_PIXELS) -> Size:
    """Output size of an image: each side times the scale, rounded half up (docs/protocol.md §4.1).

    Example:
        >>> target_size((16, 16), 10.7), target_size((88, 88), 120 / 88)
        ((171, 171), (120, 120))

    Raises:
        CasarbiError: if the output would hold more than max_pixels.
    """
    height, width = (int(math.floor(side * scale + 0.5)) for side in size)
    check_pixels((height, width), max_pixels, f"Scale {scale_label(scale)} on {size[1]}x{size[0]} px")
    return height, width


def check_pixels(size: Size, max_pixels: int, what: str) -> None:
    """Refuse an output larger than max_pixels before any memory is asked for."""
    height, width = size
    if height * width > max_pixels:
        gib = height * width * 3 * 4 / 2**30
        raise CasarbiError(
            f"{what} asks for {width}x{height} px ({gib:,.0f} GiB as float32), above the limit of "
            f"{max_pixels:,} pixels: check the scale (casarbi upscale has --max-pixels for what is meant so)."
        )
