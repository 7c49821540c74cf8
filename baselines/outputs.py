"""`outputs:DIR`: results that another program computed, evaluated as if they were a method's."""

from __future__ import annotations

import difflib
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from casarbi.data.fingerprints import file_digest, file_digests
from casarbi.data.headers import Header, read_headers
from casarbi.errors import CasarbiError
from casarbi.pictures.folders import list_images
from casarbi.pictures.naming import Label, folder_label, label_of_scale, printable_name, result_name, split_label
from casarbi.pictures.profiles import INTENT
from casarbi.pictures.reading import read_image
from casarbi.scales import Size
from casarbi.sr import ModelInfo, SRModel


@dataclass(frozen=True)
class Result:
    """A picture by its path in a folder of results, with the labels of those parts of it that its id leaves out."""

    name: str
    labels: tuple[Label, ...] = ()

    def fits(self, lr_size: Size, size: Size) -> bool:
        """Whether its labels, if it has any, say that it was made from `lr_size` to `size`."""
        return all(label.fits(lr_size, size) for label in self.labels)


@dataclass
class ResultFolder:
    """An index of the pictures in a folder, by the image ids they may answer to.

    A picture answers to its path in the folder without the suffix (and with it, as data sets do if two files share
    a name). Folders named for a scale, such as `x5.3`, may be left out of the path. If no such picture has the expected
    size, one whose name ends in a label, such as `baby_x5.3.png`, answers to the name before the label. A scale in a
    name has to be the requested one. `casarbi.pictures.naming` has the rules for names.

    Attributes:
        folder: the folder.
        digests: SHA-256 of every picture's content, by its path in the folder.
        headers: what every picture's header says, by its path in the folder; None if it cannot be read.
        named: results by id.
        labelled: results by the id that is left without a label at the end.
    """

    folder: Path
    digests: dict[str, str]
    headers: dict[str, Header | None]
    named: dict[str, list[Result]]
    labelled: dict[str, list[Result]]

    @classmethod
    def read(cls, folder: Path) -> ResultFolder:
        """Index a folder and everything below it; raises CasarbiError if there is no picture."""
        listing = list_images(folder, recursive=True)
        paths, names = listing.paths, listing.names
        named: defaultdict[str, list[Result]] = defaultdict(list)
        labelled: defaultdict[str, list[Result]] = defaultdict(list)
        for name in names:
            parent, _, last = name.rpartition("/")
            stem = PurePosixPath(last).stem
            split = split_label(stem)
            for place, labels in _places(parent):
                for end in dict.fromkeys((last, stem)):
                    named[printable_name(place + end)].append(Result(name, labels))
                # baby_x5.3 also answers to baby, if the label fits.
                if split:
                    labelled[printable_name(place + split[0])].append(Result(name, (*labels, split[1])))
        where = folder.resolve()
        digests = dict(zip(names, file_digests(paths, where).values(), strict=True))
        headers = dict(zip(names, read_headers(paths, where), strict=True))
        return cls(folder, digests, headers, dict(named), dict(labelled))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the pictures' paths, contents and followed profiles; where the folder lies does not count."""
        total = hashlib.sha256()
        followed = set(self.of_kind("profile"))
        for name in sorted(self.digests):
            how = f" {INTENT}" if name in followed else ""
            total.update(f"{name}\0{self.digests[name]}{how}\n".encode("utf-8", "surrogateescape"))
        return total.hexdigest()

    def of_kind(self, kind: str) -> list[str]:
        """Pictures, by their paths in the folder, of one of `casarbi.data.headers.KINDS`."""
        return [name for name, header in self.headers.items() if header and kind in header.kinds]

    def picture(self, image_id: str, lr_size: Size, size: Size) -> Tensor:
        """The result (3, H, W) for an image, from an LR image of `lr_size` to a size.

        Raises:
            CasarbiError: if there is none, none of that scale and size, more than one, or the file changed meanwhile.
        """
        # Exact names first; names less a label only if none of those has the size.
        tried: list[str] = []
        for index in (self.named, self.labelled):
            candidates = index.get(image_id, [])
            fitting = [r.name for r in candidates if r.fits(lr_size, size) and self._size(r.name) == size]
            if len(fitting) > 1:
                raise CasarbiError(
                    f"{self.folder} holds more than one result for '{image_id}' at {_text(size)}: "
                    f"{' and '.join(fitting[:2])}; keep one."
                )
            if fitting:
                return self._read(fitting[0])
            tried += [result.name for result in candidates]
        # Nothing fits: say what the folder holds instead.
        label = label_of_scale(size[0] / lr_size[0])
        raise CasarbiError(
            self._wrong_size(image_id, size, label, tried) if tried else self._missing(image_id, size, label)
        )

    def leftovers(self, image_ids: Sequence[str]) -> list[str]:
        """Results that answer to none of these images, by their paths in the folder."""
        answering = {
            result.name
            for image_id in image_ids
            for index in (self.named, self.labelled)
            for result in index.get(image_id, [])
        }
        return [printable_name(name) for name in self.digests if name not in answering]

    def _size(self, name: str) -> Size:
        header = self.headers[name]
        if header:
            return header.size
        height, width = self._read(name).shape[-2:]  # says what is wrong with the file
        return height, width

    def _read(self, name: str) -> Tensor:
        path = self.folder / name
        if file_digest(path) != self.digests[name]:
            raise CasarbiError(f"{path} changed while it was evaluated: start again.")
        return read_image(path)

    def _wrong_size(self, image_id: str, size: Size, label: str, names: Sequence[str]) -> str:
        found = ", ".join(f"{name} {_text(self._size(name))}" for name in names[:4])
        rest = f" and {len(names) - 4} more" if len(names) > 4 else ""
        return (
            f"{self.folder} holds '{image_id}' at other sizes or scales only ({found}{rest}): expected {_text(size)} "
            f"at {label}."
        )

    def _missing(self, image_id: str, size: Size, label: str) -> str:
        near = difflib.get_close_matches(image_id, {*self.named, *self.labelled}, n=1, cutoff=0.6)
        hint = f" (near: {near[0]})" if near else ""
        labelled = result_name(PurePosixPath(image_id).name, label)
        return (
            f"{self.folder} holds no result for the image '{image_id}' at {_text(size)}{hint}: expected {image_id}.png "
            f"there, in a folder for its scale such as {label}/, or named {labelled}."
        )


class Outputs(SRModel):
    """Looks results up instead of computing them; `bind` tells it which images a batch holds."""

    def __init__(self, results: ResultFolder, image_ids: tuple[str, ...] | None = None) -> None:
        self.results, self.image_ids = results, image_ids

    @property
    def identity(self) -> dict[str, Any]:
        """The pictures' paths in the folder and their contents; an edited picture is another method."""
        return {"method": "outputs", "content": self.results.digest}

    @property
    def info(self) -> ModelInfo:
        """Facts for reports; warns of results in a format that loses detail."""
        count, lossy = len(self.results.digests), self.results.of_kind("lossy")
        warning = f"{len(lossy)} of {count} results are in a lossy format, such as {lossy[0]}" if lossy else ""
        return ModelInfo(
            parameters=0,
            trained_scales=None,
            stochastic=False,
            weights="none",
            licence="not recorded",
            source=f"{count} pictures in {self.results.folder}, SHA-256 {self.results.digest}",
            warning=warning,
        )

    def bind(self, image_ids: Sequence[str]) -> Outputs:
        """A view that answers for these images, in this order."""
        return Outputs(self.results, tuple(image_ids))

    def leftovers(self, image_ids: Sequence[str]) -> list[str]:
        """Results that answer to none of these images."""
        return self.results.leftovers(image_ids)

    def upscale(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> Tensor:
        """Look the bound images up at a size; of `lr` only number, size and device count.

        Raises:
            CasarbiError: if images are not bound; see also `ResultFolder.picture`.
        """
        if self.image_ids is None or len(self.image_ids) != len(lr):
            raise CasarbiError(
                f"outputs:{self.results.folder} holds finished results, so it can only be evaluated on a data set."
            )
        lr_size, expected = (lr.shape[-2], lr.shape[-1]), (size[0], size[1])
        found = [self.results.picture(image_id, lr_size, expected) for image_id in self.image_ids]
        return torch.stack(found).to(lr.device)


def outputs(folder: str) -> Outputs:
    """Build the model that `outputs:DIR` names."""
    return Outputs(ResultFolder.read(Path(folder).expanduser()))


def _text(size: Size) -> str:
    return f"{size[1]}x{size[0]} px"


@cache
def _places(parent: str) -> tuple[tuple[str, tuple[Label, ...]], ...]:
    """Beginnings of the ids that the pictures of a folder answer to, and the labels that each leaves out.

    They are the folder's path as it is, and without the folders named for a scale.
    """
    parts = parent.split("/") if parent else []
    labels = [folder_label(part) for part in parts]
    short = [part for part, label in zip(parts, labels, strict=True) if label is None]
    whole = ("".join(f"{part}/" for part in parts), ())
    if len(short) == len(parts):
        return (whole,)
    return (whole, ("".join(f"{part}/" for part in short), tuple(label for label in labels if label)))
