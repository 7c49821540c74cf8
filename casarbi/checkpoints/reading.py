"""Opens a weights file as data, whatever its format: what it holds, or one sentence that says what it is instead."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from casarbi.checkpoints.faults import UnsafeFileError, WeightsFileError
from casarbi.checkpoints.safetensors_files import read_safetensors_file
from casarbi.checkpoints.torch_files import read_torch_file
from casarbi.errors import CasarbiError
from casarbi.plain import quote
from casarbi.weights import sha256_file

BOOKKEEPING = ("epoch", "iter", "step", "global_step", "scheduler", "schedulers", "lr_scheduler", "scaler")
"""What trainers save beside an optimizer's state."""


@dataclass(frozen=True)
class Checkpoint:
    """What a weights file holds.

    Attributes:
        path: the file.
        content: the dictionary that was saved; for safetensors the tensors by name. All tensors are on the CPU.
        metadata: header of a safetensors file, text by name; empty for torch files.
    """

    path: Path
    content: dict[str, Any]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        return sha256_file(self.path)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a safetensors or torch file (zip or legacy format) as data only, onto the CPU.

    Raises:
        CasarbiError: if the file is missing, empty, damaged, no checkpoint at all (web page, git-LFS pointer), or
            holds objects whose loading would run code; such a file is refused before anything in it runs.
    """
    path = Path(path).expanduser()
    start = _first_bytes(path)
    try:
        # A safetensors file begins with the length of its header (8 bytes), then the header, which is JSON.
        if path.suffix == ".safetensors" or start[8:9] == b"{":
            return Checkpoint(path, *read_safetensors_file(path))
        content = _read_torch(path, start)
    except UnsafeFileError as error:
        raise CasarbiError(
            f"{_described(path)} holds more than tensors and plain values ({quote(error.name)}), so it was refused and "
            f"nothing in it was run; if you trust it, load it yourself with torch.load(..., weights_only=False) and "
            f"save its state_dict as safetensors."
        ) from None
    except WeightsFileError as error:
        raise CasarbiError(f"{_described(path)} {error}: {error.mend}.") from None
    return Checkpoint(path, content)


def _first_bytes(path: Path, count: int = 512) -> bytes:
    try:
        # Checked before opening: opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise CasarbiError(f"{path} is a device, pipe or socket, not a file of weights.")
        with path.open("rb") as file:
            start = file.read(count)
    except FileNotFoundError:
        raise CasarbiError(f"There is no weights file '{path}'.") from None
    except OSError as error:
        raise CasarbiError(f"The weights file {path} cannot be read: {error.strerror}.") from None
    if not start:
        raise CasarbiError(f"{path} is empty (0 bytes), so it is no checkpoint: get the file again.")
    if start.startswith(b"version ") and b"oid sha256:" in start:
        raise CasarbiError(
            f"{_described(path)} is a git-LFS pointer, not the weights it points to: run `git lfs pull` in its "
            f"repository, or download the file itself."
        )
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise CasarbiError(
            f"{_described(path)} is a web page, not a checkpoint: the download went to a page about the file; "
            f"get the file itself."
        )
    return start


def _read_torch(path: Path, start: bytes) -> dict[str, Any]:
    # torch.save writes a zip archive, before version 1.6 a pickle (which begins with its PROTO operation, 0x80).
    if not start.startswith((b"PK", b"\x80")):
        raise WeightsFileError("is not a checkpoint", "expected a safetensors or torch file")
    if start.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise WeightsFileError("is cut off: its zip directory is missing")
    content = read_torch_file(path)
    if not isinstance(content, dict):
        raise WeightsFileError(f"holds a {type(content).__name__}", "expected a dictionary of tensors")
    if _is_optimizer(content):
        raise WeightsFileError(
            "holds the state of an optimizer, not weights",
            "name the file of weights beside it, such as PREFIX_gen.pth beside PREFIX_opt.pth",
        )
    return content


def _is_optimizer(content: Mapping[Any, Any]) -> bool:
    """Whether a file holds an optimizer's state, as torch gives it or beside a trainer's counters, and no weights."""
    # torch's own layout has param_groups; trainers such as BasicSR save optimizers beside their counters.
    names = [key if isinstance(key, str) else "" for key in content]
    optimizer = ["optimizer" in name for name in names]
    alone = all(found or name in BOOKKEEPING for found, name in zip(optimizer, names, strict=True))
    return "param_groups" in content or (any(optimizer) and alone)


def _described(path: Path) -> str:
    return f"{path} ({path.stat().st_size:,} bytes)"
