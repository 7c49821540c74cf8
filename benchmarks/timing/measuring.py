"""One measurement: a method enlarges one image again and again, in this process and on this device, and is timed."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.timing.declaration import Rule
from casarbi.costs import StageWork
from casarbi.scales import Size
from casarbi.sr import SRModel

SEED = 0
"""Of the LR image, which is noise, and of the sampling: no time depends on what is on a picture."""


class Readings(NamedTuple):
    """What the clocks show, in seconds.

    Attributes:
        wall: time.
        cpu: time that this process has computed, over all its threads.
        busy: time that all cores have computed, for whatever process; NaN if the system does not tell.
    """

    wall: float
    cpu: float
    busy: float


class Meter:
    """The machine's clocks."""

    def wall(self) -> float:
        """The time alone."""
        return time.perf_counter()

    def read(self) -> Readings:
        """All of them."""
        return Readings(self.wall(), time.process_time(), busy_seconds())


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        seconds: of each run.
        cpu_seconds: that this process computed in each run, over all its threads.
        stages: seconds of each stage, in each run; empty if the method does not tell when a stage ends.
        warmups: runs before those.
        others: cores that other processes kept busy meanwhile; NaN if the system does not tell.
    """

    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    stages: tuple[tuple[float, ...], ...]
    warmups: int
    others: float


def measure(
    model: SRModel, lr: Size, size: Size, rule: Rule, device: str = "cpu", meter: Meter | None = None
) -> Measurement:
    """Time a method on one image, from the LR image on the device to the output there.

    A run that warms up is not counted, unless it takes all the time that there is: so long a run needs no warm-up.
    On a CUDA device times are those of its own clock (events), on others the system's.

    Args:
        model: on the device.
        lr: (h, w) of the image.
        size: (H, W) of the output.
        rule: how often.
        device: where.
        meter: clocks.
    """
    meter = meter or Meter()
    image = torch.rand(1, 3, *lr, generator=torch.Generator().manual_seed(SEED)).to(device)
    ends = _ends(model.work(lr, size) or ())

    def run() -> _Run:
        before = meter.read().cpu
        stages = _timed_run(model, image, size, _Stopwatch(device, meter), ends)
        return _Run(stages, meter.read().cpu - before)

    with _threads(rule.threads):
        began, runs, warmups = meter.read(), [run()], 0
        if runs[0].seconds <= rule.seconds:
            began, runs, warmups = meter.read(), [run()], 1
            while len(runs) < rule.repeats and _expected(runs) <= rule.seconds:
                runs.append(run())
        ended = meter.read()
    wall, cpu = ended.wall - began.wall, ended.cpu - began.cpu
    staged = len(ends) > 1 and all(len(run.stages) == len(ends) for run in runs)
    return Measurement(
        seconds=tuple(run.seconds for run in runs),
        cpu_seconds=tuple(run.cpu_seconds for run in runs),
        stages=tuple(zip(*(run.stages for run in runs), strict=True)) if staged else (),
        warmups=warmups,
        others=max((ended.busy - began.busy - cpu) / wall, 0.0),  # in this order NaN stays NaN
    )


class _Run(NamedTuple):
    """Seconds of each stage of one run, and those that the process computed in all of it."""

    stages: list[float]
    cpu_seconds: float

    @property
    def seconds(self) -> float:
        return sum(self.stages)


def _expected(runs: Sequence[_Run]) -> float:
    """Seconds in all if one more run takes as long as the others."""
    seconds = [run.seconds for run in runs]
    return sum(seconds) + statistics.median(seconds)


def _ends(work: Sequence[StageWork]) -> tuple[int, ...]:
    """Number of network evaluations after which each stage is done."""
    return tuple(accumulate(stage.evaluations for stage in work))


def _timed_run(
    model: SRModel, image: torch.Tensor, size: Size, watch: _Stopwatch, ends: tuple[int, ...]
) -> list[float]:
    """Seconds of each stage of one run; of the whole run if the method reports otherwise than once per evaluation."""
    model.progress = lambda share: watch.mark()
    try:
        watch.mark()
        model.upscale(image, size, [SEED])
        watch.mark()
    finally:
        model.progress = None
    marks = watch.seconds()
    # The first mark is the beginning, then one for each evaluation, and one at the end: the last stage ends there.
    if len(ends) > 1 and len(marks) == ends[-1] + 2:
        return [b - a for a, b in pairwise([marks[0], *(marks[end] for end in ends[:-1]), marks[-1]])]
    return [marks[-1] - marks[0]]


class _Stopwatch:
    """Marks moments; on a CUDA device by events, so that marking makes nothing wait."""

    def __init__(self, device: str, meter: Meter) -> None:
        self.device, self.meter = torch.device(device), meter
        self.events: list[torch.cuda.Event] = []
        self.times: list[float] = []

    def mark(self) -> None:
        """Mark this moment: of the device's work so far on CUDA, of the clock elsewhere."""
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self.device))
            self.events.append(event)
        else:
            if self.device.type == "mps":
                torch.mps.synchronize()
            self.times.append(self.meter.wall())

    def seconds(self) -> list[float]:
        """The moments, in seconds."""
        if not self.events:
            return self.times
        torch.cuda.synchronize(self.device)
        return [self.events[0].elapsed_time(event) / 1000 for event in self.events]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads in torch, which computes all that takes time, and algorithms as for the other tables."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(before)


def busy_seconds() -> float:
    """Seconds that all cores together have computed, since the machine began; NaN without a /proc/stat."""
    try:
        with Path("/proc/stat").open(encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return math.nan
    # user, nice, system, idle, iowait, irq, softirq, steal: what a host takes from this machine counts as busy.
    return (sum(ticks) - sum(ticks[3:5])) / os.sysconf("SC_CLK_TCK")
