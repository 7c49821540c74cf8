"""What a person sees of a training run: a bar with loss and time left, or off a terminal a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from casarbi.console import make_progress, say
from casarbi.units import duration

LINE_SECONDS = 30.0


class Reporter(Protocol):
    """Who is told of a run's progress."""

    def start(self, done: int, total: int) -> None:
        """The loop begins."""

    def step(self, done: int, loss: float) -> None:
        """A step is done; `loss` is its loss, maybe NaN."""

    def note(self, text: str, *, warning: bool = False) -> None:
        """Something worth a line."""


class SilentReporter:
    """Tells nobody, for tests and other ranks than the first."""

    def start(self, done: int, total: int) -> None:
        """Do nothing."""

    def step(self, done: int, loss: float) -> None:
        """Do nothing."""

    def note(self, text: str, *, warning: bool = False) -> None:
        """Do nothing."""


class ConsoleReporter:
    """Tells a console; use it in a `with` block, which clears the bar."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[words]}", markup=False),
        )
        self.console = console
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.bar_task = self.bar.add_task("training", total=None, words="")
        self.loss = float("nan")
        self.first, self.total, self.started = 0, 0, 0.0
        self.said = 0.0

    def __enter__(self) -> ConsoleReporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def start(self, done: int, total: int) -> None:
        """Begin the bar."""
        # Not before: rich below 14.1 refuses a second live display, and making the pictures has a bar of its own.
        self.bar.start()
        self.first, self.total, self.started = done, total, time.monotonic()
        self.bar.reset(self.bar_task, total=total, completed=done, words="")

    def step(self, done: int, loss: float) -> None:
        """Move the bar, whose loss is smoothed over about 50 steps; off a terminal, say a line every half minute."""
        if loss == loss:  # not NaN
            self.loss = loss if self.loss != self.loss else 0.98 * self.loss + 0.02 * loss
        now = time.monotonic()
        rate = (done - self.first) / max(now - self.started, 1e-9)
        left = (self.total - done) / rate if rate else 0.0
        words = f"loss {self.loss:.4f}  {rate:.2f} steps/s  {duration(left)} left"
        self.bar.update(self.bar_task, completed=done, words=words)
        if not self.console.is_terminal and now - self.said >= LINE_SECONDS:
            self.said = now
            say(self.console, f"step {done:,} of {self.total:,}  {words}")

    def note(self, text: str, *, warning: bool = False) -> None:
        """Print a line above the bar."""
        say(self.console, f"Warning: {text}" if warning else text, style="yellow" if warning else None)


class CacheBar:
    """Bar for making the cache of pictures, which may take minutes; off a terminal, a line now and then."""

    def __init__(self, console: Console) -> None:
        self.console, self.bar = console, make_progress(console)
        self.bar_task: TaskID | None = None
        self.said = 0.0

    def __enter__(self) -> CacheBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Say how many pictures are done."""
        if self.bar_task is None:
            self.bar.start()
            self.bar_task = self.bar.add_task("making pictures", total=total)
        self.bar.update(self.bar_task, completed=done)
        if not self.console.is_terminal and time.monotonic() - self.said >= LINE_SECONDS:
            self.said = time.monotonic()
            say(self.console, f"making pictures, once: {done:,} of {total:,}")
        if done == total:
            self.bar.stop()
            self.bar.remove_task(self.bar_task)
            self.bar_task = None
