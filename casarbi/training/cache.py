"""HR training pictures as bytes on disk, one file each, made when they are first asked for.

A file is named after all that decides its content: the picture's digest, how it is cut, and the format. So changed
pictures never meet an old file, data sets that share pictures share files, and workers or runs that make the same
picture at the same time write the same bytes. A file appears whole or not at all, and its checksum is verified when a
process first reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from casarbi.data import Dataset, create_dataset
from casarbi.data.pairs import centre_square, to_side
from casarbi.errors import CasarbiError
from casarbi.files import free_bytes, sweep_drafts
from casarbi.pictures.pixels import to_uint8
from casarbi.training.pixel_files import pictures_folder, pixel_file, read_pixels, write_pixels

Report = Callable[[int, int], None]
"""Called with how many pictures are done, and how many there are."""


class UnusablePicture(CasarbiError):
    """A picture that cannot be trained on: damaged or too small.

    Attributes:
        images: the pictures of which it is one.
    """

    def __init__(self, reason: str, images: CachedImages) -> None:
        super().__init__(reason)
        self.images = images


@dataclass(frozen=True)
class Cut:
    """How a picture enters the cache.

    Attributes:
        side: the central square is taken and reduced to this side; 0 takes the picture whole.
        least: pictures with a side below this are left out.
    """

    side: int = 0
    least: int = 0

    def fault(self, height: int, width: int) -> str:
        """Why a picture of this size cannot be taken; empty if it can."""
        smallest = max(self.side, self.least, 1)
        if min(height, width) >= smallest:
            return ""
        return f"{width}x{height} px are too small, expected at least {smallest} px."

    def apply(self, image: Tensor) -> Tensor:
        """Cut uint8 (3, H, W), which is large enough."""
        if not self.side:
            return image.contiguous()
        return to_side(centre_square(image), self.side)


@dataclass(frozen=True)
class CachedImages(Sequence[Tensor]):
    """Pictures of a data set, uint8 (3, H, W) each, made when first asked for and kept on the disk.

    Attributes:
        reference: the data set's reference.
        cut: how pictures are cut.
        names: ids of the pictures, in order.
        digests: SHA-256 of what decides each picture's pixels, when the data set was opened.
        fingerprint: of the whole data set.
        total: pictures of the whole data set.
        skipped: ids of its pictures that are left out, each with the reason.
    """

    reference: str
    cut: Cut
    names: tuple[str, ...]
    digests: tuple[str, ...]
    fingerprint: str
    total: int
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        """Picture of an index (a view of its file: never write into it), or a part of the pictures for a slice.

        Raises:
            UnusablePicture: if it is damaged or too small.
            CasarbiError: if it has changed since the data set was opened.
        """
        if isinstance(index, slice):
            return replace(self, names=self.names[index], digests=self.digests[index])
        path = self.file(index)
        found = read_pixels(path)
        if found is not None:
            return found
        made = self._make(index)
        with suppress(OSError):  # the picture is at hand; a full disk only costs the time to make it again
            write_pixels(path, made)
        return made

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def file(self, index: int) -> Path:
        """File of a picture, whether it is there yet or not."""
        return pixel_file(f"{self.digests[index]} {self.cut.side}")

    def missing(self) -> list[int]:
        """Indices of the pictures that are not made yet."""
        return [index for index in range(len(self)) if not self.file(index).is_file()]

    def store(self, index: int) -> int:
        """Make a picture, and write it; returns its bytes.

        Raises:
            UnusablePicture, CasarbiError: as reading it does.
            OSError: if the disk refuses.
        """
        made = self._make(index)
        write_pixels(self.file(index), made)
        return made.numel()

    def usable(self, report: Report | None = None) -> CachedImages:
        """Make all pictures; those that cannot be used are left out and named.

        Args:
            report: told of the progress if any has to be made.
        """
        # Reading is what proves a picture; only those that are not on the disk yet take time worth reporting.
        kept, skipped, news = [], [], bool(self.missing())
        for index in range(len(self)):
            try:
                self[index]
                kept.append(index)
            except UnusablePicture as error:
                skipped.append(str(error))
            if report and news:
                report(index + 1, len(self))
        names, digests = (tuple(values[i] for i in kept) for values in (self.names, self.digests))
        return _checked(replace(self, names=names, digests=digests, skipped=(*self.skipped, *skipped)))

    def check_count(self, unusable: int, example: object) -> None:
        """Refuse a data set of which more than one picture in twenty cannot be used, or none is left.

        Args:
            unusable: how many pictures cannot be used, beside those that are left out already.
            example: one of these, with the reason.

        Raises:
            CasarbiError: giving their number and the example.
        """
        count = unusable + len(self.skipped)
        if count * 20 > self.total or not len(self):
            raise CasarbiError(
                f"{count} of {self.total} pictures of {self.reference} cannot be trained on: {example}"
            ) from None

    def _make(self, index: int) -> Tensor:
        # A file that was exchanged while the run goes on would give it other pictures than its identity says.
        dataset, name = _open(self.reference), self.names[index]
        if dataset.digest_now(name) != self.digests[index]:
            raise CasarbiError(
                f"{name} of {self.reference} has changed since training began, so the run cannot go on as it was: put "
                f"the picture back and --resume, or begin another run."
            )
        try:
            image = to_uint8(dataset.image(name))
        except CasarbiError as error:
            raise UnusablePicture(f"{name}: {error}", self) from None
        fault = self.cut.fault(*image.shape[-2:])
        if fault:
            raise UnusablePicture(f"{name}: {fault}", self)
        return self.cut.apply(image)


def open_images(reference: str, cut: Cut) -> CachedImages:
    """Open a data set without making its pictures.

    Those whose headers say that they are too small or no pictures at all are left out.

    Raises:
        CasarbiError: on a bad reference, no usable picture, more than one in twenty unusable, or a full disk.
    """
    # Only headers are read: the pictures are made when they are needed.
    dataset = _open(reference)
    faults = {name: _fault(dataset, name, cut) for name in dataset.ids}
    skipped = tuple(f"{name}: {fault}" for name, fault in faults.items() if fault)
    names = tuple(name for name, fault in faults.items() if not fault)
    digests = tuple(dataset.digest(name) for name in names)
    return _checked(CachedImages(reference, cut, names, digests, dataset.fingerprint, len(dataset.ids), skipped))


def _checked(images: CachedImages) -> CachedImages:
    if images.skipped:
        images.check_count(0, images.skipped[0])
    return images


def check_disk(images: CachedImages) -> str:
    """Make the first picture that is missing, so that a disk that refuses is found now; returns a warning or "".

    Raises:
        CasarbiError: if the picture cannot be written.
    """
    # Drafts of killed processes would fill the disk unseen.
    for folder in pictures_folder().glob("??"):
        sweep_drafts(folder)
    for index in images.missing()[:1]:
        try:
            each = images.store(index)
        except UnusablePicture:
            continue  # said when it is its turn
        except OSError as error:
            raise CasarbiError(
                f"The training pictures of {images.reference} cannot be written to {pictures_folder()} "
                f"({error.strerror}, {free_bytes(pictures_folder()):,} bytes free): free some space, or set "
                f"CASARBI_HOME to another disk."
            ) from None
        needed, free = each * len(images.missing()), free_bytes(pictures_folder())
        if needed > free:
            return (
                f"the pictures of {images.reference} take about {needed:,} bytes more in {pictures_folder()}, which "
                f"has {free:,} bytes free: those that do not fit are made again each time they are needed."
            )
    return ""


def _fault(dataset: Dataset, name: str, cut: Cut) -> str:
    """Why a picture cannot be used, by its header alone; empty if nothing speaks against it."""
    try:
        size = dataset.known_size(name)
    except CasarbiError as error:
        return str(error)
    return cut.fault(*size) if size else ""


@lru_cache(maxsize=8)
def _open(reference: str) -> Dataset:
    """The data set of a reference, opened once in each process; batch workers that are forked find it open."""
    return create_dataset(reference)
