"""The headers of picture files, and the sentences about them in a report."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import PIL
from PIL import Image

from casarbi.data.memory import remembered
from casarbi.errors import CasarbiError
from casarbi.pictures import opening
from casarbi.pictures.frames import count_frames
from casarbi.pictures.lossy import is_lossy
from casarbi.pictures.opening import open_picture
from casarbi.pictures.profiles import GREY_MODES, INTENT, conversion
from casarbi.pictures.size import seen_size
from casarbi.scales import Size

_NAMED = 3
_FIRST = 64
"""Files that tell how the disk answers."""

KINDS = {
    "grey": "Grey, repeated over three channels",
    "16-bit": "More than 8 bits per channel, compared as 8",
    "alpha": "With alpha, see-through parts laid over white",
    "frames": "Several frames or pages, of which the first is used",
    "profile": f"With a colour profile other than sRGB, turned into sRGB ({INTENT})",
    "odd profile": "With a colour profile that cannot be used, compared as if it were not there",
    "cmyk": "CMYK without a profile, turned into RGB by a plain rule, so that its colours are a guess",
    "lossy": "In a lossy format, so that the reference itself is lossy",
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
    """Read a picture's header alone, without its pixels; None if that fails (reading the picture says why)."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return _read_header(path, (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns))


@lru_cache(maxsize=200_000)
def _read_header(path: Path, state: tuple[int, ...]) -> Header | None:
    """Remembered while the file's state is the same: every scale of an image asks."""
    try:
        with open_picture(path) as image:
            frames = count_frames(image, path)
            return Header(seen_size(image), tuple(_kinds(image, frames, path)), frames)
    except CasarbiError:
        return None


def read_headers(files: Sequence[Path], folder: Path) -> list[Header | None]:
    """Headers of many files, as `read_header` gives them, remembered as `casarbi.data.memory` says.

    Args:
        files: whose headers are asked for.
        folder: the data set's folder; names the memory that its files share.
    """
    found = remembered(files, folder, f"headers {_reader()}", _read_plain)
    return [header and Header((header[0], header[1]), tuple(header[2]), header[3]) for header in found]


@cache
def _reader() -> str:
    """Hash of what reads headers: Pillow, and our own source."""
    sources = (Path(__file__), *sorted(Path(opening.__file__).parent.glob("*.py")))
    total = hashlib.sha256(PIL.__version__.encode())
    for source in sources:
        total.update(source.read_bytes())
    return total.hexdigest()


def _read_plain(files: list[Path]) -> list[Any]:
    """Headers as plain JSON, several files at a time if the disk lets each one wait."""
    begun, computed = time.perf_counter(), time.thread_time()
    headers = [read_header(path) for path in files[:_FIRST]]
    computed = time.thread_time() - computed
    waited = time.perf_counter() - begun - computed
    # On a disk that answers at once, threads would only take turns: four need four times as long as one.
    if waited < computed:
        headers += [read_header(path) for path in files[_FIRST:]]
    else:
        with ThreadPoolExecutor(4) as pool:
            headers += pool.map(read_header, files[_FIRST:])
    return [header and (*header.size, header.kinds, header.frames) for header in headers]


def _kinds(image: Image.Image, frames: int, path: Path) -> Iterable[str]:
    if image.mode in GREY_MODES:
        yield "grey"
    change, said = conversion(image, keep_rgb=False)
    if said:
        yield "cmyk" if image.mode == "CMYK" and change is None else "profile" if change else "odd profile"
    # Pillow opens some 16-bit pictures in an 8-bit mode; what they are packed as tells.
    packed = str([tile[3] for tile in getattr(image, "tile", [])])
    if image.mode in ("I", "F") or "16" in image.mode or ";16" in packed:
        yield "16-bit"
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        yield "alpha"
    if frames > 1:
        yield "frames"
    if is_lossy(image, path):
        yield "lossy"


def header_notes(headers: Mapping[str, Header | None]) -> tuple[str, ...]:
    """Sentences that name the grey, 16-bit, see-through, many-framed and lossy pictures among those with these ids."""
    # One sentence per kind, with the first few pictures by name.
    notes = []
    for kind, label in KINDS.items():
        named = [
            f"{name} has {header.frames}" if kind == "frames" else name
            for name, header in headers.items()
            if header and kind in header.kinds
        ]
        if named:
            notes.append(f"{label}: {len(named)} of {len(headers)} ({name_some(named)}).")
    return tuple(notes)


def name_some(names: Sequence[str]) -> str:
    """A few names, and how many more there are: 'a, b, c and 7 more'."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
