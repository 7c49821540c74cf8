"""SHA-256 of files."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_BLOCK_BYTES = 2**20


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's content in hex, read in blocks.

    A file is read once in the life of the process as long as its place, size and times stay the same. The time of the
    last status change is among them, which copying tools cannot set back, so new content under old times is noticed.
    Nothing is remembered on disk.

    Raises:
        OSError: if the file cannot be read.
    """
    path = Path(path).resolve()
    state = path.stat()
    return _hash_content(path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(maxsize=65536)
def _hash_content(path: Path, *state: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
