"""Writing files so that a reader, or a run after a crash, never sees half of one."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Path of a draft beside `path`, moved into place when the block ends well and removed when it does not.

    The draft is forced to the disk before it is moved, so that even a power cut leaves the old file or the new one.
    """
    draft = path.with_name(f".{path.name}-{os.getpid()}.tmp")
    try:
        draft.touch()
        mode = draft.stat().st_mode
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.chmod(mode)  # safetensors (0.8) makes its files readable to their owner alone, whatever the umask
        os.replace(draft, path)
    finally:
        with suppress(OSError):
            draft.unlink()


@contextmanager
def exclusive(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock file while the block runs; the system releases it even after a kill. Without effect on Windows.

    Raises:
        BlockingIOError: where another process holds it and `wait` is false.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def write_json(path: Path, content: Any) -> None:
    """Write JSON through a draft; floats keep all their digits."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk of a folder, or of its nearest parent that there is; 0 where nobody knows."""
    for place in (folder, *folder.parents):
        if place.is_dir():
            with suppress(OSError):
                return shutil.disk_usage(place).free
    return 0


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or the user's share of it, is full."""
    number = getattr(error, "errno", None)
    full = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
    # safetensors reports an error of the system as its own kind, with the system's number in the text.
    return number in full or any(f"(os error {code})" in str(error) for code in full)
