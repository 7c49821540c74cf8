"""Tests on times and counts: what a timing measured on one machine, run by run."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.claims.declaration import TimingTable
from benchmarks.claims.parts import Part, difference
from benchmarks.claims.values import SET_RESAMPLES, Values
from benchmarks.metrics.base import MetricInfo
from benchmarks.timing.records import Record
from benchmarks.timing.session import TimingSession

FEWEST_RUNS = 6
"""Runs below which times are not compared, as the table gives no interval of fewer."""

Found = Mapping[tuple[str, float], Record]
"""Records of one machine, by row and scale."""

_RANGE: dict[str, Any] = {"lowest": 0.0, "highest": math.inf, "min_side": 1, "description": ""}
QUANTITIES = {
    info.name: info
    for info in (
        MetricInfo(name="seconds", label="seconds per image", higher_is_better=False, decimals=3, **_RANGE),
        MetricInfo(name="cpu_seconds", label="processor s per image", higher_is_better=False, decimals=3, **_RANGE),
        MetricInfo(name="parameters", label="parameters (millions)", higher_is_better=False, decimals=3, **_RANGE),
        MetricInfo(name="evaluations", label="network evaluations", higher_is_better=False, decimals=0, **_RANGE),
    )
}


def timed_parts(test: TimingTable, session: TimingSession) -> Iterator[Part]:
    """Parts of a test, from the machine that timed most of its rows: this one if it did."""
    experiment = session.experiment
    models = {method.name: method.model for method in experiment.methods}
    scales = test.scales or tuple(scale for scale in experiment.scales if scale != test.since)
    machine, found = _machine(test, session)
    reasons = {m.name: session.failed.get(m.name, m.reason).rstrip(".") for m in experiment.methods}
    for than in test.than or ("",):
        for scale in scales:
            part = Part(
                test=test,
                than=than,
                scales=(scale,),
                metric=QUANTITIES[test.quantity],
                table=experiment.name,
                panel=machine,
                models=models,
                unit="runs",
            )
            yield _measured(part, test, found, experiment.preset, reasons)


def _machine(test: TimingTable, session: TimingSession) -> tuple[str, Found]:
    """The machine whose records a test reads, and those records."""
    by_machine = session.records()
    wanted = [(row, scale) for row in test.rows for scale in test.all_scales or session.experiment.scales]
    # Times compare within a machine only; the first one is this.
    return max(by_machine.items(), key=lambda item: sum(place in item[1] for place in wanted))


def _measured(part: Part, test: TimingTable, found: Found, preset: str, reasons: Mapping[str, str]) -> Part:
    rows = [row for row in (test.row, part.than) if row]
    if unmeasured := next((reasons[row] for row in rows if reasons[row]), ""):
        return replace(part, reason=unmeasured)
    places = [(row, scale) for row in rows for scale in (*part.scales, *test.all_scales[len(test.scales) :])]
    if missing := [row for row, scale in places if (row, scale) not in found]:
        flag = "" if preset == "mini" else f" --preset {preset}"
        return replace(part, reason=f"{missing[0]} is not timed yet: casarbi-bench run {test.timing}{flag}")
    runs = min(len(found[place].seconds) for place in places)
    if test.quantity == "seconds" and runs < FEWEST_RUNS:
        return replace(part, reason=f"only {runs} runs were timed, and a test needs {FEWEST_RUNS}")
    about = f"{part.table}, preset {preset}: {part.panel}; "
    about += "; ".join(f"{row} = `{part.models[row]}`" for row in test.rows)
    metric = part.metric
    # What other work disturbs least, where a process computes itself.
    if test.quantity == "seconds" and any(found[place].disturbances for place in places):
        about += "; other work on the machine disturbed some times (the table says which)"
        if all(found[place].key.kind == "cpu" for place in places):
            metric = QUANTITIES["cpu_seconds"]
            about += ", so processor seconds are compared"
    values = {place: _values(metric.name, *place, found[place]) for place in places}
    effect = difference(test, part.than, part.scales[0], lambda row, scale: values[row, scale]).effect()
    return replace(part, metric=metric, effect=effect, about=f"{about}.")


def _values(quantity: str, row: str, scale: float, record: Record) -> Values:
    """The median over runs with the same over resampled runs; a count, which has no error."""
    runs = tuple(map(str, range(len(record.seconds))))
    if not quantity.endswith("seconds"):
        count = record.parameters / 1e6 if quantity == "parameters" else float(record.evaluations)
        return Values(runs, np.full(SET_RESAMPLES, count), count)
    seconds = np.sort(getattr(record, quantity))
    # Runs of one row say nothing of another's: a seed for each.
    rng = np.random.default_rng([zlib.crc32(row.encode()), round(1000 * scale)])
    draws = np.median(seconds[rng.integers(0, len(seconds), (SET_RESAMPLES, len(seconds)))], axis=1)
    return Values(runs, draws, float(np.median(seconds)))
