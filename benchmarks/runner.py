"""Run a job: deal its missing images to processes, keep progress, survive interrupts.

On the CPU there are worker processes with one torch thread each: numbers do not depend on how many there are. Several
machines share a store by slices: image i goes to rank i % world. Merging them is reading the store.
"""

from __future__ import annotations

import datetime
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from benchmarks.evaluate import Batch, Tally, measure
from benchmarks.job import Bench, Job, open_benches
from benchmarks.machine import device_name, library_versions
from benchmarks.processes import interrupts_ignored, worker_context
from benchmarks.store import Store
from benchmarks.survey import CellState, survey
from casarbi.errors import CasarbiError
from casarbi.pictures.naming import printable_name
from casarbi.provenance import git_commit

FEWEST = 16
"""Parts of a cell that are worth packing after a run."""

COMPACT_EVERY = 8192
"""Outputs after which a run packs what it has, so that its files never become very many."""

Progress = Callable[[int], None]
"""Called with the number of outputs that have just been scored."""

Piece = TypeVar("Piece")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Slice:
    """The images of this process among several machines: those with index % world == rank.

    Raises:
        CasarbiError: if rank is not in 0 … world - 1.
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
                        f"The environment says {rank}={env[rank]} and {world}={env[world]}, expected two whole "
                        "numbers: mend or unset them."
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
) -> Tally:
    """Measure what the store lacks of some jobs; returns what was done and what failed.

    Args:
        benches: the opened jobs.
        store: where rows go, at the end of each batch.
        workers: processes; 1 measures in this process, as does any device but the CPU.
        batch: images of a batch, and the most that are given to a model at once. Numbers do not depend on it.
        part: the slice of each job's images to take.
        again: measure what is there already, too; the new values then count in place of the old ones.
        progress: called as outputs are scored.
    """
    part = part or Slice()
    work = [
        (index, some)
        for index, bench in enumerate(benches)
        for some in cut_into_batches(survey(bench, store, part.of(bench.dataset.ids), again), batch)
    ]
    # Large pictures first: at the end processes wait for the last batch, which is then a short one.
    work.sort(key=lambda item: benches[item[0]].job.protocol.lr_side or math.inf, reverse=True)
    if not work:
        return Tally()
    store.prepare()
    cells = {(index, *cell) for index, batch in work for cell in batch.todo}
    total, unpacked = Tally(), 0
    for tally in deal(benches, store, work, measure, workers):
        total.add(tally)
        unpacked += tally.outputs
        if unpacked >= COMPACT_EVERY:
            _compact(benches, store, cells)
            unpacked = 0
        if progress:
            progress(tally.outputs)
    _compact(benches, store, cells)
    return total


def _compact(benches: Sequence[Bench], store: Store, cells: Collection[tuple[int, str, float]]) -> None:
    """Pack the parts of cells, each with the place of its job, whether or not other processes still add to them."""
    for index, method, scale in cells:
        # A disk that refuses this one is full: what is measured is kept as it is, and packed after a later run.
        with suppress(CasarbiError):
            store.cell(benches[index].key(method, scale)).compact(FEWEST)


def deal(
    benches: Sequence[Bench],
    store: Store,
    work: Sequence[tuple[int, Piece]],
    do: Callable[[Bench, Store, Piece, Mapping[str, Any]], Result],
    workers: int,
) -> Iterator[Result]:
    """Do pieces of work, each with the place of its job, in worker processes or in this one; yields what comes of them.

    Args:
        benches: the opened jobs.
        store: where `do` keeps what it makes: a run that is stopped loses the pieces in hand only.
        work: the pieces, which have to be picklable.
        do: a module's function, called with the piece's job, the store, the piece and the job's `provenance`.
        workers: processes; 1 works in this process, as does any device but the CPU.
    """
    if workers > 1 and len(work) > 1 and all(bench.job.device == "cpu" for bench in benches):
        return _in_processes([bench.job for bench in benches], store, work, do, min(workers, len(work)))
    return _in_this_process(benches, store, work, do)


def cut_into_batches(states: Sequence[CellState], size: int) -> Iterator[Batch]:
    """Cut what cells lack into batches of `size` images, each with all methods and scales: an image is read once."""
    images = list(dict.fromkeys(image for state in states for image in state.todo))
    for start in range(0, len(images), size):
        group = images[start : start + size]
        todo = {
            (state.method, state.scale): {image: state.todo[image] for image in group if image in state.todo}
            for state in states
        }
        lacking = {cell: images_of_it for cell, images_of_it in todo.items() if images_of_it}
        yield Batch(tuple(group), lacking, {(s.method, s.scale): s.generation for s in states})


def provenance(job: Job) -> dict[str, Any]:
    """The header of a part of the store: when, from what and with which versions it was made."""
    return {
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "data": printable_name(job.data),
        "device": device_name(job.device),
        "threads": 1,
        "commit": git_commit(),
        "versions": library_versions(),
    }


def _in_this_process(
    benches: Sequence[Bench], store: Store, work: Sequence[tuple[int, Piece]], do: Callable[..., Result]
) -> Iterator[Result]:
    headers = [provenance(bench.job) for bench in benches]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # On a GPU, TF32 and cuDNN's choice of algorithm would change numbers by more than rounding.
    fixed = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    try:
        with fixed:
            for index, piece in work:
                yield do(benches[index], store, piece, headers[index])
    finally:
        torch.set_num_threads(threads)


def _in_processes(
    jobs: Sequence[Job],
    store: Store,
    work: Sequence[tuple[int, Piece]],
    do: Callable[..., Result],
    workers: int,
) -> Iterator[Result]:
    # Workers get the jobs as typed and open them themselves: models do not cross processes.
    headers = [provenance(job) for job in jobs]
    pool = ProcessPoolExecutor(
        workers, worker_context(), initializer=_open_worker, initargs=(jobs, store.folder, headers)
    )
    finished = False
    try:
        with interrupts_ignored():
            pending = {pool.submit(_do_in_worker, do, index, piece) for index, piece in work}
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
            # Each piece keeps what it made: nothing is lost by not waiting for those in hand.
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


def _do_in_worker(do: Callable[..., Result], index: int, piece: Any) -> Result:
    assert _worker is not None
    return do(_worker.benches[index], _worker.store, piece, _worker.headers[index])


def _die_with_parent() -> None:
    # A parent that is killed cannot end its workers, which would go on for hours.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
