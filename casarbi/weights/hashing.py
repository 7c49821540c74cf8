"""SHA-256 of files."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_BLOCK_BYTES = 2**20


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's content in hex, read in blocks.

    Within a process, a file is read once as long as its path, inode, size and times stay the same. One of the times is
    that of the last status change (ctime). Copying tools cannot set it back, so new content is noticed even if the time
    of modification is the old one. Nothing is remembered on disk.

    Raises:
        OSError: if the file cannot be read.
    """
    path = Path(path).resolve()
    # The state is part of the cache's key: a changed file has another key and is read again.
    state = path.stat()
    return _hash_content(path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(maxsize=65536)
def _hash_content(path: Path, *state: int) -> str:
    return hash_file(path)


def hash_file(path: Path) -> str:
    """As `sha256_file`, but the file is read in any case."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
