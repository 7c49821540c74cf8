"""Batches as a function of (seed, step): the same pictures, crops and sizes whatever the workers, GPUs or resumes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import active_children
from multiprocessing.process import BaseProcess

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from casarbi.errors import CasarbiError
from casarbi.training.cache import UnusablePicture
from casarbi.training.seeds import Purpose, numpy_generator
from casarbi.training.task import Batch, Recipe

UNUSABLE = "unusable pictures"


@dataclass(frozen=True)
class Batches(Dataset):
    """Batch of step i under index i.

    Items are numbered through the whole run. Item n takes the picture at place n modulo N of epoch n // N, and each
    epoch has its own order, so every picture is seen equally often.

    Attributes:
        images: pictures, uint8 (3, H, W).
        recipe: makes items of pictures.
        seed: of the run.
        batch: items per step, over all processes.
        rank: which share of each batch this process takes, of `world` shares.
        world: number of shares; it divides `batch`.
    """

    images: Sequence[Tensor]
    recipe: Recipe
    seed: int
    batch: int
    rank: int = 0
    world: int = 1
    _share: range = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Settle which items of every batch are this process's."""
        each = self.batch // self.world
        object.__setattr__(self, "_share", range(self.rank * each, (self.rank + 1) * each))

    def picture_index(self, number: int) -> int:
        """Index of the picture that an item of the run takes."""
        # Items are numbered through the run, so an epoch may end in the middle of a batch and nothing is dropped.
        epoch, place = divmod(number, len(self.images))
        return int(_order(self.seed, epoch, len(self.images))[place])

    def __getitem__(self, step: int) -> Batch:
        """This process's share of the batch of a step, each tensor with a first axis of items.

        Under `UNUSABLE` it also names the pictures, by index, that could not be used; absent if there are none.
        """
        # The whole batch draws from its step, each item from its own number: shares of many processes fit together.
        shared = self.recipe.draw(numpy_generator(self.seed, Purpose.BATCH, step))
        items, unusable = [], set()
        for number in (step * self.batch + place for place in self._share):
            image, passed = self._picture(number)
            unusable |= passed
            items.append(self.recipe.item(image, shared, numpy_generator(self.seed, Purpose.ITEM, number)))
        batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
        return batch | ({UNUSABLE: torch.tensor(sorted(unusable))} if unusable else {})

    def _picture(self, number: int) -> tuple[Tensor, set[int]]:
        """Picture of an item, and the indices of those that could not be used.

        The next one in the data set takes the place of an unusable picture: which it is depends on the pictures alone,
        so every run finds the same.
        """
        first, count = self.picture_index(number), len(self.images)
        passed: set[int] = set()
        while True:
            index = (first + len(passed)) % count
            try:
                return self.images[index], passed
            except UnusablePicture as error:
                passed.add(index)
                error.images.check_count(len(passed), error)

    def stream(self, first: int, last: int, workers: int, pin_memory: bool = False) -> Stream:
        """Batches of the steps first..last-1, made ahead by worker processes; with 0 workers, made when asked for."""
        # The loader does not publish its processes: those that are new afterwards are its own.
        before = set(active_children())
        options = {"prefetch_factor": 4, "worker_init_fn": _ignore_interrupts} if workers else {}
        made = iter(
            DataLoader(
                self,
                batch_size=None,
                sampler=range(first, last),
                num_workers=workers,
                pin_memory=pin_memory,
                **options,  # type: ignore[arg-type]
            )
        )
        if workers and hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
            # torch's handler raises wherever the program happens to be when a worker dies, in the middle of a step too;
            # without it the death is found when the next batch is asked for.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return Stream(made, [process for process in active_children() if process not in before])


class WorkerKilled(Exception):
    """A process that makes batches was ended from outside, often for want of memory."""


class Stream(Iterator[Batch]):
    """Batches one after another, and the processes that make them."""

    def __init__(self, made: Iterator[Batch], processes: Sequence[BaseProcess]) -> None:
        self._made, self._processes = made, processes

    def __next__(self) -> Batch:
        """The next batch.

        Raises:
            WorkerKilled: if a worker process ended before its time.
            CasarbiError: if a picture of the batch has changed, or too many cannot be used.
        """
        if not self._processes:
            return next(self._made)
        try:
            return next(self._made)
        except CasarbiError as error:
            # torch hands over the text of the whole traceback; our sentence is its last line.
            raise CasarbiError(str(error).strip().splitlines()[-1].partition(": ")[2]) from None
        except (OSError, EOFError):  # it died while it handed a batch over
            raise WorkerKilled from None
        except RuntimeError as error:
            # The thread that pins batches may be the first to find a process gone.
            if not any(part in str(error) for part in ("DataLoader worker", "Pin memory thread")):
                raise
            raise WorkerKilled from None

    def close(self) -> None:
        """End the processes; what they were making is made again when it is needed."""
        self._made = iter(())  # torch's own end comes first: its pinning thread may be reading from a process
        for process in self._processes:
            process.kill()  # one that has only begun still has the trainer's handler, which merely notes a SIGTERM
        for process in self._processes:
            process.join()


@lru_cache(maxsize=2)  # the epoch of now, and the next one that the end of a batch may reach
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return numpy_generator(seed, Purpose.ORDER, epoch).permutation(count)


def _ignore_interrupts(worker: int) -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the trainer: it ends the workers when it is ready."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
