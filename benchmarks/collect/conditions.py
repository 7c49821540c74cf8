"""The conditions of a value: columns of a CSV that tell whether two values are the same measurement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from benchmarks.collect.panel import PanelResults
from benchmarks.metrics.base import Value
from benchmarks.store.rows import Row
from reports.document import CONDITIONS

NOT_MEASURED: Mapping[str, object] = dict.fromkeys(CONDITIONS, math.nan)


def conditions(
    results: PanelResults, model: str, scale: float, source: str, rows: Iterable[Row | None]
) -> Mapping[str, object]:
    """Conditions of one value.

    `source` says what was computed from which column, such as `psnr of psnr#1f0c8a2e`: it decides the `key` too. `rows`
    are those of the images behind the value; there are none for a value that is not measured.
    """
    found = [row for row in rows if row]
    if not found:
        return NOT_MEASURED
    # Rows whose output failed have no size.
    sizes = {row.size for row in found if row.size}
    size = "various" if len(sizes) > 1 else "".join(f"{width}x{height}" for height, width in sizes)
    shared, key = results.of_cell(model, scale, source)
    return {**shared, "size": size, "key": key.of(sorted({row.digest for row in found}))[:16]}


def value_conditions(results: PanelResults, model: str, scale: float, value: Value) -> Mapping[str, object]:
    """Conditions of a table's value; the images behind it are those that have one, or all if none has."""
    rows = results.rows(model, scale)
    behind = [rows[place] for place in value.behind]
    return conditions(results, model, scale, value.source, behind or rows)
