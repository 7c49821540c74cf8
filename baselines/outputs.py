"""`outputs:DIR`: results that another program computed, evaluated as if they were a method's."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.images import list_images, read_image
from casarbi.scales import Size
from casarbi.sr import ModelInfo, SRModel
from casarbi.weights import sha256_file

_SCALE_FOLDER = re.compile(r"x\d+(\.\d+)?|\d+(\.\d+)?x", re.IGNORECASE)
_SCALE_SUFFIX = re.compile(r"(?<=.)([_ -]?x\d+(\.\d+)?|[_ -]\d+(\.\d+)?x)$", re.IGNORECASE)


@dataclass
class ResultFolder:
    """An index of the pictures in a folder, by the image ids they may answer to.

    A picture answers to its path in the folder without the suffix (and with it, as data sets do where two files share
    a name); folders named for a scale, such as `x5.3`, may be left out of the path. Only where no such picture has
    the wanted size, one whose name ends in a scale, such as `baby_x5.3.png`, answers to the name before it.

    Attributes:
        folder: the folder.
        digests: SHA-256 of every picture's content, by its path in the folder.
        named: pictures by id.
        suffixed: pictures by the id that is left without a scale at the end.
    """

    folder: Path
    digests: dict[str, str]
    named: dict[str, list[Path]]
    suffixed: dict[str, list[Path]]
    sizes: dict[Path, Size] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> ResultFolder:
        """Index a folder and everything below it; raises CasarbiError where there is no picture."""
        digests, named, suffixed = {}, defaultdict(list), defaultdict(list)
        for path in list_images(folder, recursive=True).paths:
            inside = PurePosixPath(path.relative_to(folder).as_posix())
            digests[str(inside)] = sha256_file(path)
            short = PurePosixPath(*(part for part in inside.parent.parts if not _SCALE_FOLDER.fullmatch(part)))
            for name in {str(p) for whole in (inside, short / inside.name) for p in (whole, whole.with_suffix(""))}:
                named[name].append(path)
            for name in {str(parent / inside.stem) for parent in (inside.parent, short)}:
                if _SCALE_SUFFIX.search(name):
                    suffixed[_SCALE_SUFFIX.sub("", name)].append(path)
        return cls(folder, digests, dict(named), dict(suffixed))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the pictures' paths and contents; where the folder lies does not count."""
        total = hashlib.sha256()
        for name in sorted(self.digests):
            total.update(f"{name}\0{self.digests[name]}\n".encode("utf-8", "surrogateescape"))
        return total.hexdigest()

    def picture(self, image_id: str, size: Size) -> Tensor:
        """The result (3, H, W) for an image at a size.

        Raises:
            CasarbiError: where there is none, none of that size, more than one, or the file changed meanwhile.
        """
        tried: list[Path] = []
        for index in (self.named, self.suffixed):
            candidates = index.get(image_id, [])
            fitting = [path for path in candidates if self._size(path) == size]
            if len(fitting) > 1:
                names = " and ".join(self._inside(path) for path in fitting[:2])
                raise CasarbiError(
                    f"{self.folder} holds more than one result for '{image_id}' at {_text(size)}: {names}; keep one."
                )
            if fitting:
                return self._read(fitting[0])
            tried += candidates
        raise CasarbiError(self._wrong_size(image_id, size, tried) if tried else self._missing(image_id, size))

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

    def _wrong_size(self, image_id: str, size: Size, paths: Sequence[Path]) -> str:
        found = ", ".join(f"{self._inside(path)} {_text(self._size(path))}" for path in paths[:4])
        rest = f" and {len(paths) - 4} more" if len(paths) > 4 else ""
        return f"{self.folder} holds '{image_id}' in other sizes only ({found}{rest}): wanted {_text(size)}."

    def _missing(self, image_id: str, size: Size) -> str:
        near = difflib.get_close_matches(image_id, {*self.named, *self.suffixed}, n=1, cutoff=0.6)
        hint = f" (near: {near[0]})" if near else ""
        return (
            f"{self.folder} holds no result for the image '{image_id}' at {_text(size)}{hint}: wanted {image_id}.png "
            f"there, in a folder for its scale such as x4/, or named {PurePosixPath(image_id).name}_x4.png."
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

    def upscale(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> Tensor:
        """Look the bound images up at a size; `lr` gives only their number and the device.

        Raises:
            CasarbiError: where images are not bound, or see `ResultFolder.picture`.
        """
        if self.image_ids is None or len(self.image_ids) != len(lr):
            raise CasarbiError(
                f"outputs:{self.results.folder} holds finished results, so it can only be evaluated on a data set."
            )
        return torch.stack([self.results.picture(image_id, (size[0], size[1])) for image_id in self.image_ids]).to(
            lr.device
        )


def outputs(folder: str) -> Outputs:
    """Build the model that `outputs:DIR` names."""
    return Outputs(ResultFolder.read(Path(folder).expanduser()))


def _text(size: Size) -> str:
    return f"{size[1]}x{size[0]} px"


def _is_lossy(path: Path) -> bool:
    """Whether a picture is JPEG, lossy WebP, or of the AVIF and HEIF family, by its content."""
    with path.open("rb") as file:
        head = file.read(16)
    return (
        head.startswith(b"\xff\xd8\xff") or head[4:8] == b"ftyp" or (head[8:12] == b"WEBP" and head[12:16] == b"VP8 ")
    )
