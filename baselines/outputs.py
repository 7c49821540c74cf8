"""`outputs:DIR`: results that another program computed, evaluated as if they were a method's."""

from __future__ import annotations

import difflib
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.pictures.folders import list_images
from casarbi.pictures.naming import Label, folder_label, label_of_scale, printable_name, result_name, split_label
from casarbi.pictures.profiles import INTENT
from casarbi.pictures.reading import follows_profile, read_image
from casarbi.scales import Size
from casarbi.sr import ModelInfo, SRModel
from casarbi.weights import sha256_file


@dataclass(frozen=True)
class Result:
    """A picture in a folder of results, with the labels of those parts of its path that its id leaves out."""

    path: Path
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
        named: results by id.
        labelled: results by the id that is left without a label at the end.
    """

    folder: Path
    digests: dict[str, str]
    named: dict[str, list[Result]]
    labelled: dict[str, list[Result]]
    sizes: dict[Path, Size] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> ResultFolder:
        """Index a folder and everything below it; raises CasarbiError if there is no picture."""
        digests: dict[str, str] = {}
        named: defaultdict[str, list[Result]] = defaultdict(list)
        labelled: defaultdict[str, list[Result]] = defaultdict(list)
        for path in list_images(folder, recursive=True).paths:
            inside = PurePosixPath(path.relative_to(folder).as_posix())
            digests[str(inside)] = sha256_file(path)
            # Folders named for a scale may be left out of the id, and then must fit it.
            scales = [(part, folder_label(part)) for part in inside.parent.parts]
            short = PurePosixPath(*(part for part, label in scales if label is None))
            of_folders = tuple(label for _, label in scales if label)
            # The path as it is, and the path without the folders named for a scale.
            places = {inside.parent: (), short: of_folders} if of_folders else {short: ()}
            for parent, labels in places.items():
                for name in dict.fromkeys((inside.name, inside.stem)):
                    named[printable_name(str(parent / name))].append(Result(path, labels))
                # baby_x5.3 also answers to baby, if the label fits.
                split = split_label(inside.stem)
                if split:
                    labelled[printable_name(str(parent / split[0]))].append(Result(path, (*labels, split[1])))
        return cls(folder, digests, dict(named), dict(labelled))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the pictures' paths, contents and followed profiles; where the folder lies does not count."""
        total = hashlib.sha256()
        for name in sorted(self.digests):
            how = f" {INTENT}" if follows_profile(self.folder / name) else ""
            total.update(f"{name}\0{self.digests[name]}{how}\n".encode("utf-8", "surrogateescape"))
        return total.hexdigest()

    def picture(self, image_id: str, lr_size: Size, size: Size) -> Tensor:
        """The result (3, H, W) for an image, from an LR image of `lr_size` to a size.

        Raises:
            CasarbiError: if there is none, none of that scale and size, more than one, or the file changed meanwhile.
        """
        # Exact names first; names less a label only if none of those has the size.
        tried: list[Path] = []
        for index in (self.named, self.labelled):
            candidates = index.get(image_id, [])
            fitting = [r.path for r in candidates if r.fits(lr_size, size) and self._size(r.path) == size]
            if len(fitting) > 1:
                names = " and ".join(self._inside(path) for path in fitting[:2])
                raise CasarbiError(
                    f"{self.folder} holds more than one result for '{image_id}' at {_text(size)}: {names}; keep one."
                )
            if fitting:
                return self._read(fitting[0])
            tried += [result.path for result in candidates]
        # Nothing fits: say what the folder holds instead.
        label = label_of_scale(size[0] / lr_size[0])
        raise CasarbiError(
            self._wrong_size(image_id, size, label, tried) if tried else self._missing(image_id, size, label)
        )

    def leftovers(self, image_ids: Sequence[str]) -> list[str]:
        """Results that answer to none of these images, by their paths in the folder."""
        answering = {
            result.path
            for image_id in image_ids
            for index in (self.named, self.labelled)
            for result in index.get(image_id, [])
        }
        return [printable_name(name) for name in self.digests if self.folder / name not in answering]

    def _size(self, path: Path) -> Size:
        if path not in self.sizes:
            self._read(path)
        return self.sizes[path]

    def _read(self, path: Path) -> Tensor:
        if sha256_file(path) != self.digests[self._inside(path)]:
            raise CasarbiError(f"{path} changed while it was evaluated: start again.")
        picture = read_image(path)
        self.sizes[path] = (picture.shape[-2], picture.shape[-1])
        return picture

    def _inside(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _wrong_size(self, image_id: str, size: Size, label: str, paths: Sequence[Path]) -> str:
        found = ", ".join(f"{self._inside(path)} {_text(self._size(path))}" for path in paths[:4])
        rest = f" and {len(paths) - 4} more" if len(paths) > 4 else ""
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
        pictures, folder = list(self.results.digests), self.results.folder
        lossy = [name for name in pictures if _is_lossy(folder / name)]
        warning = f"{len(lossy)} of {len(pictures)} results are in a lossy format, such as {lossy[0]}" if lossy else ""
        return ModelInfo(
            parameters=0,
            trained_scales=None,
            stochastic=False,
            weights="none",
            licence="not recorded",
            source=f"{len(pictures)} pictures in {folder}, SHA-256 {self.results.digest}",
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


def _is_lossy(path: Path) -> bool:
    """Whether a picture is JPEG, lossy WebP, or of the AVIF and HEIF family, by its content."""
    with path.open("rb") as file:
        head = file.read(16)
    # JPEG, an ISO container, WebP with its lossy chunk.
    return (
        head.startswith(b"\xff\xd8\xff") or head[4:8] == b"ftyp" or (head[8:12] == b"WEBP" and head[12:16] == b"VP8 ")
    )
