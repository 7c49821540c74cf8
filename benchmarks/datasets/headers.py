"""What the headers of picture files say, and the sentences a report makes of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from casarbi.picture_size import seen_size
from casarbi.scales import Size

_GREY_MODES = frozenset(("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"))
_LOSSY_FORMATS = frozenset(("JPEG", "MPO"))
_NAMED = 3

KINDS = {
    "grey": "Grey, repeated over three channels",
    "16-bit": "More than 8 bits a channel, compared as 8",
    "alpha": "With alpha, see-through parts laid over white",
    "frames": "Several frames or pages, of which the first is used",
    "lossy": "JPEG, so that the reference itself is lossy",
}
"""Kind of picture to what a report says of it."""


@dataclass(frozen=True)
class Header:
    """What a picture's header says.

    Attributes:
        size: (height, width) as the picture is seen, turned by its EXIF orientation.
        kinds: keys of KINDS that apply.
        frames: frames or pages.
    """

    size: Size
    kinds: tuple[str, ...]
    frames: int = 1


def read_header(path: Path) -> Header | None:
    """Read a picture's header alone, without its pixels; None where that fails (reading the picture says why)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the size, say: reading the picture decides about it
            with Image.open(path) as image:
                return Header(seen_size(image), tuple(_kinds(image)), getattr(image, "n_frames", 1))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None


def _kinds(image: Image.Image) -> Iterable[str]:
    if image.mode in _GREY_MODES:
        yield "grey"
    packed = str([tile[3] for tile in getattr(image, "tile", [])])
    if image.mode in ("I", "F") or "16" in image.mode or ";16" in packed:
        yield "16-bit"
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        yield "alpha"
    if image.format not in ("MPO", "PSD", "ICO") and getattr(image, "n_frames", 1) > 1:
        yield "frames"
    if image.format in _LOSSY_FORMATS:
        yield "lossy"


def header_notes(files: Sequence[tuple[str, Path]]) -> tuple[str, ...]:
    """Sentences that name the grey, 16-bit, see-through, many-framed and lossy pictures among (id, file) pairs."""
    with ThreadPoolExecutor(4) as pool:
        headers = list(pool.map(read_header, (path for _, path in files)))
    notes = []
    for kind, label in KINDS.items():
        named = [
            f"{name} has {header.frames}" if kind == "frames" else name
            for (name, _), header in zip(files, headers, strict=True)
            if header and kind in header.kinds
        ]
        if named:
            notes.append(f"{label}: {len(named)} of {len(files)} ({name_some(named)}).")
    return tuple(notes)


def name_some(names: Sequence[str]) -> str:
    """A few names, and how many more there are: 'a, b, c and 7 more'."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
