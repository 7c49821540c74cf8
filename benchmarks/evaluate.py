"""Measure a batch of images: pairs → outputs → metrics → store. Runs in the parent or in a worker process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.job import Bench
from benchmarks.machine import peak_memory_bytes
from benchmarks.making import Pairs, make_outputs, sentence
from benchmarks.scoring import Scoring
from benchmarks.store import Store
from casarbi.data.base import Dataset
from casarbi.data.protocol import Pair
from casarbi.errors import CasarbiError

Todo = Mapping[tuple[str, float], Mapping[str, tuple[str, ...]]]
"""(method, scale) to image id to the columns that it lacks."""


@dataclass(frozen=True)
class Batch:
    """The unit of work of a process: a few images, what each of them lacks, and the generation of each cell's parts."""

    images: tuple[str, ...]
    todo: Todo
    generations: Mapping[tuple[str, float], int] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """Outputs that it scores, for progress bars."""
        return sum(len(images) for images in self.todo.values())


@dataclass
class Tally:
    """The sum of a batch, or of a run: outputs scored, seconds by part, failures as (method, scale, image, reason)."""

    outputs: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "model": 0.0, "metrics": 0.0, "store": 0.0})
    failures: list[tuple[str, float, str, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count another one in."""
        self.outputs += other.outputs
        self.failures += other.failures
        for part, seconds in other.seconds.items():
            self.seconds[part] += seconds


class _Clock:
    def __init__(self, tally: Tally) -> None:
        self.tally, self.last = tally, time.perf_counter()

    def charge(self, part: str) -> float:
        """Book the time since the last call under a part, and return it."""
        now = time.perf_counter()
        spent, self.last = now - self.last, now
        self.tally.seconds[part] += spent
        return spent


@torch.inference_mode()
def measure(bench: Bench, store: Store, batch: Batch, header: Mapping[str, Any]) -> Tally:
    """Measure a batch and put its rows into the store, one part per cell, as soon as each method is through."""
    tally = Tally(outputs=batch.outputs)
    clock = _Clock(tally)
    # Pictures are read once, for all methods and scales.
    pairs, unreadable = _read_pairs(bench, batch.images)
    scoring = Scoring(bench, pairs)
    read_seconds = clock.charge("read")
    for method in dict.fromkeys(method for method, _ in batch.todo):
        todo = {scale: images for (other, scale), images in batch.todo.items() if other == method}
        # All scales of a method go together, so that it can share work between them.
        made = make_outputs(bench, method, pairs, todo)
        made.broken.update(unreadable)
        model_seconds = clock.charge("model")
        for scale, images in todo.items():
            rows = scoring.rows(method, scale, images, made)
            tally.failures += [(method, scale, row.image, row.failures[""]) for row in rows if "" in row.failures]
            # Reading and making are shared by cells; each part of the store gets its share of the seconds.
            seconds = {
                "read": read_seconds / len(batch.todo),
                "model": model_seconds / len(todo),
                "metrics": clock.charge("metrics"),
            }
            costs = {"rows": len(rows), "seconds": seconds, "memory_bytes": peak_memory_bytes()}
            cell = store.cell(bench.key(method, scale))
            cell.add(rows, {**header, **costs}, batch.generations.get((method, scale), 0))
            clock.charge("store")
    return tally


class _ReadOnce(Dataset):
    """A data set that remembers the last image, for protocols that cut each scale from the picture again."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.last: tuple[str, Tensor] | None = None

    def image(self, image_id: str) -> Tensor:
        if self.last is None or self.last[0] != image_id:
            self.last = image_id, self.dataset.image(image_id)
        return self.last[1]

    def lr(self, image_id: str, scale: float) -> Tensor | None:
        return self.dataset.lr(image_id, scale)

    def digest(self, image_id: str) -> str:
        return self.dataset.digest(image_id)


def _read_pairs(bench: Bench, images: Sequence[str]) -> tuple[Pairs, dict[tuple[str, float], str]]:
    """Pairs of images at all scales, and the reason for each pair that could not be made."""
    pairs: dict[tuple[str, float], Pair] = {}
    unreadable: dict[tuple[str, float], str] = {}
    protocol, scales = bench.job.protocol, bench.job.scales
    dataset = _ReadOnce(bench.dataset)
    for image in images:
        # Scales that share one LR are asked for together, others one by one: too large a scale spoils only itself.
        for group in [scales] if protocol.one_lr else [(scale,) for scale in scales]:
            try:
                pairs.update({(image, pair.scale): pair for pair in protocol.pairs(dataset, image, group)})
            except (CasarbiError, MemoryError) as error:
                unreadable.update({(image, scale): sentence(error) for scale in group})
    return pairs, unreadable
