"""Races between our code and a library's: interleaved in one run, one thread, judged by their ratio alone.

Run with `make bench`. No absolute time is asserted, and none should be compared across machines: device, threads and
versions stand beside each figure.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from threadpoolctl import threadpool_limits

from benchmarks.machine import processor_name

Race = Callable[..., float]
_RESULTS = pytest.StashKey[list[str]]()
_TOLD = pytest.StashKey[list[str]]()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Torch, BLAS and OpenMP on one thread each, as evaluation workers run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture
def race(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Race:
    """Time ours and theirs in turn; returns the ratio of the medians and notes it in the benchmark's extra info."""

    def run(ours: Callable[[], object], theirs: Callable[[], object], target: float, rounds: int = 10) -> float:
        their_seconds: list[float] = []

        def time_theirs() -> None:
            start = time.perf_counter()
            theirs()
            their_seconds.append(time.perf_counter() - start)

        # Interleaved: the library runs before each of our rounds, so a slow moment of the machine meets both.
        benchmark.pedantic(ours, setup=time_theirs, rounds=rounds, warmup_rounds=1)
        del their_seconds[0]  # the warm-up's
        our_median, their_median = statistics.median(benchmark.stats.stats.data), statistics.median(their_seconds)
        ratio = our_median / their_median
        verdict = "met" if ratio <= target else "missed"
        benchmark.extra_info.update(
            ratio=round(ratio, 4), target=target, theirs_median_s=their_median, threads=1, **_machine()
        )
        request.config.stash.setdefault(_RESULTS, []).append(
            f"{request.node.name}: {our_median * 1e3:.1f} ms to {their_median * 1e3:.1f} ms, "
            f"ratio {ratio:.3f} (target {target:g}: {verdict})"
        )
        return ratio

    return run


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say a line at the end of the session."""
    return request.config.stash.setdefault(_TOLD, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the ratios, and what was told."""
    if lines := config.stash.get(_TOLD, []):
        terminalreporter.section("on this machine; faces from 16 x 16, metrics at 192 x 192")
        terminalreporter.line(", ".join(f"{key} {value}" for key, value in _machine().items()))
        for line in lines:
            terminalreporter.line(line)
    if lines := config.stash.get(_RESULTS, []):
        terminalreporter.section("ours to theirs, medians, one thread")
        terminalreporter.line(", ".join(f"{key} {value}" for key, value in _machine().items()))
        for line in lines:
            terminalreporter.line(line)


def _machine() -> dict[str, str]:
    libraries = ("torch", "numpy", "scipy", "scikit-image", "pytorch-fid")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor_name()
    return {"device": device, **{name: version(name) for name in libraries}}
