"""Writing files so that a reader, or a run after a crash, never sees half of one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

_DRAFT = re.compile(r"\.casarbi-(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.tmp")
# Drafts of earlier versions, whose names do not say which machine wrote them.
_OLD_DRAFT = re.compile(r"\..+-\d+\.tmp|\.\d{20}-[0-9a-f]{8}\.npz|\..+\.json\.[0-9a-f]{8}")
_ABANDONED_SECONDS = 24 * 3600


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Path of a draft beside `path`, moved into place if the block ends well and removed if it does not.

    The draft is forced to the disk before it is moved, so that even a power cut leaves the old file or the new one.
    Folders on the way are made.

    Raises:
        OSError: if the disk refuses; `path` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not the file's own name, which may already be as long as the system allows.
    draft = path.with_name(f".casarbi-{_this_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        # Made first, so that its permissions are those that the umask gives.
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


def sync_folder(folder: Path) -> None:
    """Force the names of the files in a folder to the disk, if the system can: those that were moved there stay."""
    if os.name != "posix":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some disks of networks refuse
            os.fsync(number)
    finally:
        os.close(number)


def sweep_drafts(folder: Path) -> list[Path]:
    """Remove drafts that killed processes left in a folder (not in its subfolders); returns those removed.

    A draft of this machine goes as soon as its process is gone. Of another machine's processes nothing is known, so
    their drafts go after a day without a write. A folder that is missing or refuses is left as it is.
    """
    removed = []
    with suppress(OSError):
        for draft in [Path(entry.path) for entry in os.scandir(folder) if entry.name.startswith(".")]:
            with suppress(OSError):
                if _is_abandoned(draft):
                    draft.unlink()
                    removed.append(draft)
    return removed


def _is_abandoned(draft: Path) -> bool:
    named = _DRAFT.fullmatch(draft.name)
    if not (named or _OLD_DRAFT.fullmatch(draft.name)):
        return False
    if named and named["host"] == _this_host() and not _is_running(int(named["process"])):
        return True
    return time.time() - draft.stat().st_mtime > _ABANDONED_SECONDS


def _is_running(process: int) -> bool:
    if os.name != "posix":  # on Windows, signal 0 would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user, or not a number of a process: unknown
        return True
    return True


@cache
def _this_host() -> str:
    """Eight digits for this machine and, on Linux, this container: process numbers mean something only there."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return hashlib.sha256(f"{platform.node()} {namespace}".encode(errors="surrogateescape")).hexdigest()[:8]


def write_file(path: Path, content: bytes) -> None:
    """Write a file as a whole; see `replacing`."""
    with replacing(path) as draft:
        draft.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write JSON as a whole; floats keep all their digits."""
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    write_file(path, text.encode(errors="backslashreplace"))  # for a surrogate, JSON's own escape


def try_writing(folder: Path) -> None:
    """Write one byte in a folder, or in its nearest parent that is there, and leave nothing behind.

    Raises:
        OSError: if nothing can be written there.
    """
    place = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
    with tempfile.TemporaryFile(dir=place) as file:
        file.write(b"\0")


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk of a folder, or of its nearest parent that is there; 0 if unknown."""
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


def disk_trouble(error: OSError) -> str:
    """Say what the system refused and where, such as `results/cells: No space left on device`."""
    reason = error.strerror or type(error).__name__
    return f"{os.fsdecode(error.filename)}: {reason}" if error.filename else reason
