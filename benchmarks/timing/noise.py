"""Whether a measurement was disturbed: three rules, none of which needs to know what else ran."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

MOST_SPREAD = 0.10
"""Largest distance between the quartiles of the repeats, by their median."""
LEAST_SHARE = 0.90
"""Smallest part of the time on a CPU in which this process computed."""
MOST_OTHERS = 0.25
"""Largest part of the cores that other processes kept busy: they share caches, memory and clock rate with this one."""


def disturbances(seconds: Sequence[float], cpu_share: float, others: float, cores: int) -> Iterator[str]:
    """What speaks against a measurement, as sentences without their end; nothing if it was not disturbed.

    Args:
        seconds: of each run.
        cpu_share: part of the time in which this process computed; NaN where that says nothing, because a GPU computes
            while its process waits.
        others: cores that other processes kept busy; NaN if unknown.
        cores: of the machine.
    """
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    if high - low > MOST_SPREAD * median:
        yield f"the runs spread by more than {_percent(MOST_SPREAD)} between their quartiles"
    if cpu_share < LEAST_SHARE:
        yield f"the process had a core for less than {_percent(LEAST_SHARE)} of the time"
    if others > MOST_OTHERS * cores:
        yield f"other processes kept more than {_percent(MOST_OTHERS)} of the cores busy"


def _percent(part: float) -> str:
    return f"{100 * part:g} %"
