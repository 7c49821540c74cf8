"""A timing's report: what every machine in the store measured, and apart from it what papers give."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.statistics import Median, median_interval
from benchmarks.timing.cited import cited_panel
from benchmarks.timing.declaration import TimingExperiment
from benchmarks.timing.facts import facts
from benchmarks.timing.records import Record
from reports.document import COLUMNS, CONDITIONS, Document, Method, MetricColumn, Panel

Found = Mapping[tuple[str, float], Record]
"""Records of one machine, by method and scale."""

SECONDS = MetricColumn(
    "seconds",
    "Seconds per image",
    False,
    3,
    note="Median of the counted runs, one image at a time, from the LR image on the device to the output there.",
    logarithmic=True,
)
CPU_SECONDS = MetricColumn(
    "cpu_seconds",
    "Processor seconds per image",
    False,
    3,
    note="What the process computed, over all its threads; its waits for a core do not count.",
    logarithmic=True,
)
COUNTED = (
    MetricColumn("parameters", "Parameters (millions)", False, 3, constant=True),
    MetricColumn(
        "gflop",
        "Operations per image (GFLOP)",
        False,
        2,
        note="Of convolutions and matrix products; a multiplication and an addition are two operations.",
        logarithmic=True,
    ),
    MetricColumn("evaluations", "Network evaluations per image", None, 0),
)
INTERVAL = "95 % interval of the median, between two of the runs; fewer than six have none"
NOT_MEASURED: dict[str, object] = dict.fromkeys(CONDITIONS, "") | {"border": math.nan, "seed": math.nan}


@dataclass(frozen=True)
class Machine:
    """What one machine measured: its name, whether it is this one, and its records."""

    name: str
    here: bool
    found: Found


def document(
    experiment: TimingExperiment,
    machines: Sequence[Machine],
    failed: Mapping[str, str],
    *,
    date: str,
    command: str,
) -> Document:
    """Everything the report says.

    Args:
        experiment: the declaration.
        machines: in order; none of which needs to have measured everything.
        failed: by the name of a row, why it could not be measured on this machine.
        date: printed as given.
        command: the same.
    """
    panels = []
    for machine in machines:
        panels.append(_times(experiment, machine, failed if machine.here else {}))
        panels += [_stages(experiment, machine, method) for method in _cascades(machine)]
    if experiment.cited:
        panels.append(cited_panel(experiment.cited, experiment.name, experiment.preset))
    return Document(
        title=experiment.title,
        experiment=experiment.name,
        preset=experiment.preset,
        panels=tuple(panels),
        date=date,
        summary=experiment.summary,
        command=command,
        facts=(("Preset", experiment.preset),),
    )


def _times(experiment: TimingExperiment, machine: Machine, failed: Mapping[str, str]) -> Panel:
    """The methods: seconds, parameters, operations and evaluations."""
    methods = tuple(
        Method(method.name, group=method.group, reason=_reason(experiment, machine, method.name, method.reason, failed))
        for method in experiment.methods
    )
    records = list(_records(experiment, machine.found))
    on_cpu = any(record.key.kind == "cpu" for record in machine.found.values())
    return Panel(
        name=machine.name,
        caption=experiment.caption,
        frame=_frame(experiment, records),
        scales=experiment.scales,
        metrics=(SECONDS, *([CPU_SECONDS] if on_cpu else []), *COUNTED),
        methods=methods,
        warnings=tuple(_warnings(machine)),
        facts=facts(experiment, machine.found),
        flags=_flags(machine.found),
        lr_side=experiment.lr_side,
        interval=INTERVAL,
    )


def _reason(experiment: TimingExperiment, machine: Machine, name: str, declared: str, failed: Mapping[str, str]) -> str:
    if any(method == name for method, _ in machine.found):
        return ""
    return failed.get(name, declared).rstrip(".") or f"not measured yet: casarbi-bench run {experiment.name}"


def _records(experiment: TimingExperiment, found: Found) -> Iterator[dict[str, object]]:
    for method in experiment.methods:
        for scale in experiment.scales:
            record = found.get((method.name, scale))
            about = {"method": method.name, "scale": scale}
            if record is None:
                yield {**about, "metric": SECONDS.name, "source": "missing", **NOT_MEASURED}
                continue
            conditions = _conditions(record, method.model)
            yield {**about, "metric": SECONDS.name, **_median(record.seconds), **conditions}
            if record.key.kind == "cpu":
                yield {**about, "metric": CPU_SECONDS.name, **_median(record.cpu_seconds), **conditions}
            counted: dict[str, float] = {
                "parameters": record.parameters / 1e6,
                **({} if record.flops is None else {"gflop": record.flops / 1e9}),
                "evaluations": record.evaluations,
            }
            for name, value in counted.items():
                yield {**about, "metric": name, "value": value, "source": "measured", **conditions}


def _median(seconds: Sequence[float]) -> dict[str, object]:
    found: Median = median_interval(seconds)
    return {"value": found.value, "ci_low": found.low, "ci_high": found.high, "n": found.n, "source": "measured"}


def _conditions(record: Record, model: str) -> dict[str, object]:
    height, width = record.key.size
    return {**NOT_MEASURED, "model": model, "size": f"{width}x{height}", "key": record.key.hash}


def _cascades(machine: Machine) -> list[str]:
    """Methods whose stages were timed."""
    timed = {method for (method, _), record in machine.found.items() if any(stage.seconds for stage in record.stages)}
    return sorted(timed)


def _stages(experiment: TimingExperiment, machine: Machine, method: str) -> Panel:
    """Stages of a cascade down, scales across."""
    found = {scale: machine.found[method, scale] for scale in experiment.scales if (method, scale) in machine.found}
    count = max(len(record.stages) for record in found.values())
    model = next(row.model for row in experiment.methods if row.name == method)
    records = [
        {
            "method": f"Stage {place}",
            "scale": scale,
            "metric": metric,
            **values,
            **{**_conditions(record, model), "size": f"{stage.size[1]}x{stage.size[0]}"},
        }
        for scale, record in found.items()
        for place, stage in enumerate(record.stages, 1)
        for metric, values in (
            ("seconds", _median(stage.seconds or record.seconds)),  # a single stage is the whole
            ("gflop", {"value": stage.flops / 1e9, "source": "measured"}),
        )
    ]
    return Panel(
        name=f"Stages of {method}, {machine.name}",
        caption=f"The stages of {method} on the way to each scale, each with its evaluations and what precedes them; "
        "in each run they add up to the whole. A scale with fewer stages leaves the others out.",
        frame=_frame(experiment, records),
        scales=experiment.scales,
        metrics=tuple(
            MetricColumn(metric.name, metric.label, None, metric.decimals, note=note)
            for metric, note in ((SECONDS, _outputs(found)), (COUNTED[1], ""))
        ),
        methods=tuple(Method(f"Stage {place}") for place in range(1, count + 1)),
        flags={
            (f"Stage {place}", scale, SECONDS.name): _noisy(record.disturbances)
            for scale, record in found.items()
            for place in range(1, len(record.stages) + 1)
        },
        interval=INTERVAL,
    )


def _outputs(found: Mapping[float, Record]) -> str:
    """Sizes on the way to each scale."""
    ways = [" → ".join(f"{side}" for side in _sides(record)) for record in found.values()]
    return "Sides in pixels: " + "; ".join(ways) + "."


def _sides(record: Record) -> list[int]:
    return [record.key.lr[0], *(stage.size[0] for stage in record.stages)]


def _flags(found: Found) -> dict[tuple[str, float, str], tuple[str, ...]]:
    """What speaks against each time, by method, scale and metric."""
    flags = {}
    for (method, scale), record in found.items():
        flags[method, scale, SECONDS.name] = _noisy(record.disturbances)
        flags[method, scale, CPU_SECONDS.name] = _noisy(record.cpu_disturbances)
    return flags


def _noisy(disturbances: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"Noisy: {sentence}" for sentence in disturbances)


def _warnings(machine: Machine) -> Iterator[str]:
    noisy, count = sum(bool(record.disturbances) for record in machine.found.values()), len(machine.found)
    if noisy:
        yield (
            f"{noisy} of {count} times were measured on a noisy machine, and are marked ‡: they say more of that "
            "moment than of the methods, and no method is ranked by them. Measure again on a quiet one, with --again."
        )


def _frame(experiment: TimingExperiment, records: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    frame = pd.DataFrame(list(records), columns=[*COLUMNS]).assign(
        experiment=experiment.name, preset=experiment.preset, paper_value=math.nan
    )
    numbers = ["value", "ci_low", "ci_high", "n"]
    return frame.astype(dict.fromkeys(numbers, float))[list(COLUMNS)]
