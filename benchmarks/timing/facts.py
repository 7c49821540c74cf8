"""Lines under a table of times: what was run, how often, and on what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.survey import span
from benchmarks.timing.declaration import TimingExperiment
from benchmarks.timing.records import Record
from benchmarks.untrained import is_untrained
from casarbi.scales import scale_label
from reports.document import Facts


def facts(experiment: TimingExperiment, found: Mapping[tuple[str, float], Record]) -> Facts:
    """Facts of the records of one machine, by method and scale."""
    lines = [
        ("Input", f"one image of {experiment.lr_side}x{experiment.lr_side} px, of noise, the same for every method")
    ]
    for method in experiment.methods:
        if method.model:
            random = "; random weights, which take as long as trained ones" if is_untrained(method.model) else ""
            lines.append((method.name, f"{method.model}{random}"))
    lines.append(
        (
            "Runs",
            f"one that warms up, then as many as fit into {experiment.rule.seconds:g} s, at most "
            f"{experiment.rule.repeats}; a run that takes longer than that is the only one, and counts",
        )
    )
    if found:
        lines.append(("Counted runs", "; ".join(_counts(experiment, found))))
    lines += [(label, text) for label, text in _machine(list(found.values())) if text]
    return tuple(lines)


def _counts(experiment: TimingExperiment, found: Mapping[tuple[str, float], Record]) -> Iterator[str]:
    for method in experiment.methods:
        counts = [
            f"×{scale_label(scale)} {len(found[method.name, scale].seconds)}"
            for scale in experiment.scales
            if (method.name, scale) in found
        ]
        if counts:
            yield f"{method.name} {', '.join(counts)}"


def _machine(records: list[Record]) -> Iterator[tuple[str, str]]:
    """What measured; more than one of a kind is worth knowing."""
    yield "Arithmetic", "float32 without TF32, unless a reference says precision=" if records else ""
    yield "Device", _different(record.key.machine for record in records)
    yield "Cores", _different(str(record.cores) for record in records)
    yield "Clocks", _different(record.clocks for record in records)
    busy = [record.others for record in records if record.others is not None]
    yield "Other processes", f"kept {min(busy):.2f} to {max(busy):.2f} cores busy meanwhile" if busy else ""
    yield "Date measured", span({record.when[:10] for record in records}) if records else ""
    yield "Versions", _different(", ".join(f"{k} {v}" for k, v in record.versions.items()) for record in records)
    yield "Commit", _different(record.commit[:12] for record in records)


def _different(texts: Iterator[str]) -> str:
    return "; ".join(sorted(set(texts)))
