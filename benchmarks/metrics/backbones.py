"""Pretrained networks that metrics stand on: their files found, verified and read. Nothing is ever fetched here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from casarbi.checkpoints import read_state
from casarbi.weights import sha256_file, weights_path


@dataclass(frozen=True)
class Backbone:
    """Weights of a pretrained network.

    Attributes:
        name: in the catalogue, such as "lpips-alex".
        path: the file.
        sha256: of the file, verified against the catalogue.
        tensors: by key, on the CPU.
    """

    name: str
    path: Path
    sha256: str
    tensors: dict[str, Tensor]


def load_backbone(name: str) -> Backbone:
    """Read weights of the catalogue.

    Neither lpips nor pytorch-fid checks a file that is already there: random weights under the right name were used
    for scores (docs/protocol.md §6.2). Here a wrong checksum is refused.

    Raises:
        CasarbiError: if the file is missing (the text says how to get it), has another SHA-256 or is damaged.
    """
    path = weights_path(name)
    return Backbone(name, path, sha256_file(path), read_state(path).tensors)
