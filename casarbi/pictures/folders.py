"""Which files of a folder are pictures, in the order a person would list them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from natsort import natsort_keygen, ns

from casarbi.errors import CasarbiError

_PICTURES = (
    ".avif .bmp .dib .gif .heic .heif .ico .j2k .jfif .jp2 .jpe .jpeg .jpg .jpx .mpo .pbm .pcx .pgm .png .pnm .ppm "
    ".psd .qoi .sgi .tga .tif .tiff .webp"
)
PICTURE_SUFFIXES = frozenset(_PICTURES.split())
"""A file with one of these is meant as a picture: if it cannot be read, that is an error."""

# What systems and people leave beside pictures; it is not even counted as skipped.
_LITTER_NAMES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))
_LITTER = ".aae .csv .db .htm .html .ini .json .log .md .md5 .sha256 .thm .toml .txt .url .xml .xmp .yaml .yml"
_LITTER_SUFFIXES = frozenset(_LITTER.split())
_SIGNATURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"8BPS", b"qoif")


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder.

    Attributes:
        paths: in natural order (img2 before img10), each file once.
        names: their paths in the folder, parted by slashes.
        skipped: files that are neither pictures nor the litter every folder gathers, such as videos.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    skipped: tuple[Path, ...]


def list_images(folder: str | os.PathLike[str], *, recursive: bool = False) -> Listing:
    """List the pictures of a folder.

    A file counts as a picture by its suffix, in upper or lower case, or by its first bytes if it has no suffix. Its
    real format is found when it is read. Hidden files, system litter and text are passed over in silence.

    Args:
        folder: a folder.
        recursive: look into sub-folders too, hidden ones left out; a folder that links lead to is entered once.

    Raises:
        CasarbiError: if there is no such folder, it is a file, may not be read, or holds no picture.
    """
    folder = Path(folder)
    if folder.is_file():
        raise CasarbiError(f"{folder} is a file, expected a folder of pictures: name the folder it lies in.")
    if not folder.is_dir():
        raise CasarbiError(f"There is no folder '{folder}': check the name.")
    paths, skipped = [], []
    for path in _files(folder, recursive):
        if _is_picture(path):
            paths.append(path)
        elif not _is_litter(path):
            skipped.append(path)
    if not paths:
        raise CasarbiError(_none_found(folder, recursive, len(skipped)))
    inside = {path.relative_to(folder).as_posix(): path for path in paths}
    names = _in_natural_order(inside)
    return Listing(tuple(inside[name] for name in names), names, tuple(sorted(skipped)))


def _in_natural_order(names: Iterable[str]) -> tuple[str, ...]:
    # A name's key is that of its folder and that of its last part, each of which many names of a tree share: making
    # keys takes long.
    natural = cache(natsort_keygen(alg=ns.PATH | ns.IGNORECASE))

    def key(name: str) -> tuple[object, str]:
        parent, _, last = name.rpartition("/")
        # As a folder: `0` stands for the last part, because only the suffix of that is taken apart.
        return (*natural(f"{parent or '.'}/0")[:-1], *natural(last)), name  # the name tells a.png from A.png

    return tuple(sorted(names, key=key))


def _files(folder: Path, recursive: bool) -> Iterator[Path]:
    """Files of a folder; with `recursive` also of its sub-folders, and of linked ones after all others.

    A folder is entered once, however many links lead to it, and links to a folder around their own are not followed.
    """
    waiting, entered = [folder], set[str]()
    # Linked folders are appended while the list is walked, so they come last.
    for start in waiting:
        for root, folders, names in os.walk(start, onerror=_refuse):
            real = os.path.realpath(root)
            if real in entered:
                folders.clear()
                continue
            entered.add(real)
            folders[:] = sorted(name for name in folders if recursive and not name.startswith((".", "__MACOSX")))
            links = [path for path in (Path(root, name) for name in folders) if path.is_symlink()]
            waiting += [link for link in links if not Path(real).is_relative_to(link.resolve())]
            # A broken link stays: reading it says what is wrong. Pipes and devices could be waited for without end.
            found = (os.path.join(root, name) for name in names)
            yield from (Path(path) for path in found if os.path.isfile(path) or not os.path.exists(path))


def _refuse(error: OSError) -> None:
    raise CasarbiError(f"The folder {error.filename} may not be read: check its permissions.") from None


def _is_picture(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.suffix:
        return path.suffix.lower() in PICTURE_SUFFIXES
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head.startswith(_SIGNATURES) or (head[:4], head[8:]) == (b"RIFF", b"WEBP")


def _is_litter(path: Path) -> bool:
    return (
        path.name.startswith(".")
        or path.name.lower() in _LITTER_NAMES
        or path.suffix.lower() in _LITTER_SUFFIXES
        or not path.suffix
    )


def _none_found(folder: Path, recursive: bool, skipped: int) -> str:
    others = f" (only {skipped} other file{'s' * (skipped != 1)})" if skipped else ""
    if not recursive:
        for path in _files(folder, recursive=True):
            if _is_picture(path):
                return f"{folder} holds no picture itself, but its sub-folder {path.parent} does: name that folder."
    return f"{folder} holds no picture{others}: expected PNG, JPEG, TIFF, WebP or the like."
