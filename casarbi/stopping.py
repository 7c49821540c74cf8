"""Ctrl-C and SIGTERM, as a scheduler or `kill` sends it, end a command in the same way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """While the block runs, SIGTERM raises KeyboardInterrupt as Ctrl-C does; yields the signals that came.

    A library whose import is interrupted may turn the exception into one of its own, so that whoever ends the command
    should look at the list and not at the kind of exception. A signal that is ignored from outside stays ignored.
    """
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # only there may handlers be set
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stop)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
