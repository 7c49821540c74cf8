"""`folder` and `benchmark`: a plain folder of pictures, and one laid out like Set5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from casarbi.data.base import Dataset
from casarbi.data.files import FileDataset, LrFiles, first, name_files
from casarbi.data.headers import name_some
from casarbi.data.reduced import Reduced
from casarbi.errors import CasarbiError
from casarbi.pictures.folders import list_images
from casarbi.pictures.naming import printable_name

HR, LR = "HR", "LR_bicubic"


def folder(
    path: str,
    *,
    recursive: bool = False,
    n: int | None = None,
    max_pixels: int | None = None,
    reduce: float | None = None,
) -> Dataset:
    """Read a folder of pictures, or a single picture, as a data set.

    The id of an image is its path in the folder without the suffix; files that share it keep their suffixes. A folder
    laid out like Set5 (`HR/`, perhaps `LR_bicubic/X2/`, no picture beside them) is read as `benchmark` does.

    Args:
        path: the folder.
        recursive: take pictures in sub-folders too.
        n: only the first n in natural order (img2 before img10).
        max_pixels: images of more pixels are refused; None for `casarbi.pictures.reading.MAX_INPUT_PIXELS`.
        reduce: make images smaller by this factor, which hides the blocks of lossy files.

    Raises:
        CasarbiError: if there is no such folder, it holds no picture, or fewer than n; if reduce is not above 1.
    """
    found = _folder(Path(path).expanduser(), path, recursive, n, max_pixels)
    return found if reduce is None else Reduced(found, reduce)


def _folder(root: Path, path: str, recursive: bool, n: int | None, max_pixels: int | None) -> FileDataset:
    # A single picture is a data set of one.
    if root.is_file():
        files = name_files([root], root.parent)
        return FileDataset(printable_name(root.stem), root.parent, files, max_pixels=max_pixels)
    # Without this, a Set5-like folder would be an empty one: all its pictures lie in sub-folders.
    if not recursive and _is_benchmark(root):
        note = f"{root} has an {HR} folder and was read as benchmark:{path}."
        return _benchmark(root, n, (note,))
    listing = list_images(root, recursive=recursive)
    files = first(name_files(listing.paths, root), n, root)
    notes = skipped_notes(listing.skipped)
    return FileDataset(_name(root), root, files, notes=notes, max_pixels=max_pixels)


def benchmark(path: str, *, n: int | None = None) -> FileDataset:
    """Read a folder like Set5, Set14, B100 or Urban100: `HR/baby.png`, `LR_bicubic/X2/babyx2.png`.

    The LR images are optional.

    Args:
        path: the folder that holds `HR`, or `HR` itself.
        n: only the first n in natural order.

    Raises:
        CasarbiError: if there is no such folder, or none laid out so.
    """
    root = Path(path).expanduser()
    # The HR folder itself may be named; its LR images lie beside it.
    if root.name == HR and not (root / HR).is_dir():
        root = root.resolve().parent
    if not (root / HR).is_dir():
        list_images(root)  # says so if there is nothing at all
        raise CasarbiError(f"{root} has no sub-folder {HR} with the images: read it as folder:{path}.")
    return _benchmark(root, n, ())


def _benchmark(root: Path, n: int | None, notes: Sequence[str]) -> FileDataset:
    listing = list_images(root / HR)
    files = first(name_files(listing.paths, root / HR), n, root)
    lr = LrFiles.find(root / LR, tuple(files))
    notes = (*notes, *skipped_notes(listing.skipped), *lr_notes(lr, len(files)))
    return FileDataset(_name(root), root, files, notes=notes, lr=lr)


def lr_notes(lr: LrFiles, count: int) -> tuple[str, ...]:
    """Name the scales whose LR files are there for some of `count` images only."""
    partial = []
    for label in lr.labels:
        have = sum(1 for _, scale in lr.files if scale == label)
        if have < count:
            partial.append(f"x{label} ({have} of {count})")
    return (f"{lr.folder.name} lacks files at {name_some(partial)}.",) if partial else ()


def _is_benchmark(root: Path) -> bool:
    if not (root / HR).is_dir():
        return False
    # With pictures of its own beside HR/, it is a plain folder.
    try:
        list_images(root)
    except CasarbiError:
        return True
    return False


def skipped_notes(paths: Sequence[Path]) -> tuple[str, ...]:
    """Say which files of a folder were no pictures."""
    if not paths:
        return ()
    what = "1 file that is no picture" if len(paths) == 1 else f"{len(paths)} files that are no pictures"
    return (f"Skipped {what} ({name_some([printable_name(path.name) for path in paths])}).",)


def _name(root: Path) -> str:
    return printable_name(root.resolve().name) or "folder"
