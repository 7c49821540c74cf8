"""Measure a batch of images: pairs → outputs → metrics → store. Runs in the parent or in a worker process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.job import GROUND_TRUTH, Bench
from benchmarks.machine import peak_memory_bytes
from benchmarks.metrics.base import Output, fill_row
from benchmarks.store import Store
from benchmarks.store.rows import Row
from casarbi.data.base import Dataset
from casarbi.data.protocol import Pair
from casarbi.errors import CasarbiError
from casarbi.pictures.inspection import check_batch, look
from casarbi.pictures.pixels import to_uint8
from casarbi.references import describe
from casarbi.sr import image_seed

Todo = Mapping[tuple[str, float], Mapping[str, tuple[str, ...]]]
"""(method, scale) to image id to the columns wanted."""


@dataclass(frozen=True)
class Task:
    """The unit of work of a process: a few images, what is wanted of each, and the generation of each cell's parts."""

    images: tuple[str, ...]
    todo: Todo
    generations: Mapping[tuple[str, float], int] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """Outputs this task scores, for progress bars."""
        return sum(len(images) for images in self.todo.values())


@dataclass
class Outcome:
    """What a task came to: outputs scored, seconds by part, and failures as (method, scale, image, reason)."""

    outputs: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "model": 0.0, "metrics": 0.0, "store": 0.0})
    failures: list[tuple[str, float, str, str]] = field(default_factory=list)


class _Clock:
    def __init__(self, outcome: Outcome) -> None:
        self.outcome, self.last = outcome, time.perf_counter()

    def charge(self, part: str) -> float:
        """Book the time since the last call under a part, and return it."""
        now = time.perf_counter()
        spent, self.last = now - self.last, now
        self.outcome.seconds[part] += spent
        return spent


@torch.inference_mode()
def measure(bench: Bench, store: Store, task: Task, header: Mapping[str, Any]) -> Outcome:
    """Measure a task and put its rows into the store, one part a cell, as soon as each method is through."""
    outcome = Outcome(outputs=task.outputs)
    clock = _Clock(outcome)
    pairs, unreadable = _read_pairs(bench, task)
    read_seconds = clock.charge("read")
    for method in dict.fromkeys(method for method, _ in task.todo):
        wanted = {scale: images for (m, scale), images in task.todo.items() if m == method}
        made = _outputs(bench, method, pairs, wanted)
        model_seconds = clock.charge("model")
        for scale, images in wanted.items():
            rows = []
            for image, columns in images.items():
                row = Row(image, bench.digests[image], findings=made.findings.get((image, scale), {}))
                reason = unreadable.get((image, scale)) or made.broken.get((image, scale))
                if reason:
                    row.failures[""] = reason
                    outcome.failures.append((method, scale, image, reason))
                else:
                    _score(bench, method, row, pairs[image, scale], made.outputs[image], columns)
                rows.append(row)
            seconds = {
                "read": read_seconds / len(task.todo),
                "model": model_seconds / len(wanted),
                "metrics": clock.charge("metrics"),
            }
            costs = {"rows": len(rows), "seconds": seconds, "memory_bytes": peak_memory_bytes()}
            cell = store.cell(bench.key(method, scale))
            cell.add(rows, {**header, **costs}, task.generations.get((method, scale), 0))
            clock.charge("store")
    return outcome


class _ReadOnce(Dataset):
    """A data set that remembers the last image, for protocols that cut each scale from it anew."""

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


def _read_pairs(bench: Bench, task: Task) -> tuple[dict[tuple[str, float], Pair], dict[tuple[str, float], str]]:
    pairs: dict[tuple[str, float], Pair] = {}
    unreadable: dict[tuple[str, float], str] = {}
    protocol, scales = bench.job.protocol, bench.job.scales
    dataset = _ReadOnce(bench.dataset)
    for image in task.images:
        # Scales that share one LR are asked for together, others one by one: too large a scale spoils only itself.
        for group in [scales] if protocol.one_lr else [(scale,) for scale in scales]:
            try:
                pairs.update({(image, pair.scale): pair for pair in protocol.pairs(dataset, image, group)})
            except (CasarbiError, MemoryError) as error:
                unreadable.update({(image, scale): _sentence(error) for scale in group})
    return pairs, unreadable


@dataclass
class _Made:
    """What a method made of some images.

    Attributes:
        outputs: by image and scale; what is broken is not among them.
        broken: the reason for each output that could not be made or is no picture.
        findings: what is odd about an output, by kind (see `casarbi.pictures.inspection`).
    """

    outputs: dict[str, dict[float, Tensor]] = field(default_factory=dict)
    broken: dict[tuple[str, float], str] = field(default_factory=dict)
    findings: dict[tuple[str, float], dict[str, str]] = field(default_factory=dict)

    def take(self, image: str, pair: Pair, output: Tensor) -> None:
        """Look at an output and keep it, or the reason why it is none."""
        try:
            self.findings[image, pair.scale] = look(output, pair.lr, pair.gt)
        except CasarbiError as error:
            self.broken[image, pair.scale] = str(error)
        else:
            self.outputs.setdefault(image, {})[pair.scale] = output


def _outputs(
    bench: Bench, method: str, pairs: Mapping[tuple[str, float], Pair], wanted: Mapping[float, Mapping[str, Any]]
) -> _Made:
    """Run a method on images, together where they fit, one by one if that fails."""
    needed = _needed_scales(bench, wanted)
    made = _Made()
    if method == GROUND_TRUTH:
        made.outputs = {i: {s: pairs[i, s].gt for s in scales if (i, s) in pairs} for i, scales in needed.items()}
        return made
    for images, scales in _batches(needed, pairs):
        parts = [(images, _try(bench, method, images, scales, pairs))]
        if isinstance(parts[0][1], str) and len(images) > 1:
            parts = [([image], _try(bench, method, [image], scales, pairs)) for image in images]
        for part, results in parts:
            if isinstance(results, str):
                made.broken.update({(image, scale): results for image in part for scale in scales})
                continue
            for image, outputs in zip(part, results, strict=True):
                for scale, output in zip(scales, outputs, strict=True):
                    made.take(image, pairs[image, scale], output)
    return made


def _try(
    bench: Bench,
    method: str,
    images: Sequence[str],
    scales: Sequence[float],
    pairs: Mapping[tuple[str, float], Pair],
) -> list[list[Tensor]] | str:
    """Outputs by image, then scale, or the reason why there are none."""
    try:
        return _upscale(bench, method, images, scales, pairs)
    except Exception as error:  # a plug-in may raise anything: the pictures failed, the run goes on
        return _sentence(error)


def _needed_scales(bench: Bench, wanted: Mapping[float, Mapping[str, Any]]) -> dict[str, list[float]]:
    """Scales to run for each image; a metric between scales needs all of them for one value."""
    needed: dict[str, set[float]] = {}
    needs_all = any(metric.between_scales for metric in bench.metrics.values())
    for scale, images in wanted.items():
        for image in images:
            needed.setdefault(image, set()).update(bench.job.scales if needs_all else [scale])
    return {image: sorted(scales) for image, scales in needed.items()}


def _batches(
    needed: Mapping[str, Sequence[float]], pairs: Mapping[tuple[str, float], Pair]
) -> Iterable[tuple[list[str], list[float]]]:
    """Group images whose LR and outputs have equal shapes; within an image, scales that share one LR go together."""
    groups: dict[tuple[Any, ...], tuple[list[str], list[float]]] = {}
    for image, scales in needed.items():
        by_lr: dict[int, list[float]] = {}
        for scale in scales:
            if (image, scale) in pairs:
                by_lr.setdefault(id(pairs[image, scale].lr), []).append(scale)
        for shared in by_lr.values():
            sizes = tuple(pairs[image, scale].size for scale in shared)
            shape = tuple(pairs[image, shared[0]].lr.shape)
            groups.setdefault((shape, tuple(shared), sizes), ([], shared))[0].append(image)
    return groups.values()


def _upscale(
    bench: Bench,
    method: str,
    images: Sequence[str],
    scales: Sequence[float],
    pairs: Mapping[tuple[str, float], Pair],
) -> list[list[Tensor]]:
    """Outputs by image, then scale; raises what the model raises, and CasarbiError on a wrong shape."""
    model = bench.model(method)
    if model is None:
        raise CasarbiError(bench.failed[method])
    lr = torch.stack([pairs[image, scales[0]].lr for image in images]).to(bench.job.device)
    sizes = [pairs[images[0], scale].size for scale in scales]
    seeds = [image_seed(image, bench.job.seed) for image in images]
    made = model.bind(images).upscale_many(lr, sizes, seeds)
    checked = [check_batch(output, len(images), size) for output, size in zip(made, sizes, strict=True)]
    return [[output[i] for output in checked] for i in range(len(images))]


def _score(
    bench: Bench, method: str, row: Row, pair: Pair, outputs: Mapping[float, Tensor], columns: Sequence[str]
) -> None:
    """Fill columns of a row from the outputs of its image at all scales."""
    sr, gt = (bench.job.protocol.compared(image, pair.scale) for image in (outputs[pair.scale], pair.gt))
    row.size = pair.size
    row.gt = hashlib.sha256(to_uint8(pair.gt).numpy().tobytes()).hexdigest()[:16]
    known = bench.columns(method, pair.scale)
    fill_row(row, [known[name] for name in columns], Output(pair.scale, sr, gt, outputs))


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, CasarbiError) else describe(error)
