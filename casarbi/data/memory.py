"""What was found out about files, remembered on disk only if no change can go unnoticed.

Size and modification time do not prove that a file is the same: copying tools set times back, and many formats keep
their size (in IBM/unitxt#7 old results came back for changed data). So content decides, always; what is remembered is
that *this state of this file* was looked at and *that* was found, a state being

- device and inode: another file moved over this one differs here;
- size and modification time;
- time of the last status change (ctime): the kernel sets it to now at every write, rename, or setting of times, and no
  program can set it back short of changing the computer's clock.

Nothing is remembered if ctime could fail to move on: files changed in the last two seconds before they were looked at
(two writes may fall in one tick), clocks that count whole seconds (FAT, ext3), and Windows, where ctime is the time of
creation. There every run looks at all files again. Of several processes the last writer's memory stays, which costs the
others some time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from casarbi.files import write_file
from casarbi.weights.catalogue import cache_folder

_SETTLED_NS = 2 * 10**9
_FORMAT = 2

State = list[int]
Entry = list[Any]
"""The state of a file, and what was found in that state."""


def remembered(files: Sequence[Path], folder: Path, what: str, look: Callable[[list[Path]], list[Any]]) -> list[Any]:
    """What `look` finds in each of some files; it gets only those whose state is not remembered.

    Args:
        files: in the order of the result.
        folder: of the files; those of one folder share one memory for each `what`.
        what: what is looked for. It has to say so if `look` finds something else than in an earlier version.
        look: gives what it finds in each file as plain JSON, or None if that is not to be remembered.
    """
    memory_file = _memory_file(folder, what)
    memory, here = _load(memory_file, what), os.getcwd()
    names = [os.path.join(here, path) for path in files]
    states = list(map(_state, names))
    entries = [memory.get(name) for name in names]
    found = [_recall(entry, state) for entry, state in zip(entries, states, strict=True)]
    new = [place for place, value in enumerate(found) if value is None]
    if not new:
        return found
    begun_ns, fresh = time.time_ns(), {}
    for place, value in zip(new, look([files[place] for place in new]), strict=True):
        found[place], name, state = value, names[place], states[place]
        # Only if the file stood still while it was looked at, and for a while before.
        settled = _is_telling(state) and state[-1] < begun_ns - _SETTLED_NS and _state(name) == state
        if value is not None and settled:
            fresh[name] = [state, value]
    # Written only if something is new, and without the files that have gone.
    if fresh:
        _save(memory_file, what, {name: entry for name, entry in memory.items() if os.path.exists(name)} | fresh)
    return found


def _state(path: str) -> State:
    """The state of a file; empty, which is never remembered, if the system does not tell it."""
    try:
        facts = os.stat(path)
    except OSError:
        return []
    return [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]


def _is_telling(state: State) -> bool:
    """Whether the last part of a state, ctime, moves with every change of content."""
    return os.name == "posix" and bool(state) and state[-1] % 10**9 != 0


def _recall(entry: Entry | None, state: State) -> Any:
    # The same state means the same content, if ctime can be trusted to move (see the module).
    return entry[1] if entry and entry[0] == state and _is_telling(state) else None


def _memory_file(folder: Path, what: str) -> Path:
    # A folder's path may hold characters that no file name can.
    name = hashlib.sha256(f"{folder}\0{what.split()[0]}".encode(errors="surrogateescape")).hexdigest()[:24]
    return cache_folder().parent / "fingerprints" / f"{name}.memory"


def _load(memory_file: Path, what: str) -> dict[str, Entry]:
    """What is remembered; a damaged or foreign file counts as nothing."""
    try:
        seal, _, content = memory_file.read_bytes().partition(b"\n")
        if seal != _seal(what, content):
            return {}
        files: dict[str, Entry] = json.loads(content)
        return files
    except (OSError, ValueError):
        return {}


def _save(memory_file: Path, what: str, memory: dict[str, Entry]) -> None:
    """Write elsewhere and move into place; a folder that may not be written only costs the next run its time."""
    content = json.dumps(memory).encode()
    with suppress(OSError):
        write_file(memory_file, b"%s\n%s" % (_seal(what, content), content))


def _seal(what: str, content: bytes) -> bytes:
    return hashlib.sha256(f"{_FORMAT} {what}\n".encode() + content).hexdigest().encode()
