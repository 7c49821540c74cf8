"""`ffhq` and `celebahq`: the aligned faces that the face tables are measured on.

The papers score the first 100 files by name (docs/protocol.md §4.4 and §7): ask for `n=100`. The order here is the
natural one, which is the order of names if numbers are padded with zeros, as in FFHQ and the 256 px CelebA-HQ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from casarbi.data.base import measured_by
from casarbi.data.files import FileDataset, first
from casarbi.data.folder import skipped_notes
from casarbi.data.headers import read_header
from casarbi.errors import CasarbiError
from casarbi.pictures.folders import Listing, list_images

FFHQ_FOLDERS = {1024: "images1024x1024", 128: "thumbnails128x128"}
FFHQ_SIDES = (1024, 512, 256, 128)
FFHQ_SPLITS = {"all": (0, 70_000), "train": (0, 60_000), "val": (60_000, 70_000)}
"""First number and the one after the last, as FFHQ's authors propose."""

CELEBAHQ_SIDES = (1024, 256)
CELEBAHQ_FOLDERS = {
    1024: ("data1024x1024", "celeba-1024", "celeba_hq_1024", "CelebA-HQ-img"),
    256: ("data256x256", "celeba-256", "celeba_hq_256"),
}
"""Names that public copies use."""

CELEBAHQ_COUNT = 30_000


@measured_by("face")
def ffhq(path: str, *, split: str = "all", n: int | None = None) -> FileDataset:
    """Read FFHQ: `00000.png` to `69999.png`, in one folder or in sub-folders of 1000.

    Args:
        path: the folder of images, or the one that holds `images1024x1024` or `thumbnails128x128` (the first of the
            two that is there).
        split: "train" (the first 60,000), "val" (the other 10,000) or "all".
        n: only the first n of the split.

    Raises:
        CasarbiError: if there are no such images, they have another size, or the split is unknown or empty here.
    """
    if split not in FFHQ_SPLITS:
        raise CasarbiError(f"ffhq has no split '{split}': choose {', '.join(FFHQ_SPLITS)}.")
    # The folder of images: a known sub-folder of the one given, or that itself.
    root = Path(path).expanduser()
    folder = next((root / name for name in FFHQ_FOLDERS.values() if (root / name).is_dir()), root)
    listing = list_images(folder, recursive=True)
    # The number in the name decides the split, so an incomplete copy has no image in the wrong one.
    numbered = _by_name(path for path in listing.paths if path.stem.isdecimal())
    start, stop = FFHQ_SPLITS[split]
    files = {name: file for name, file in numbered.items() if start <= int(name) < stop}
    if not files:
        raise CasarbiError(
            f"{folder} holds no image of FFHQ's split '{split}', {start:05d} to {stop - 1:05d}: check folder and split."
        )
    return _faces("ffhq", folder, listing, files, FFHQ_SIDES, n, stop - start)


@measured_by("face")
def celebahq(path: str, *, size: int | None = None, n: int | None = None) -> FileDataset:
    """Read a copy of CelebA-HQ at 1024 or 256 px; an id is a file's name without the suffix.

    Args:
        path: the folder of images, or the one that holds `celeba_hq_256`, `data1024x1024` or the like.
        size: 1024 or 256: refuse another; by default the size of the first image decides.
        n: only the first n in natural order.

    Raises:
        CasarbiError: if there are no images, they have another size, or two have the same name.
    """
    if size not in (None, *CELEBAHQ_SIDES):
        raise CasarbiError(f"celebahq comes at {_or(CELEBAHQ_SIDES)} px, not size={size}.")
    root = Path(path).expanduser()
    names = [name for side in CELEBAHQ_SIDES if size in (None, side) for name in CELEBAHQ_FOLDERS[side]]
    folder = next((root / name for name in names if (root / name).is_dir()), root)
    listing = list_images(folder, recursive=True)
    files = _by_name(listing.paths)
    sides = CELEBAHQ_SIDES if size is None else (size,)
    return _faces("celebahq", folder, listing, files, sides, n, CELEBAHQ_COUNT)


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in paths:
        if path.stem in files:
            raise CasarbiError(f"{files[path.stem]} and {path} have the same name: name the folder of one copy.")
        files[path.stem] = path
    return files


def _faces(
    name: str,
    folder: Path,
    listing: Listing,
    files: Mapping[str, Path],
    sides: tuple[int, ...],
    n: int | None,
    complete: int,
) -> FileDataset:
    """Build the data set; the first image that can be read decides the size of all."""
    chosen = first(files, n, folder)
    side = _side(name, chosen, sides)
    notes = [*skipped_notes(listing.skipped), f"Images of {side} px from {folder}."]
    if len(files) < complete:
        notes.append(f"The copy holds {len(files):,} of the {complete:,} images of {name}.")
    return FileDataset(name, folder, chosen, notes=notes, side=side)


def _side(name: str, files: Mapping[str, Path], sides: tuple[int, ...]) -> int:
    # Lazily: of 70,000 files only the first good one is opened.
    headers = ((file, read_header(file)) for file in files.values())
    file, header = next(((file, header) for file, header in headers if header), (None, None))
    if file is None or header is None:
        raise CasarbiError(f"None of the {len(files)} files of {name} is a picture that can be read: copy it again.")
    height, width = header.size
    if height != width or height not in sides:
        raise CasarbiError(
            f"{file} is {width}x{height} px where {name} has squares of {_or(sides)} px: "
            f"resize the copy, or read it as folder:{file.parent}."
        )
    return height


def _or(sides: tuple[int, ...]) -> str:
    return " or ".join(str(side) for side in sides)
