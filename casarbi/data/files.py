"""Data sets whose images are files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from casarbi.data.base import Dataset
from casarbi.data.fingerprints import file_digest, file_digests
from casarbi.data.headers import Header, header_notes, read_header, read_headers
from casarbi.errors import CasarbiError
from casarbi.pictures.naming import picture_names, printable_name
from casarbi.pictures.profiles import INTENT
from casarbi.pictures.reading import MAX_INPUT_PIXELS, read_image
from casarbi.scales import Size, scale_label


@dataclass(frozen=True)
class LrFiles:
    """LR images that a data set ships, as `X2/babyx2.png` in one folder.

    Attributes:
        folder: such as `LR_bicubic` or `DIV2K_valid_LR_bicubic`.
        files: file of each (image id, scale label).
    """

    folder: Path
    files: Mapping[tuple[str, str], Path]

    @classmethod
    def find(cls, folder: Path, ids: Sequence[str]) -> LrFiles:
        """Look for the files of some images; a folder that is not there holds none."""
        files = {}
        names = {Path(image_id).name: image_id for image_id in ids}
        for scale_folder in sorted(folder.glob("[Xx]*")) if folder.is_dir() else ():
            label = scale_folder.name[1:]
            for path in sorted(scale_folder.iterdir()) if scale_folder.is_dir() else ():
                # babyx2.png in X2/ belongs to baby. A name that does not end in its folder's scale is left out.
                name = printable_name(path.stem).removesuffix(f"x{label}")
                if name != printable_name(path.stem) and name in names:
                    files[names[name], label] = path
        return cls(folder, files)

    @property
    def labels(self) -> tuple[str, ...]:
        """Scales there are files for, smallest first, as labels."""
        return tuple(sorted({label for _, label in self.files}, key=lambda label: (len(label), label)))


class FileDataset(Dataset):
    """Images that are files; a file is opened only when its image is asked for, so a damaged one harms no other."""

    def __init__(
        self,
        name: str,
        folder: Path,
        files: Mapping[str, Path],
        *,
        notes: Sequence[str] = (),
        lr: LrFiles | None = None,
        side: int | None = None,
        max_pixels: int | None = None,
    ) -> None:
        """Describe a data set.

        Args:
            name: short name.
            folder: of the files; they share one memory of their digests.
            files: file of each image id, in the order of the ids.
            notes: sentences for reports, to which those about the files' headers are added.
            lr: LR images that come with it.
            side: refuse images other than squares of this side.
            max_pixels: refuse images of more pixels; None for the usual limit.
        """
        self.name = name
        self.folder = folder.resolve()
        self.ids = tuple(files)
        # Absolute: a program may change its working directory between opening a data set and reading it.
        self._files = {image_id: path.resolve() for image_id, path in files.items()}
        self._headers = read_headers(list(self._files.values()), self.folder)
        self.notes = (*notes, *header_notes(dict(zip(files, self._headers, strict=True))))
        self._lr = lr
        self._side = side
        self._max_pixels = MAX_INPUT_PIXELS if max_pixels is None else max_pixels

    def path(self, image_id: str) -> Path:
        """The image's file; raises CasarbiError on an unknown id."""
        try:
            return self._files[image_id]
        except KeyError:
            raise CasarbiError(f"{self.folder} holds no image '{image_id}' among its {len(self.ids)}.") from None

    def image(self, image_id: str) -> Tensor:
        """Read an image: float32 (3, H, W) in [0, 1].

        Raises:
            CasarbiError: if the file is missing, damaged, no picture, too large, or of another size than the data
                set's images have.
        """
        path = self.path(image_id)
        image = read_image(path, max_pixels=self._max_pixels)
        height, width = image.shape[-2:]
        if self._side and (height, width) != (self._side, self._side):
            raise CasarbiError(
                f"{path} is {width}x{height} px, but {self.name} has {self._side}x{self._side}: "
                "take it out of the folder or resize the copy again."
            )
        return image

    def lr(self, image_id: str, scale: float) -> Tensor | None:
        """Read the shipped LR image, (3, h, w), or None if there is none for this scale.

        Raises:
            CasarbiError: if it cannot be read, or its size times the scale is not the image's, give or take the
                pixels that are cut off if the image is no multiple of the scale.
        """
        path = self._lr.files.get((image_id, scale_label(scale))) if self._lr else None
        if path is None:
            return None
        # HR sides that are no multiple of the scale are cut before they are reduced, so LR may be a little small.
        lr, header = read_image(path), read_header(self.path(image_id))
        if header and any(abs(h - n * scale) >= scale for h, n in zip(header.size, lr.shape[-2:], strict=True)):
            (height, width), (h, w) = header.size, lr.shape[-2:]
            raise CasarbiError(
                f"{path} is {w}x{h} px, which is not 1/{scale_label(scale)} of the {width}x{height} px of "
                f"{self.path(image_id)}: the two files do not belong together."
            )
        return lr

    def digest(self, image_id: str) -> str:
        """SHA-256 of what decides the image's pixels, as it was when first asked for.

        That is the file's content and those of the LR files that come with it; for a picture whose colour profile is
        followed to sRGB also how that is done.
        """
        self.path(image_id)
        return self._digests[image_id]

    def digest_now(self, image_id: str) -> str:
        """SHA-256 of the same, computed again from the files as they are now."""
        shipped = self._shipped.get(image_id, {})
        paths = (self.path(image_id), *shipped.values())
        return self._digest(image_id, {path: _as_read(file_digest(path), read_header(path)) for path in paths})

    def known_size(self, image_id: str) -> Size:
        """What the file's header says.

        Raises:
            CasarbiError: as `image`, if the header cannot be read.
        """
        header = read_header(self.path(image_id))
        if header:
            return header.size
        # Reading the picture says what is wrong with the file.
        height, width = self.image(image_id).shape[-2:]
        return height, width

    @cached_property
    def _shipped(self) -> dict[str, dict[str, Path]]:
        """LR files by image id and scale label, labels sorted."""
        shipped: dict[str, dict[str, Path]] = {}
        for (image_id, label), path in sorted(self._lr.files.items() if self._lr else ()):
            shipped.setdefault(image_id, {})[label] = path
        return shipped

    @cached_property
    def _digests(self) -> dict[str, str]:
        # All files at once: reading waits for the disk, so several threads hash them.
        shipped = list(self._lr.files.values()) if self._lr else []
        files = [*self._files.values(), *shipped]
        headers = dict(zip(files, self._headers + read_headers(shipped, self.folder), strict=True))
        read = {path: _as_read(digest, headers[path]) for path, digest in file_digests(files, self.folder).items()}
        return {image_id: self._digest(image_id, read) for image_id in self.ids}

    def _digest(self, image_id: str, by_path: Mapping[Path, str]) -> str:
        shipped = self._shipped.get(image_id, {})
        parts = [by_path[self._files[image_id]], *(f"x{label} {by_path[path]}" for label, path in shipped.items())]
        # Without LR files the digest is that of the image file itself.
        return parts[0] if len(parts) == 1 else hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _as_read(digest: str, header: Header | None) -> str:
    """Digest of a file, mixed with the way in which its colour profile is followed, if it is.

    A change of that way changes the pixels but not the file, so it has to change the digest.
    """
    follows = header is not None and "profile" in header.kinds
    return hashlib.sha256(f"{digest} {INTENT}".encode()).hexdigest() if follows else digest


def name_files(paths: Sequence[Path], folder: Path) -> dict[str, Path]:
    r"""Give files ids: their names by the rule of `casarbi.pictures.naming`, bytes that are not UTF-8 written as \xNN.

    Example:
        >>> paths = [Path("f/a.jpg"), Path("f/A.png"), Path("f/b.TIF")]
        >>> list(name_files(paths, Path("f")))
        ['a.jpg', 'A.png', 'b']

    Raises:
        CasarbiError: if two files have the same id, because one is named like the escapes of the other.
    """
    ids: dict[str, Path] = {}
    for path, name in picture_names(paths, folder).items():
        image_id = printable_name(name)
        if image_id in ids:
            raise CasarbiError(f"{ids[image_id]} and {path} would both be called {image_id}: rename one of them.")
        ids[image_id] = path
    return ids


def first(files: Mapping[str, Path], n: int | None, place: object) -> dict[str, Path]:
    """The first n files; all if n is None; raises CasarbiError if n is not between 1 and their number."""
    if n is None:
        return dict(files)
    if not 1 <= n <= len(files):
        raise CasarbiError(f"n={n} images were asked for, but {place} holds {len(files)}: ask for 1 to {len(files)}.")
    return dict(list(files.items())[:n])
