"""Under which conditions a value was measured: the columns of a CSV that tell equal values from alike ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from benchmarks.collect.comparisons import counted
from benchmarks.job import selfssim_column, stored_column
from benchmarks.metrics.base import ConsistencyMetric, Metric
from benchmarks.store import Row, hash_json
from reports.document import CONDITIONS

if TYPE_CHECKING:
    from benchmarks.collect import PanelResults

NOT_MEASURED: Mapping[str, object] = dict.fromkeys(CONDITIONS, math.nan)


def conditions(
    results: PanelResults, model: str, scale: float, column: str, rows: Iterable[Row | None]
) -> Mapping[str, object]:
    """Conditions of one value.

    Args:
        results: the panel.
        model: reference of the method.
        scale: scale of its outputs.
        column: what was computed of them, such as `psnr#1f0c8a2e`: it decides the `key` too.
        rows: rows of the images behind the value; none for a value that is not measured.
    """
    found = [row for row in rows if row]
    if not found:
        return NOT_MEASURED
    job = results.bench.job
    sizes = {row.size for row in found if row.size}
    size = "various" if len(sizes) > 1 else "".join(f"{width}x{height}" for height, width in sizes)
    cell = results.bench.key(model, scale)
    return {
        "data": job.data,
        "model": model,
        "protocol": job.protocol.name,
        "crop": job.protocol.cropped(scale),
        "border": job.protocol.border_pixels(scale),
        "size": size,
        "seed": job.seed,
        # The cell's key holds the weights' hash and every field of the protocol.
        "key": hash_json([cell.plain, column, sorted({row.digest for row in found})])[:16],
    }


def value_conditions(results: PanelResults, model: str, scale: float, metric: Metric) -> Mapping[str, object]:
    """Conditions of a table's value; the images behind it are those that have one, or all where none has."""
    images, rows = counted(results, model, scale, metric), results.rows(model, scale)
    behind = [row for row in rows if row and row.image in images] or rows
    return conditions(results, model, scale, f"{metric.info.name} of {stored_column(metric)}", behind)


def matrix_conditions(results: PanelResults, model: str, metric: ConsistencyMetric) -> tuple[Mapping[str, object], ...]:
    """Conditions of every value of a SelfSSIM matrix, row by row."""
    found = []
    for scale in results.experiment.scales:
        rows = results.rows(model, scale)
        for column in (selfssim_column(metric, other) for other in results.experiment.scales):
            behind = [row for row in rows if row and column in row.values]  # none on the diagonal, 1 by definition
            found.append(conditions(results, model, scale, column, behind or rows))
    return tuple(found)
