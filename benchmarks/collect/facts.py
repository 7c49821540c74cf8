"""Lines under a table: what was measured, by what, on which machines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmarks.collect.comparisons import paired_facts
from benchmarks.collect.panel import PanelResults
from benchmarks.experiments import PanelSpec
from benchmarks.job import Bench
from benchmarks.survey import span
from casarbi.scales import scale_label
from reports.document import Facts

_NOISE = {
    "shared": "shared: one seed per image, and its scales share noise as far as the method does",
    "independent": "independent: a seed per image and scale, so no two scales share noise",
}


def facts(results: PanelResults) -> Facts:
    """Data, protocol, methods, metrics, paired differences and machines of a panel."""
    bench, spec = results.bench, results.spec
    lines = data_facts(bench)
    if any(metric.between_scales for metric in bench.metrics.values()):
        lines.append(("Noise", _NOISE[spec.noise]))
    lines += method_facts(bench, spec)
    # A changed backbone must be seen, so the hash of a metric's weights stands beside its description.
    for name, metric in bench.metrics.items():
        sha = metric.identity.get("sha256") or metric.identity.get("weights")
        lines.append((name, metric.info.description + (f"; weights {str(sha)[:12]}" if sha else "")))
    lines += [*paired_facts(results), *_machine_facts(results)]
    return tuple(lines)


def data_facts(bench: Bench) -> list[tuple[str, str]]:
    """Data and protocol of a job."""
    dataset, protocol = bench.dataset, bench.job.protocol
    return [
        ("Data", f"{bench.job.data}: {len(bench.digests)} images, fingerprint {dataset.fingerprint[:12]}"),
        *(("Data note", note) for note in dataset.notes),
        ("Protocol", f"{protocol.name} ({protocol.hash[:12]}): {protocol.about}"),
    ]


def method_facts(bench: Bench, spec: PanelSpec) -> Iterator[tuple[str, str]]:
    """Model, weights, parameters and licence of each method that opens."""
    for row in spec.methods:
        model = bench.model(row.model) if row.model else None
        if model:
            info = model.info
            trained = f", trained for x{_range(info.trained_scales)}" if info.trained_scales else ""
            parts = f"{row.model}; weights {info.weights}; {info.parameters:,} parameters{trained}; {info.licence}"
            yield row.name, parts


def _machine_facts(results: PanelResults) -> list[tuple[str, str]]:
    """Devices, versions and commits that made the numbers; more than one of a kind is worth knowing."""
    bench = results.bench
    # From every part behind the numbers: a store may have been filled on several machines, over weeks.
    headers = [
        header
        for method in bench.methods
        for scale in bench.job.scales
        for header in results.store.cell(bench.key(method, scale)).headers()
    ]
    cells = [results.rows(method, scale) for method in bench.methods for scale in bench.job.scales]
    dates = {date for rows in cells for row in rows if row for date in row.dates}
    devices = sorted({header.device for header in headers})
    versions = sorted({", ".join(f"{k} {v}" for k, v in header.versions.items()) for header in headers})
    # Twelve digits, and whether files differed from the commit.
    commits = sorted({re.sub(r"(?<=^.{12})[0-9a-f]*", "", header.commit) for header in headers})
    lines = [
        ("Date measured", span(dates) if dates else ""),
        ("Device", "; ".join(devices)),
        ("Versions", "; ".join(versions)),
        ("Commit", ", ".join(commits)),
    ]
    return [line for line in lines if line[1]]


def _range(scales: tuple[float, float]) -> str:
    return "–".join(scale_label(scale) for scale in scales)
