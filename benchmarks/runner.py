"""Run a job: deal its missing images to processes, keep progress, survive interrupts.

On the CPU there are worker processes with one torch thread each: numbers do not depend on how many there are. Several
machines share a store by slices, image i going to rank i % world; a merge is nothing but reading what is there.
"""

from __future__ import annotations

import datetime
import multiprocessing
import os
import platform
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.evaluate import Outcome, Task, measure
from benchmarks.job import Bench, Job
from benchmarks.plan import CellState, survey
from benchmarks.store import Store
from casarbi.errors import CasarbiError

Progress = Callable[[int], None]
"""Called with the number of outputs that have just been scored."""


@dataclass(frozen=True)
class Slice:
    """The images of this process among several machines: those with index % world == rank.

    Raises:
        CasarbiError: where rank is not in 0 … world - 1.
    """

    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world:
            raise CasarbiError(f"Rank {self.rank} of {self.world} does not exist: ranks run from 0 to world - 1.")

    def of(self, images: Sequence[str]) -> tuple[str, ...]:
        """This slice of a list of images."""
        return tuple(images[self.rank :: self.world])

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Slice:
        """Slice that a launcher set: torchrun or accelerate, a SLURM array, or SLURM tasks, in this order."""
        for rank, world in (
            ("RANK", "WORLD_SIZE"),
            ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),
            ("SLURM_PROCID", "SLURM_NTASKS"),
        ):
            if env.get(rank) and env.get(world):
                offset = int(env.get("SLURM_ARRAY_TASK_MIN", "0")) if "ARRAY" in rank else 0
                return cls(int(env[rank]) - offset, int(env[world]))
        return cls()


def run(
    bench: Bench,
    store: Store,
    *,
    workers: int,
    batch: int = 4,
    part: Slice | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Measure whatever a job lacks; returns what was done and what failed.

    Args:
        bench: the opened job.
        store: where rows go, each batch as soon as it is through.
        workers: processes; 1 measures in this process, as does any device but the CPU.
        batch: images a task, and at the most the batch given to a model. Numbers do not depend on it.
        part: the slice of the images to take.
        progress: called as outputs are scored.
    """
    images = (part or Slice()).of(bench.dataset.ids)
    tasks = list(plan_tasks(survey(bench, store, images), batch))
    total = Outcome()
    header = provenance(bench.job)
    if workers > 1 and len(tasks) > 1 and bench.job.device == "cpu":
        outcomes = _in_processes(bench.job, store, tasks, header, min(workers, len(tasks)))
    else:
        outcomes = _in_this_process(bench, store, tasks, header)
    for outcome in outcomes:
        total.outputs += outcome.outputs
        total.failures += outcome.failures
        total.seconds = {name: total.seconds[name] + seconds for name, seconds in outcome.seconds.items()}
        if progress:
            progress(outcome.outputs)
    return total


def plan_tasks(states: Sequence[CellState], batch: int) -> Iterator[Task]:
    """Cut what cells lack into tasks of `batch` images, each with all its methods and scales: an image is read once."""
    images = list(dict.fromkeys(image for state in states for image in state.todo))
    for start in range(0, len(images), batch):
        group = images[start : start + batch]
        todo = {
            (state.method, state.scale): {image: state.todo[image] for image in group if image in state.todo}
            for state in states
        }
        yield Task(tuple(group), {cell: wanted for cell, wanted in todo.items() if wanted})


def provenance(job: Job) -> dict[str, Any]:
    """What a part of the store says of its making."""
    return {
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "data": job.data,
        "device": device_name(job.device),
        "threads": 1,
        "commit": git_commit(),
        "versions": {name: _version(name) for name in ("casarbi", "torch", "numpy", "pillow")},
    }


def device_name(device: str) -> str:
    """Words for a device: the GPU's name, or the processor's architecture."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else f"CPU ({platform.machine()})"


def git_commit() -> str:
    """Short commit of this checkout with a plus where files differ from it; "" outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _in_this_process(bench: Bench, store: Store, tasks: Sequence[Task], header: Mapping[str, Any]) -> Iterator[Outcome]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for task in tasks:
            yield measure(bench, store, task, header)
    finally:
        torch.set_num_threads(threads)


def _in_processes(
    job: Job, store: Store, tasks: Sequence[Task], header: Mapping[str, Any], workers: int
) -> Iterator[Outcome]:
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_open_worker, initargs=(job, store.folder, header)
    )
    finished = False
    try:
        pending = {pool.submit(_measure_in_worker, task) for task in tasks}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
        finished = True
    except BrokenProcessPool:
        raise CasarbiError(
            "A worker process died, most likely for lack of memory: run the same command again with fewer --workers; "
            "what was measured is kept."
        ) from None
    finally:
        if not finished:
            # Each task keeps its own rows: nothing is lost by not waiting for those in hand.
            for process in list(pool._processes.values()):
                process.terminate()
        pool.shutdown(wait=finished, cancel_futures=True)


_worker: tuple[Bench, Store, Mapping[str, Any]] | None = None


def _open_worker(job: Job, folder: Path, header: Mapping[str, Any]) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which ends its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _worker = Bench(job), Store(folder), header


def _measure_in_worker(task: Task) -> Outcome:
    assert _worker is not None
    return measure(_worker[0], _worker[1], task, _worker[2])


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
