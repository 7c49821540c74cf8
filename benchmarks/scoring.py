"""Score what a method made: rows for the store, of several outputs at once if networks of metrics are on a GPU."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from benchmarks.job import GROUND_TRUTH, Bench
from benchmarks.making import Made, Pairs
from benchmarks.metrics.base import Column, Output, fill_row, foresee
from benchmarks.metrics.networks import Seen
from benchmarks.store.rows import Row
from casarbi.at_once import images_that_fit, in_parts
from casarbi.data.protocol import Pair
from casarbi.pictures.pixels import to_uint8

KEPT_PIXELS, KEPT_IN_ALL = 2**18, 2**23
"""Pixels of a GT, and of all GTs of a batch, up to which what networks gave is kept: 40 to 500 bytes per pixel."""


class Scoring:
    """Scores a batch, method by method; what networks gave for a GT is kept, as every method is compared with it."""

    def __init__(self, bench: Bench, pairs: Pairs) -> None:
        self.bench, self.pairs = bench, pairs
        self._seen: dict[tuple[str, float], Seen] = {}
        self._kept = 0

    def rows(self, method: str, scale: float, columns: Mapping[str, Sequence[str]], made: Made) -> list[Row]:
        """What is to be stored of a method's outputs at a scale: their columns, or why there is no output.

        Args:
            method: a model's reference, or the ground truth.
            scale: the scale.
            columns: names of the columns that each image lacks, by its id.
            made: what the method made of these images.
        """
        images, rows = list(columns.items()), list[Row]()

        def score(part: slice) -> None:
            rows.extend(self._score(method, scale, dict(images[part]), made))

        in_parts(len(images), self._at_once(method, scale, columns), score)
        return rows

    def _at_once(self, method: str, scale: float, images: Iterable[str]) -> int:
        """Outputs that networks may look at together, each with its GT, as if all were of the largest size."""
        columns = (*self.bench.columns(method, scale).values(), *self.bench.columns_along(method, scale).values())
        networks = {column.network.key: column.network for column in columns if column.network}
        sizes = [self.pairs[image, scale].size for image in images if (image, scale) in self.pairs]
        largest = max(sizes, key=math.prod, default=(0, 0))
        needed = 2 * sum(network.memory_bytes(largest) for network in networks.values())
        return images_that_fit(torch.device(self.bench.job.device), needed)

    def _score(self, method: str, scale: float, columns: Mapping[str, Sequence[str]], made: Made) -> list[Row]:
        """Rows of images whose outputs networks may look at together."""
        rows: list[Row] = []
        work: list[tuple[Row, list[Column], Output]] = []
        for image, names in columns.items():
            row = Row(image, self.bench.digests[image], findings=made.findings.get((image, scale), {}))
            rows.append(row)
            # Without an output there are no columns: the reason is stored under the empty name.
            if (image, scale) in made.broken:
                row.failures[""] = made.broken[image, scale]
                continue
            pair, outputs = self.pairs[image, scale], made.outputs[image]
            row.size = pair.size
            row.gt = hashlib.sha256(to_uint8(pair.gt).numpy().tobytes()).hexdigest()[:16]
            work.append((row, self._columns(method, scale, names, outputs), self._output(method, image, pair, outputs)))
        # One alone is looked at when its row is filled.
        if len(work) > 1:
            foresee((asked, output) for _, asked, output in work)
        for row, asked, output in work:
            fill_row(row, asked, output)
        return rows

    def _columns(
        self, method: str, scale: float, names: Iterable[str], outputs: Mapping[float, Tensor]
    ) -> list[Column]:
        """The named columns and, if outputs at all scales are at hand, those that are filled along."""
        known = self.bench.columns(method, scale)
        along = self.bench.columns_along(method, scale) if len(outputs) == len(self.bench.job.scales) else {}
        return [*(known[name] for name in names), *along.values()]

    def _output(self, method: str, image: str, pair: Pair, outputs: Mapping[float, Tensor]) -> Output:
        """An output as metrics see it: it and the GT as the protocol compares them, `outputs` whole."""
        compared, scale = self.bench.job.protocol.compared, pair.scale
        gt = compared(pair.gt, scale)
        seen = self._seen_gt(image, scale, gt[0].numel())
        if method == GROUND_TRUTH:
            return Output(scale, gt, gt, outputs, seen, seen)
        return Output(scale, compared(outputs[scale], scale), gt, outputs, seen_gt=seen)

    def _seen_gt(self, image: str, scale: float, pixels: int) -> Seen:
        """What networks gave for a GT so far; nothing is kept of large ones, nor of too many."""
        key = image, scale
        if key not in self._seen:
            if pixels > KEPT_PIXELS or self._kept + pixels > KEPT_IN_ALL:
                return {}
            self._kept += pixels
            self._seen[key] = {}
        return self._seen[key]
