"""How long `casarbi upscale` will take and how much memory it will need, told before the first picture."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from casarbi.scales import Size
from casarbi.sr import SRModel
from casarbi.units import duration, gigabytes

LONG_SECONDS, MUCH_BYTES = 10.0, 2 * 10**9
"""From here on a forecast is worth a line."""
FIRST_SIDE = 48
"""Side in pixels of what the first probe makes; each further one has twice the side."""
PROBE_SECONDS, PROBE_SHARE = 0.4, 0.03
"""A probe is long enough if it took this many seconds, or this share of the forecast, up to `LONGEST_PROBE`."""
LONGEST_PROBE = 1.5
PICTURE_BYTES = 40
"""Per pixel of a result while it is rounded and written: three copies as float32 and one as bytes."""
SAFETY = 2
"""Forecasts of memory are right within this factor."""


@dataclass(frozen=True)
class Forecast:
    """What enlarging some pictures will cost.

    Attributes:
        seconds: for all of them; None if unknown.
        memory_bytes: of the process while the most demanding one is made.
    """

    seconds: float | None
    memory_bytes: int

    @property
    def is_worth_a_line(self) -> bool:
        """Whether it takes so much time or memory that the user should know."""
        return (self.seconds or 0) > LONG_SECONDS or self.memory_bytes > MUCH_BYTES

    def __str__(self) -> str:
        """For people, such as `about 50 s, 1.2 GB of memory`."""
        time_text = "" if self.seconds is None else f"{duration(self.seconds)}, "
        return f"about {time_text}{gigabytes(self.memory_bytes)} of memory"


@dataclass(frozen=True)
class Shortage:
    """A picture that needs more memory than there is; as text, the end of a sentence that begins with its name."""

    size: Size
    needed_bytes: int
    free_bytes: int

    @property
    def is_certain(self) -> bool:
        """Whether it cannot fit even if the forecast is as wrong as it may be."""
        return self.needed_bytes > SAFETY * self.free_bytes

    def __str__(self) -> str:
        return (
            f"needs about {gigabytes(self.needed_bytes)} to become {self.size[1]}x{self.size[0]} px, and "
            f"{gigabytes(self.free_bytes)} are free: ask for a smaller size, or take a model that needs less, such as "
            "-m bicubic"
        )


def shortage(model: SRModel, lr_size: Size, size: Size) -> Shortage | None:
    """The shortage if a picture needs more of the machine's memory than is free; None if it fits or this is unknown."""
    # What the process already holds is not free, so only what comes on top of it is compared.
    free, needed = available_bytes(), added_bytes(model, lr_size, size)
    return Shortage(size, needed, free) if free is not None and needed > free else None


def forecast(model: SRModel, sizes: Sequence[tuple[Size, Size]], device: str) -> Forecast:
    """Estimate what a model costs on pictures, by timing it on small pictures of noise.

    Args:
        model: the method, already on the device.
        sizes: (height, width) of each picture and of its result.
        device: where the model is.
    """
    largest = max(sizes, key=lambda pair: _pixels(pair[1]))
    total = sum(_pixels(size) for _, size in sizes)
    # The process keeps what it takes after the probes, and the most demanding picture comes on top of it.
    seconds = _seconds(model, largest, total, device)
    return Forecast(seconds, resident_bytes() + max(added_bytes(model, *pair) for pair in sizes))


def added_bytes(model: SRModel, lr_size: Size, size: Size) -> int:
    """Memory that the model or writing adds to what the process takes now, while one picture is enlarged."""
    pictures = PICTURE_BYTES * (_pixels(size) + _pixels(lr_size))
    return max(pictures, model.memory_bytes(lr_size, size) or 0)


def _seconds(model: SRModel, largest: tuple[Size, Size], total: int, device: str) -> float | None:
    """Seconds for `total` pixels of results at the scale of the largest picture, by probes of growing size."""
    lr_size, size = largest
    scale = max(side / n for n, side in zip(lr_size, size, strict=True))
    side = FIRST_SIDE
    try:
        probe = _smaller(lr_size, side, scale)
        spent = _probe(model, probe, device)
        # The first call also loads and compiles kernels, which counts for nothing beside a long one alone.
        if spent < LONG_SECONDS:
            spent = _probe(model, probe, device)
        while True:
            # Time is taken as proportional to the output's pixels, which small probes overestimate (fixed costs).
            guess = spent / _pixels(probe[1]) * total
            if guess < LONG_SECONDS / 2:
                return guess
            told = spent >= min(LONGEST_PROBE, max(PROBE_SECONDS, PROBE_SHARE * guess))
            if told or side >= scale * max(lr_size):
                return guess * _growth(model, probe, largest)
            side *= 2
            probe = _smaller(lr_size, side, scale)
            spent = _probe(model, probe, device)
    except Exception:  # a plug-in may refuse so small a picture: then the time is unknown
        return None


def _smaller(lr_size: Size, side: int, scale: float) -> tuple[Size, Size]:
    """Sizes of a probe and of its result, which has about `side` pixels; neither is larger than the picture's."""
    n = max(2, round(side / scale))
    probe = (min(n, lr_size[0]), min(n, lr_size[1]))
    return probe, (round(probe[0] * scale), round(probe[1] * scale))


def _probe(model: SRModel, sizes: tuple[Size, Size], device: str) -> float:
    """Enlarge noise; returns the seconds it took."""
    lr_size, size = sizes
    lr = torch.rand(1, 3, *lr_size, generator=torch.Generator().manual_seed(0)).to(device)
    started = time.perf_counter()
    with torch.inference_mode():
        model.upscale(lr, size, [0]).cpu()
    return time.perf_counter() - started


def _growth(model: SRModel, probe: tuple[Size, Size], largest: tuple[Size, Size]) -> float:
    """How many times the operations of a probe's pixel one of the largest result needs: attention sees all others."""
    small, large = model.work(*probe), model.work(*largest)
    if not small or not large:
        return 1.0  # the model does not say
    per_pixel = [sum(stage.flops for stage in work) for work in (small, large)]
    return per_pixel[1] / _pixels(largest[1]) / (per_pixel[0] / _pixels(probe[1]))


def _pixels(size: Size) -> int:
    return size[0] * size[1]


def resident_bytes() -> int:
    """Memory that this process takes now; 0 if the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def available_bytes() -> int | None:
    """Memory that this process may still take, by the system and by its control group; None if unknown."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024)
    with suppress(OSError, ValueError):
        # In a container /proc/meminfo tells of the whole machine; the limit is the control group's (version 2). "max"
        # is no number and means no limit.
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        found.append(limit - int((group / "memory.current").read_text()))
    return min(found) if found else None
