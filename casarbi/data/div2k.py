"""`div2k`: DIV2K with its official bicubic LR images."""

from __future__ import annotations

import re
from pathlib import Path

from casarbi.data.files import FileDataset, LrFiles, first
from casarbi.data.folder import lr_notes, skipped_notes
from casarbi.errors import CasarbiError
from casarbi.pictures.folders import list_images

SPLITS = {"train": (1, 800), "valid": (801, 900)}
"""First and last number of each split's images."""

_HR_FOLDER = re.compile(r"DIV2K_(train|valid)_HR", re.IGNORECASE)


def div2k(path: str, *, split: str | None = None, n: int | None = None) -> FileDataset:
    """Read DIV2K: `DIV2K_valid_HR/0801.png` and, for `lr`, `DIV2K_valid_LR_bicubic/X2/0801x2.png`.

    Args:
        path: the folder that holds these, or an HR folder itself.
        split: "valid" or "train"; by default the one an HR folder is named for, else valid.
        n: only the first n.

    Raises:
        CasarbiError: if the split is unknown, contradicts the HR folder's name, or is not there.
    """
    # Which split: the one asked for, or the one that a given HR folder is named for.
    root = Path(path).expanduser()
    named = _HR_FOLDER.fullmatch(root.resolve().name)
    if split not in (None, *SPLITS):
        raise CasarbiError(f"div2k has no split '{split}': choose {' or '.join(SPLITS)}.")
    if named and split and named[1].lower() != split:
        raise CasarbiError(f"{root} is DIV2K's {named[1]} split, but split={split} was asked for: name its folder.")
    split = split or (named[1].lower() if named else "valid")
    folder = root if named else root / f"DIV2K_{split}_HR"
    if root.is_dir() and not folder.is_dir():
        raise CasarbiError(f"{root} has no sub-folder {folder.name}: name the folder that holds it, or that one.")

    # The images of the split, by their numbers; other files in the folder are left out.
    listing = list_images(folder if root.is_dir() else root)
    low, high = SPLITS[split]
    numbered = {file.stem: file for file in listing.paths if file.stem.isdecimal() and low <= int(file.stem) <= high}
    if not numbered:
        raise CasarbiError(f"{folder} holds none of DIV2K's {split} images, {low:04d}.png to {high:04d}.png.")
    files = first(numbered, n, folder)

    # Official LR images, and what is missing of a whole copy.
    lr = LrFiles.find(_lr_folder(folder.resolve().parent, split), tuple(files))
    notes = [*skipped_notes(listing.skipped), *lr_notes(lr, len(files))]
    if len(numbered) < high - low + 1:
        notes.append(f"The copy holds {len(numbered)} of the {high - low + 1} images of DIV2K's {split} split.")
    if not lr.files:
        notes.append(f"No official LR images were found beside {folder.name}.")
    return FileDataset("div2k", folder, files, notes=notes, lr=lr)


def _lr_folder(root: Path, split: str) -> Path:
    """The folder that holds X2, X3, X4: unpacked as they are, some archives nest it once more."""
    name = f"DIV2K_{split}_LR_bicubic"
    return root / name / name if (root / name / name).is_dir() else root / name
