"""How worker processes start: from a server process that imports what they need while the command itself starts."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext

_PRELOADED = ["benchmarks.evaluate"]


def worker_context() -> BaseContext:
    """Context of worker processes: forked from a clean server if the system has one, else started from nothing.

    Never forked from this process, whose threads (torch, progress bars) a fork would leave locked.
    """
    kinds = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in kinds else "spawn")


def start_server() -> None:
    """Start the server process now, so that its seconds of imports pass beside ours; without a server, do nothing."""
    context = worker_context()
    if context.get_start_method() == "forkserver":
        from multiprocessing import forkserver

        context.set_forkserver_preload(_PRELOADED)
        with interrupts_ignored():
            forkserver.ensure_running()


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Let processes that start inside ignore Ctrl-C from their first moment: it is this process that ends them.

    Without it, Ctrl-C during their imports would print a traceback each.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it receives Ctrl-C
        return
    # A child takes over what its parent ignores at its start.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
