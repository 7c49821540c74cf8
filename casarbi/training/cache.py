"""HR pictures of a training set as bytes in one memory-mapped file, rendered or decoded once.

A file is named after everything that decides its content (the data set's fingerprint, how pictures are cut, the
format), so changed pictures never meet an old cache (field case F86); its checksums are verified when it is opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.files import exclusive, free_bytes, replacing, write_json
from casarbi.images import to_uint8
from casarbi.references import DATASETS
from casarbi.resize import resize
from casarbi.weights import cache_folder

FORMAT = 1
FEW = 48
"""Up to so many pictures are made in this process: starting others would take longer."""

Report = Callable[[int, int], None]
"""Called with how many pictures are done, and how many there are."""


@dataclass(frozen=True)
class Cut:
    """How a picture enters the cache.

    Attributes:
        side: the central square is taken and reduced to this side; 0 takes the picture whole.
        least: pictures with a side below this are left out.
    """

    side: int = 0
    least: int = 0

    def apply(self, image: Tensor) -> Tensor | None:
        """Cut uint8 (3, H, W); None where it is too small."""
        height, width = image.shape[-2:]
        if min(height, width) < max(self.side, self.least, 1):
            return None
        if not self.side:
            return image.contiguous()
        square = min(height, width)
        top, left = (height - square) // 2, (width - square) // 2
        return resize(image[:, top : top + square, left : left + square], (self.side, self.side))


@dataclass(frozen=True)
class CachedImages(Sequence[Tensor]):
    """Pictures of a cache file, uint8 (3, H, W) each; cheap to pickle, for the file is mapped on first use.

    Attributes:
        path: file of all bytes.
        sizes: (height, width) of each picture of the file.
        offsets: where each begins in the file.
        indices: which of the pictures these are, in order.
        fingerprint: of the data set the pictures come from.
        reference: the data set's reference.
        skipped: ids of pictures that were too small or not readable, each with the reason.
    """

    path: Path
    sizes: tuple[tuple[int, int], ...]
    offsets: tuple[int, ...]
    indices: tuple[int, ...]
    fingerprint: str
    reference: str
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        """Picture of an index (a view of the file: never write into it), or a part of the pictures for a slice."""
        if isinstance(index, slice):
            return replace(self, indices=self.indices[index])
        where = self.indices[index]
        height, width = self.sizes[where]
        start = self.offsets[where]
        return _mapped(self.path)[start : start + 3 * height * width].view(3, height, width)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))


_MAPPED: dict[Path, Tensor] = {}


def _mapped(path: Path) -> Tensor:
    if path not in _MAPPED:
        # Copy-on-write: torch warns of read-only memory, and no write could reach the file.
        _MAPPED[path] = torch.from_numpy(np.memmap(path, np.uint8, "c"))
    return _MAPPED[path]


def cache_images(reference: str, cut: Cut, *, workers: int = 1, report: Report | None = None) -> CachedImages:
    """Open the cache of a data set, making it first where there is none or it is damaged.

    Args:
        reference: such as "portraits?split=train&n=4096".
        cut: how pictures enter.
        workers: processes that make pictures.
        report: told of the progress.

    Raises:
        CasarbiError: on a bad reference, no usable picture, more than one in twenty unusable, or a full disk.
    """
    dataset = DATASETS.build(reference)
    fingerprint = dataset.fingerprint
    key = hashlib.sha256(f"{FORMAT} {fingerprint} {cut}".encode()).hexdigest()[:24]
    path = cache_folder().parent / "training" / f"{key}.bin"
    index = _read_index(path)
    if index is None:
        try:
            # Who comes second waits, and finds the file made.
            with exclusive(path.with_suffix(".lock"), wait=True):
                index = _read_index(path)
                if index is None:
                    index = _make(path, reference, dataset.ids, cut, workers, report or (lambda done, total: None))
        except OSError as error:
            raise CasarbiError(
                f"The training pictures of {reference} cannot be written to {path.parent} ({error.strerror}, "
                f"{free_bytes(path.parent):,} bytes free): free some space, or set CASARBI_HOME to another disk."
            ) from None
    sizes = tuple((height, width) for height, width in index["sizes"])
    offsets = tuple(int(start) for start in np.cumsum([0, *(3 * h * w for h, w in sizes)])[:-1])
    skipped = tuple(index["skipped"])
    return CachedImages(path, sizes, offsets, tuple(range(len(sizes))), fingerprint, reference, skipped)


def _read_index(path: Path) -> dict[str, Any] | None:
    """Index of a cache file whose bytes have the checksums it names; None where anything is amiss."""
    try:
        index = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        pixels, start = np.memmap(path, np.uint8, "r"), 0
        for (height, width), crc in zip(index["sizes"], index["crc32"], strict=True):
            stop = start + 3 * height * width
            if stop > len(pixels) or zlib.crc32(pixels[start:stop].tobytes()) != crc:
                return None
            start = stop
        return index if start == len(pixels) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make(path: Path, reference: str, ids: Sequence[str], cut: Cut, workers: int, report: Report) -> dict[str, Any]:
    sizes, checksums, skipped = [], [], []
    _MAPPED.pop(path, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft, draft.open("wb") as file:
        for done, (name, made) in enumerate(zip(ids, _pictures(reference, ids, cut, workers), strict=True), start=1):
            if isinstance(made, str):
                skipped.append(f"{name}: {made}")
            else:
                file.write(made.tobytes())
                sizes.append(made.shape[1:])
                checksums.append(zlib.crc32(made.tobytes()))
            report(done, len(ids))
        _check_skipped(reference, len(ids), skipped)
    index = {"reference": reference, "cut": str(cut), "sizes": sizes, "crc32": checksums, "skipped": skipped}
    write_json(path.with_suffix(".json"), index)
    return index


def _check_skipped(reference: str, total: int, skipped: Sequence[str]) -> None:
    if len(skipped) * 20 > total:
        raise CasarbiError(f"{len(skipped)} of {total} pictures of {reference} cannot be trained on: {skipped[0]}")


def _pictures(reference: str, ids: Sequence[str], cut: Cut, workers: int) -> Iterator[np.ndarray | str]:
    """Each picture as uint8 (3, H, W), or why it cannot be used; in the order of the ids."""
    if len(ids) <= FEW or workers < 2:
        dataset = DATASETS.build(reference)
        yield from (_picture(dataset, name, cut) for name in ids)
        return
    # Spawned, because a forked child of a process whose torch has threads may hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker) as pool:
        try:
            yield from pool.map(_picture_in_worker, repeat(reference), ids, repeat(cut), chunksize=8)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start_worker() -> None:
    if hasattr(os, "nice"):  # Windows has none
        os.nice(5)
    torch.set_num_threads(1)


_OPENED: dict[str, Any] = {}


def _picture_in_worker(reference: str, name: str, cut: Cut) -> np.ndarray | str:
    if reference not in _OPENED:
        _OPENED[reference] = DATASETS.build(reference)
    return _picture(_OPENED[reference], name, cut)


def _picture(dataset: Any, name: str, cut: Cut) -> np.ndarray | str:
    try:
        image = to_uint8(dataset.image(name))
    except CasarbiError as error:
        return str(error)
    made = cut.apply(image)
    if made is None:
        return f"{image.shape[-1]}x{image.shape[-2]} px are too small, wanted at least {max(cut.side, cut.least)} px."
    return made.numpy()
