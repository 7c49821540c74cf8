"""Batches as a function of (seed, step): the same pictures, crops and sizes whatever the workers, GPUs or resumes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from casarbi.training.seeds import Purpose, numpy_generator
from casarbi.training.task import Batch, Recipe


@dataclass(frozen=True)
class Batches(Dataset):
    """Batch of step i under index i.

    Items are numbered through the whole run. Item n takes the picture at place n modulo N of epoch n // N, and each
    epoch has its own order, so every picture is seen equally often.

    Attributes:
        images: pictures, uint8 (3, H, W).
        recipe: makes an item of a picture.
        seed: of the run.
        batch: items of a step, over all processes.
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
        """Settle which items of a batch are this process's."""
        each = self.batch // self.world
        object.__setattr__(self, "_share", range(self.rank * each, (self.rank + 1) * each))

    def picture_index(self, number: int) -> int:
        """Index of the picture that an item of the run takes."""
        epoch, place = divmod(number, len(self.images))
        return int(_order(self.seed, epoch, len(self.images))[place])

    def __getitem__(self, step: int) -> Batch:
        """This process's share of the batch of a step, each tensor with a first axis of items."""
        shared = self.recipe.draw(numpy_generator(self.seed, Purpose.BATCH, step))
        items = []
        for number in (step * self.batch + place for place in self._share):
            image = self.images[self.picture_index(number)]
            items.append(self.recipe.item(image, shared, numpy_generator(self.seed, Purpose.ITEM, number)))
        return {name: torch.stack([item[name] for item in items]) for name in items[0]}

    def stream(self, first: int, last: int, workers: int, pin_memory: bool = False) -> Iterator[Batch]:
        """Batches of the steps first..last-1, made ahead by worker processes; with 0 workers, made when asked for.

        Asking for a batch raises WorkerKilled where a worker process ended before its time.
        """
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
        return _watched(made) if workers else made


class WorkerKilled(Exception):
    """A process that makes batches was ended from outside, often for want of memory."""


def _watched(made: Iterator[Batch]) -> Iterator[Batch]:
    while True:
        try:
            batch = next(made)
        except StopIteration:
            return
        except (OSError, EOFError):  # it died while it handed a batch over
            raise WorkerKilled from None
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise WorkerKilled from None
        yield batch


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return numpy_generator(seed, Purpose.ORDER, epoch).permutation(count)


def _ignore_interrupts(worker: int) -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the trainer: it ends the workers when it is ready."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
