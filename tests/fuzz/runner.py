"""Opens hostile files in a process of their own and counts what happened.

A fuzzer is a seeded generator of cases, and a function that opens one as the program does:

    def cases(count: int, seed: int) -> Iterator[Case]:
        rng = random.Random(seed)
        for index in range(count):
            yield Case(f"{index:05d}.png", bytes_of_a_file(rng))

    def test_pictures(tmp_path):
        counts = judge(cases(300, seed=0), read_image, tmp_path)
        assert counts.faults == [], counts
        assert counts.loaded and counts.refused  # a fuzzer whose files are all refused at the door tests the door

`read_image` here may be any function of a path, a closure too. It must return (loaded) or raise CasarbiError (refused)
with one line of a reasonable length. All else is a fault, whose file is kept in the folder:

    traceback  another exception, or the process died
    code run   a module, command or process was started that no file may start; see `TRAP`
    slow       more than `Limits.seconds` of processor time, or no end at all
    large      the process grew by more than `Limits.growth_bytes`
    unclear    a refusal that is empty, longer than `Limits.message`, or more than one line
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from casarbi.errors import CasarbiError

TRAP = "casarbi_fuzz_trap"
"""A module that is in reach while a case is opened: a file that gets it imported, or `record` of it called, ran code.

Put it where a file names code: `f"{TRAP}:record"` in texts, `(TRAP, "record")` in pickles. Commands that start through
`os` or `subprocess` are caught, and stopped, too.
"""

_TRAP_SOURCE = """
import pathlib
def record(*args, **options):
    pathlib.Path(__file__).with_name("sprung").touch()
record()
"""
_FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.connect")
_FORBIDDEN += ("pickle.find_class", "shutil.rmtree", "os.kill", "ctypes.dlopen")


@dataclass(frozen=True)
class Case:
    """A file, or a folder of files.

    Attributes:
        name: of the file, with the suffix that it is to have; unique, and it should say what was done to the file.
        content: the bytes of the file; or those of each file of a folder, by relative path.
    """

    name: str
    content: bytes | Mapping[str, bytes]

    def write(self, folder: Path) -> Path:
        """Write it; returns its path."""
        path = folder / self.name
        files = {"": self.content} if isinstance(self.content, bytes) else self.content
        for name, content in files.items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return path


@dataclass(frozen=True)
class Limits:
    """What a file may cost, and how long its refusal may be in characters."""

    seconds: float = 5.0
    growth_bytes: int = 2**30
    message: int = 1000


@dataclass(frozen=True)
class Fault:
    """Something that may not happen: its kind, the file it happened to, and the details."""

    kind: str
    path: Path
    detail: str


@dataclass
class Counts:
    """What happened to all files."""

    files: int = 0
    loaded: int = 0
    refused: int = 0
    faults: list[Fault] = field(default_factory=list)

    def __str__(self) -> str:
        """One line of counts, and a line for each of the first faults."""
        kinds = Counter(fault.kind for fault in self.faults)
        numbers = {name: kinds[name] for name in ("traceback", "code run", "slow", "large", "unclear")}
        line = ", ".join(f"{name} {count}" for name, count in numbers.items())
        faults = "".join(f"\n{fault.kind}: {fault.path}\n  {fault.detail}" for fault in self.faults[:20])
        return f"files {self.files}, loaded {self.loaded}, refused {self.refused}; {line}{faults}"


def judge(
    cases: Iterable[Case], open_case: Callable[[Path], Any], folder: Path, limits: Limits | None = None
) -> Counts:
    """Open every case in a forked process and count; a process that a case ruined is replaced.

    Args:
        cases: made as they are needed.
        open_case: opens the path of a case.
        folder: for the files; those with faults stay in `folder/faults`.
        limits: what a case may cost.
    """
    limits, counts = limits or Limits(), Counts()
    place, kept = folder / "cases", folder / "faults"
    place.mkdir(parents=True)
    (place / f"{TRAP}.py").write_text(_TRAP_SOURCE)
    worker = _Worker(open_case, place)
    try:
        for case in cases:
            path = case.write(place)
            kind, detail = worker.open(path, limits)
            if (place / "sprung").exists():
                (place / "sprung").unlink()
                kind, detail = "code run", f"{TRAP} was imported or called; {detail}"
            counts.files += 1
            counts.loaded += kind == "loaded"
            counts.refused += kind == "refused"
            if kind not in ("loaded", "refused"):
                kept.mkdir(exist_ok=True)
                counts.faults.append(Fault(kind, Path(shutil.move(path, kept / path.name)), detail))
                worker.stop()
                worker = _Worker(open_case, place)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    finally:
        worker.stop()
    return counts


class _Worker:
    """The process that opens cases, seen from outside."""

    def __init__(self, open_case: Callable[[Path], Any], place: Path) -> None:
        # Forked, so that it starts at once with everything imported; it uses one thread, as a fork must.
        context = multiprocessing.get_context("fork")
        self.ours, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, open_case, place), daemon=True)
        self.process.start()
        theirs.close()
        self.watched = psutil.Process(self.process.pid)
        self.ours.recv()  # it is ready

    def open(self, path: Path, limits: Limits) -> tuple[str, str]:
        """Kind and detail of what the process did with a case, which it is ended over where it costs too much."""
        size, spent, begun = self._memory(), self._seconds(), time.monotonic()
        self.ours.send(str(path))
        try:
            while not self.ours.poll(0.01):
                seconds, growth = self._seconds() - spent, self._memory() - size
                waited = time.monotonic() - begun
                # Waiting costs no processor time, and a busy machine lets everything wait.
                if seconds > limits.seconds or waited > 12 * limits.seconds:
                    return "slow", f"{seconds:.1f} s of processor time, {waited:.1f} s in all, and no end"
                if growth > limits.growth_bytes:
                    return "large", f"grew by {growth / 2**20:,.0f} MiB"
            kind, detail = self.ours.recv()
        except (EOFError, psutil.NoSuchProcess):
            self.process.join(10)
            return "traceback", f"the process died with exit code {self.process.exitcode}"
        if (seconds := self._seconds() - spent) > limits.seconds:
            return "slow", f"{seconds:.1f} s of processor time; {detail}"
        if kind == "refused" and (not detail.strip() or len(detail) > limits.message or "\n" in detail):
            return "unclear", f"{len(detail)} characters: {detail[:300]!r}"
        return kind, detail

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.ours.close()

    def _memory(self) -> int:
        return self.watched.memory_info().rss

    def _seconds(self) -> float:
        times = self.watched.cpu_times()
        return times.user + times.system


def _serve(pipe: Connection, open_case: Callable[[Path], Any], place: Path) -> None:
    """Open what comes through the pipe; runs in the process of its own."""
    ran: list[str] = []

    def forbid(event: str, args: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN or (event == "import" and args[0] == TRAP):
            ran.append(f"{event} {args!r:.200}")
            raise PermissionError(f"{event} while a file is opened")

    _use_one_thread()
    sys.path.insert(0, str(place))
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    pipe.send("ready")
    sys.addaudithook(forbid)
    while True:
        path = Path(pipe.recv())  # text: unpickling a path would be seen by `forbid`
        ran.clear()
        try:
            open_case(path)
            kind, detail = "loaded", ""
        except CasarbiError as error:
            kind, detail = "refused", str(error)
        except BaseException:  # SystemExit and KeyboardInterrupt are no better
            kind, detail = "traceback", traceback.format_exc(limit=-12)
        pipe.send(("code run", "; ".join(ran)) if ran else (kind, detail))


def _use_one_thread() -> None:
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
