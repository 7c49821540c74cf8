"""Where the loop's batches come from: worker processes, what happens if one dies, and pictures that are no good."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import torch

from casarbi.training.batches import UNUSABLE, Batches, Stream, WorkerKilled
from casarbi.training.cache import CachedImages, UnusablePicture
from casarbi.training.progress import Reporter
from casarbi.training.snapshots import RunState
from casarbi.training.task import Batch

SAID = 5
"""So many unusable pictures are named, each in a line of its own."""
MOST_MAKERS = 8
"""Processes that make pictures, at most; each holds some batches ready."""


class Feed(Iterator[Batch]):
    """Batches from the step on that a run has reached, on its device.

    Attributes:
        waited: seconds spent waiting for batches.
    """

    def __init__(self, batches: Batches, state: RunState, last: int, workers: int, reporter: Reporter) -> None:
        """Prepare the batches of the steps state.step..last-1.

        Args:
            batches: what to make.
            state: its `step` is read, and pictures that cannot be used are added to its `unusable`.
            last: number of steps of the run.
            workers: processes that make batches; while pictures have to be made, more are taken if there are cores.
            reporter: told of dead processes and unusable pictures.
        """
        self.batches, self.state, self.last, self.workers, self.reporter = batches, state, last, workers, reporter
        self.waited = 0.0
        self.pin_memory = torch.cuda.is_available()
        images = batches.images
        # In the first epoch pictures may have to be made, which is slower than training: more processes for its length.
        first_epoch = -(-len(images) // batches.batch)
        missing = state.step < first_epoch and isinstance(images, CachedImages) and bool(images.missing())
        self._made_after = first_epoch if missing and workers else None
        self._stream = self._open(max(workers, min(_cores(), MOST_MAKERS)) if self._made_after else workers)

    def _open(self, workers: int) -> Stream:
        return self.batches.stream(self.state.step, self.last, workers, self.pin_memory)

    def __next__(self) -> Batch:
        """The batch of the step that the state has reached.

        Raises:
            CasarbiError: if a picture has changed, or more than one in twenty cannot be used.
        """
        began = time.monotonic()
        # All pictures are made: go on with as many processes as were asked for.
        if self.state.step == self._made_after:
            self.close()
            self._stream = self._open(self.workers)
        try:
            batch = next(self._stream)
        except WorkerKilled:
            self.reporter.note(
                "a process that makes batches was killed, perhaps for want of memory; the trainer makes them itself "
                "from here on: the same ones, but slower.",
                warning=True,
            )
            self._stream = self._open(0)
            batch = next(self._stream)
        self.waited += time.monotonic() - began
        if UNUSABLE in batch:
            self._note_unusable(batch.pop(UNUSABLE).tolist())
        return batch

    def close(self) -> None:
        """End the worker processes."""
        self._stream.close()

    def _note_unusable(self, indices: list[int]) -> None:
        images, known = self.batches.images, self.state.unusable
        # Each picture is told once; the state keeps them, so that a resumed run does not tell them again.
        for index in sorted({*indices} - {*known}):
            known.append(index)
            try:
                images[index]
            except UnusablePicture as reason:
                reason.images.check_count(len(known), reason)
                if len(known) <= SAID:
                    self.reporter.note(
                        f"another picture takes the place of one that is no good: {reason}", warning=True
                    )
                elif len(known) == SAID + 1:
                    self.reporter.note(
                        "more pictures are no good; the header of the weights counts them.", warning=True
                    )


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
