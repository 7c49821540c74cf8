"""Run a job: deal its missing images to processes, keep progress, survive interrupts.

On the CPU there are worker processes with one torch thread each: numbers do not depend on how many there are. Several
machines share a store by slices, image i going to rank i % world; a merge is nothing but reading what is there.
"""

from __future__ import annotations

import datetime
import math
import multiprocessing
import os
import signal
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
from benchmarks.job import Bench, Job, open_benches
from benchmarks.machine import device_name
from benchmarks.processes import interrupts_ignored, worker_context
from benchmarks.store import Store
from benchmarks.survey import CellState, survey
from casarbi.errors import CasarbiError
from casarbi.pictures.naming import printable_name
from casarbi.provenance import git_commit

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
                # A SLURM array such as 10-40:10 has the ids 10, 20, 30, 40.
                array = env if "ARRAY" in rank else {}
                first, step = array.get("SLURM_ARRAY_TASK_MIN", "0"), array.get("SLURM_ARRAY_TASK_STEP", "1")
                try:
                    return cls((int(env[rank]) - int(first)) // max(1, int(step)), int(env[world]))
                except ValueError:
                    raise CasarbiError(
                        f"The environment says {rank}={env[rank]} and {world}={env[world]}, wanted two whole numbers: "
                        "mend or unset them."
                    ) from None
        return cls()


def run(
    benches: Sequence[Bench],
    store: Store,
    *,
    workers: int,
    batch: int = 1,
    part: Slice | None = None,
    again: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Measure whatever jobs lack; returns what was done and what failed.

    Args:
        benches: the opened jobs.
        store: where rows go, each batch as soon as it is through.
        workers: processes; 1 measures in this process, as does any device but the CPU.
        batch: images a task, and at the most the batch given to a model. Numbers do not depend on it.
        part: the slice of each job's images to take.
        again: measure what is there already, too; the new values then count in place of the old ones.
        progress: called as outputs are scored.
    """
    part = part or Slice()
    tasks = [
        (index, task)
        for index, bench in enumerate(benches)
        for task in plan_tasks(survey(bench, store, part.of(bench.dataset.ids), again), batch)
    ]
    # Large pictures first: the last tasks, for which one process may wait on another, are then short ones.
    tasks.sort(key=lambda item: benches[item[0]].job.protocol.lr_side or math.inf, reverse=True)
    total = Outcome()
    if tasks:
        store.prepare()
    if workers > 1 and len(tasks) > 1 and all(bench.job.device == "cpu" for bench in benches):
        outcomes = _in_processes([bench.job for bench in benches], store, tasks, min(workers, len(tasks)))
    else:
        outcomes = _in_this_process(benches, store, tasks)
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
        wanted = {cell: images_of_it for cell, images_of_it in todo.items() if images_of_it}
        yield Task(tuple(group), wanted, {(s.method, s.scale): s.generation for s in states})


def provenance(job: Job) -> dict[str, Any]:
    """What a part of the store says of its making."""
    return {
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "data": printable_name(job.data),
        "device": device_name(job.device),
        "threads": 1,
        "commit": git_commit(),
        "versions": {name: _version(name) for name in ("casarbi", "torch", "numpy", "pillow")},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _in_this_process(benches: Sequence[Bench], store: Store, tasks: Sequence[tuple[int, Task]]) -> Iterator[Outcome]:
    headers = [provenance(bench.job) for bench in benches]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # On a GPU, figures that TF32 or the algorithm of the day would move by more than rounding.
    fixed = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    try:
        with fixed:
            for index, task in tasks:
                yield measure(benches[index], store, task, headers[index])
    finally:
        torch.set_num_threads(threads)


def _in_processes(
    jobs: Sequence[Job], store: Store, tasks: Sequence[tuple[int, Task]], workers: int
) -> Iterator[Outcome]:
    headers = [provenance(job) for job in jobs]
    pool = ProcessPoolExecutor(
        workers, worker_context(), initializer=_open_worker, initargs=(jobs, store.folder, headers)
    )
    finished = False
    try:
        with interrupts_ignored():
            pending = {pool.submit(_measure_in_worker, index, task) for index, task in tasks}
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


@dataclass(frozen=True)
class _Worker:
    benches: list[Bench]
    store: Store
    headers: Sequence[Mapping[str, Any]]


_worker: _Worker | None = None  # of this process; a pool's initializer has nowhere else to leave it


def _open_worker(jobs: Sequence[Job], folder: Path, headers: Sequence[Mapping[str, Any]]) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which ends its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _worker = _Worker(open_benches(jobs), Store(folder), headers)


def _measure_in_worker(index: int, task: Task) -> Outcome:
    assert _worker is not None
    return measure(_worker.benches[index], _worker.store, task, _worker.headers[index])


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
