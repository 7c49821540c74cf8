"""SHA-256 of the files of a data set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from casarbi.data.memory import remembered
from casarbi.weights.hashing import hash_file


def file_digests(files: Sequence[Path], folder: Path) -> dict[Path, str]:
    """SHA-256 of each file's content, remembered as `casarbi.data.memory` says.

    A file that cannot be read gets the digest of that fact, so that it does not stop the others: reading the
    picture says what is wrong.

    Args:
        files: whose digests are asked for.
        folder: the data set's folder; names the memory that its files share.
    """
    found = remembered(files, folder, "sha256", _hash_all)
    return {path: digest or file_digest(path) for path, digest in zip(files, found, strict=True)}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content as it is now, whatever is remembered of it; if it cannot be read, of that fact."""
    try:
        return hash_file(path)
    except OSError as error:
        return hashlib.sha256(f"unreadable: {error.strerror}".encode()).hexdigest()


def _hash_all(files: list[Path]) -> list[str | None]:
    # Reading waits for the disk and hashing lets other threads run, so a few files at a time are faster than one.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(_try_hash, files))


def _try_hash(path: Path) -> str | None:
    with suppress(OSError):
        return hash_file(path)
    return None
