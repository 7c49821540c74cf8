"""The time that a session may take, counted from the start of the command, and what its parts take of it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = 0.25
"""Part of the limit that is kept for the pictures of a stop, at most."""
PICTURE_STEPS = 4
"""A validation picture takes as long as one to five steps, measured over the presets here."""
LEAVING_SECONDS = 3.0
"""Ending a process that has loaded torch takes so long on a busy machine; at most a twentieth of the limit is kept."""


class Clock:
    """Says when to stop so that whatever a stop writes is written within the limit.

    Attributes:
        took: seconds of the last "snapshot" and "validation", and of a "step" on average.
    """

    def __init__(self, began: float, minutes: float | None) -> None:
        """Take the time.monotonic() at which the command began, and the limit if there is one."""
        self.limit = math.inf if minutes is None else 60 * minutes
        self.end = began + self.limit - min(0.05 * self.limit, LEAVING_SECONDS)
        self.took: dict[str, float] = {}
        self._began = began

    def left(self) -> float:
        """Seconds for work up to the limit, below 0 after it; infinite without one."""
        return self.end - time.monotonic()

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Measure the block."""
        self._began = time.monotonic()
        yield
        seconds = time.monotonic() - self._began
        # Steps vary with the batch they wait for; the other parts do not.
        smooth = part == "step" and part in self.took
        self.took[part] = (self.took[part] + seconds) / 2 if smooth else seconds

    def picture_seconds(self, count: int) -> float:
        """About how long one of `count` validation pictures takes."""
        # Before the first validation, a guess from the time of a step.
        validation = self.took.get("validation")
        return PICTURE_STEPS * self._step_seconds() if validation is None else validation / count

    def _step_seconds(self) -> float:
        return self.took.get("step") or time.monotonic() - self._began

    def is_up(self) -> bool:
        """Whether another step, and then what a stop writes, would go beyond the limit; ask it during a step."""
        if self.limit == math.inf:
            return False
        # A stop writes a snapshot, the weights and, if there is time, pictures.
        pictures = min(SHARE * self.limit, 1.2 * self.picture_seconds(1))
        # The weights of a stop take no longer than its snapshot, which holds them four times.
        return self.left() < self._step_seconds() + 2 * self.took.get("snapshot", 0.0) + pictures
