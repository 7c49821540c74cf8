"""A run's folder belongs to one training at a time."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from casarbi.errors import CasarbiError
from casarbi.training.progress import Reporter

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a disk answers that cannot lock files."""


@contextmanager
def claim(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Make the folder, and keep a second trainer out of it; a run that never began leaves no new folder behind.

    The system releases the lock, even after a kill.

    Raises:
        CasarbiError: if another process trains in the folder, or it cannot be written.
    """
    # flock, not a file whose existence is the lock: a killed run would leave that behind and block its own resume.
    is_new, lock = not folder.exists(), FileLock(folder / ".lock", blocking=False, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise CasarbiError(f"Another process is training in {folder}: wait for it, or choose another --out.") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise CasarbiError(f"{folder} cannot be written ({error.strerror}): choose another --out.") from None
        reporter.note(
            f"the disk of {folder} has no locks, so nothing keeps two trainings in this folder apart: start one alone.",
            warning=True,
        )

    try:
        yield
    finally:
        # A run that was refused has written nothing but the lock.
        if is_new and [path.name for path in folder.iterdir()] in ([], [".lock"]):
            (folder / ".lock").unlink(missing_ok=True)
            folder.rmdir()
        lock.release()
