"""What people see while they wait: a first line at once, then a bar for each thing that takes long."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from casarbi.console import make_console, make_progress

if TYPE_CHECKING:
    from rich.progress import Progress


class Bars(AbstractContextManager["Bars"]):
    """Progress bars on standard error, one per thing; nothing is drawn if it is no terminal.

    Example:
        >>> with Bars() as bars:
        ...     advance = bars("Reading the store", 2)
        ...     advance(1)
    """

    def __init__(self) -> None:
        self._drawn: Progress | None = None

    def __call__(self, what: str, total: int) -> Callable[[int], None]:
        """Begin a bar of `total` steps; returns the function to call with the number of steps just done."""
        # Drawn only when something begins: a command that ends at once shows no bar.
        if self._drawn is None:
            self._drawn = make_progress(make_console(stderr=True))
            self._drawn.start()
        drawn, task = self._drawn, self._drawn.add_task(what, total=total)
        return lambda done: drawn.advance(task, done)

    def clear(self) -> None:
        """Take the bars away, so that lines can be printed."""
        if self._drawn is not None:
            self._drawn.stop()
            self._drawn = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
