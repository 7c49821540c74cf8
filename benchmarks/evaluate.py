"""Measure a batch of images: pairs → outputs → metrics → store. Runs in the parent or in a worker process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.job import GROUND_TRUTH, Bench
from benchmarks.machine import peak_memory_bytes
from benchmarks.making import Made, Pairs, make_outputs, sentence
from benchmarks.metrics.base import Output, Seen, fill_row
from benchmarks.store import Store
from benchmarks.store.rows import Row
from casarbi.data.base import Dataset
from casarbi.data.protocol import Pair
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import to_uint8

Todo = Mapping[tuple[str, float], Mapping[str, tuple[str, ...]]]
"""(method, scale) to image id to the columns that it lacks."""


KEPT_PIXELS = 2**18
"""Pixels of a GT up to which what networks gave for it is kept through a batch: about 170 bytes per pixel."""


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
    truths = _Truths(bench)
    # Pictures are read once, for all methods and scales.
    pairs, unreadable = _read_pairs(bench, batch.images)
    read_seconds = clock.charge("read")
    for method in dict.fromkeys(method for method, _ in batch.todo):
        todo = {scale: images for (other, scale), images in batch.todo.items() if other == method}
        # All scales of a method go together, so that it can share work between them.
        made = make_outputs(bench, method, pairs, todo)
        made.broken.update(unreadable)
        model_seconds = clock.charge("model")
        for scale, images in todo.items():
            rows = [
                _row(bench, method, image, scale, columns, pairs, made, truths) for image, columns in images.items()
            ]
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


class _Truths:
    """The GTs of a batch as metrics see them, each with what networks gave for it: every method is compared with it."""

    def __init__(self, bench: Bench) -> None:
        self.protocol = bench.job.protocol
        self._seen: dict[tuple[str, float], Seen] = {}

    def of(self, image: str, pair: Pair) -> tuple[Tensor, Seen]:
        """The GT of a pair, (3, H, W), and what networks gave for it so far; of a large one nothing is kept."""
        gt = self.protocol.compared(pair.gt, pair.scale)
        return gt, self._seen.setdefault((image, pair.scale), {}) if gt[0].numel() <= KEPT_PIXELS else {}


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


def _row(
    bench: Bench,
    method: str,
    image: str,
    scale: float,
    columns: Sequence[str],
    pairs: Pairs,
    made: Made,
    truths: _Truths,
) -> Row:
    """What is to be stored of one output: its columns, or why there is none."""
    row = Row(image, bench.digests[image], findings=made.findings.get((image, scale), {}))
    # Without an output there are no columns: the reason is stored under the empty name.
    if (image, scale) in made.broken:
        row.failures[""] = made.broken[image, scale]
        return row
    pair, outputs = pairs[image, scale], made.outputs[image]
    row.size = pair.size
    row.gt = hashlib.sha256(to_uint8(pair.gt).numpy().tobytes()).hexdigest()[:16]
    # Metrics see both as the protocol compares them; `outputs` are whole, for metrics between scales.
    gt, seen_gt = truths.of(image, pair)
    if method == GROUND_TRUTH:
        output = Output(scale, gt, gt, outputs, seen_gt, seen_gt)
    else:
        output = Output(scale, bench.job.protocol.compared(outputs[scale], scale), gt, outputs, seen_gt=seen_gt)
    known = bench.columns(method, scale)
    along = bench.columns_along(method, scale) if len(outputs) == len(bench.job.scales) else {}
    fill_row(row, [*(known[name] for name in columns), *along.values()], output)
    return row
