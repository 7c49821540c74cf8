"""SHA-256 of the files of a data set, remembered on disk only if no change can go unnoticed.

Size and modification time do not prove that a file is the same: copying tools set times back, and many formats keep
their size (in IBM/unitxt#7 old results came back for changed data). So content decides, always; what is remembered is
that *this state of this file* had *that content*, a state being

- device and inode: another file moved over this one differs here;
- size and modification time;
- time of the last status change (ctime): the kernel sets it to now at every write, rename, or setting of times, and no
  program can set it back short of changing the computer's clock.

Nothing is remembered if ctime could fail to move on: files changed in the last two seconds before they were hashed
(two writes may fall in one tick), clocks that count whole seconds (FAT, ext3), and Windows, where ctime is the time of
creation. There every run hashes all files again, about 1 GB per second. Of several processes the last writer's memory
stays, which costs the others some hashing and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from casarbi.files import write_file
from casarbi.weights.catalogue import cache_folder

_BLOCK_BYTES = 2**20
_SETTLED_NS = 2 * 10**9
_FORMAT = 1

State = list[int]


def file_digests(files: Sequence[Path], folder: Path) -> dict[Path, str]:
    """SHA-256 of each file's content.

    A file that cannot be read gets the digest of that fact, so that it does not stop the others: reading the
    picture says what is wrong.

    Args:
        files: whose digests are asked for.
        folder: the data set's folder; names the memory that its files share.
    """
    memory_file = _memory_file(folder)
    memory = _load(memory_file)
    # Reading waits for the disk and hashing lets other threads run, so a few files at a time are faster than one.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = list(pool.map(lambda path: _digest(path, memory), files))
    fresh = {str(path): entry for path, (_, entry) in zip(files, found, strict=True) if entry}
    # Written only if something is new, and without the files that have gone.
    if any(memory.get(path) != entry for path, entry in fresh.items()):
        _save(memory_file, {path: entry for path, entry in memory.items() if Path(path).exists()} | fresh)
    return {path: digest for path, (digest, _) in zip(files, found, strict=True)}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content as it is now, whatever is remembered of it."""
    return _digest(path, {})[0]


Entry = tuple[State, str]
"""The state of a file, and its SHA-256 in that state."""


def _digest(path: Path, memory: dict[str, Entry]) -> tuple[str, Entry | None]:
    """Digest of a file, and what may be remembered of it."""
    try:
        state = _state(path)
        # The same state means the same content, if ctime can be trusted to move (see the module).
        known = memory.get(str(path))
        if known and known[0] == state and _is_telling(state):
            return known[1], known
        # Hash, then see whether the file stood still meanwhile: only then may its digest be remembered.
        started_ns = time.time_ns()
        digest = _hash(path)
        settled = _is_telling(state) and _state(path) == state and state[-1] < started_ns - _SETTLED_NS
        return digest, ((state, digest) if settled else None)
    except OSError as error:
        return hashlib.sha256(f"unreadable: {error.strerror}".encode()).hexdigest(), None


def _state(path: Path) -> State:
    facts = path.stat()
    return [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]


def _is_telling(state: State) -> bool:
    """Whether the last part of a state, ctime, moves with every change of content."""
    return os.name == "posix" and state[-1] % 10**9 != 0


def _hash(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            total.update(block)
    return total.hexdigest()


def _memory_file(folder: Path) -> Path:
    # One file per data set folder; a folder's path may hold characters that no file name can.
    name = hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()[:24]
    return cache_folder().parent / "fingerprints" / f"{name}.json"


def _load(memory_file: Path) -> dict[str, Entry]:
    """What is remembered; a damaged or foreign file counts as nothing."""
    try:
        stored = json.loads(memory_file.read_text(encoding="ascii"))
        if stored["format"] != _FORMAT:
            return {}
        return {path: ([int(part) for part in state], str(digest)) for path, (state, digest) in stored["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _save(memory_file: Path, memory: dict[str, Entry]) -> None:
    """Write elsewhere and move into place; a folder that may not be written only costs the next run its time."""
    with suppress(OSError):
        write_file(memory_file, json.dumps({"format": _FORMAT, "files": memory}).encode())
