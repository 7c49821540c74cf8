"""What both command lines print: errors as one sentence, and text that any stream can show.

All text that leaves here goes through `plain.visible`: it may hold names and texts from files, and those must not move
the cursor, set a terminal's title or begin a line that looks like ours.
"""

from __future__ import annotations

import atexit
import errno
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from casarbi.allocator import keep_freed_memory
from casarbi.errors import CasarbiError
from casarbi.files import disk_trouble
from casarbi.plain import PLAIN_SIGNS, visible
from casarbi.stopping import stop_signals

if TYPE_CHECKING:  # rich takes 50 ms to import, which `--help` need not pay
    from rich.console import Console
    from rich.progress import Progress


def make_streams_safe() -> None:
    """Let standard output and error print every string: what their encoding lacks becomes plain signs or escapes.

    No run that took hours may end in a UnicodeEncodeError at its last line, nor may a file name outside the code page.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=PLAIN_SIGNS)


@contextmanager
def visible_warnings() -> Iterator[None]:
    """Print the warnings and logs of libraries, which quote files too, as single lines while the block runs."""
    before, last = warnings.formatwarning, logging.lastResort  # lastResort handles logs that no other handler takes
    warnings.formatwarning = lambda message, *place, **line: f"Warning: {visible(str(message))}\n"
    logging.lastResort = logging.StreamHandler()
    logging.lastResort.setLevel(logging.WARNING)
    logging.lastResort.setFormatter(_LineFormatter("Warning: %(message)s"))
    try:
        yield
    finally:
        warnings.formatwarning, logging.lastResort = before, last


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


class CasarbiGroup(click.Group):
    """A Click group whose commands end in one sentence, never in a traceback, whatever a user or a disk does.

    A CasarbiError prints `Error: sentence` and exits with 1, as do a full disk and a folder that may not be written;
    Ctrl-C prints `stopped` and exits with 130, SIGTERM with 143. Other exceptions are bugs. With CASARBI_TRACEBACK=1
    in the environment errors keep their traceback, which shows the author of a plug-in where it broke.

    Example:
        >>> @click.group(cls=CasarbiGroup)
        ... def main() -> None:
        ...     "Tools."
    """

    def __init__(self, *args: Any, stopped: str = "Stopped.", **kwargs: Any) -> None:
        """Take Click's arguments, and the sentence said after Ctrl-C."""
        super().__init__(*args, **kwargs)
        self.stopped = stopped

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line, on streams that can print everything, with modules of the current folder in reach."""
        make_streams_safe()
        keep_freed_memory()
        atexit.register(gc.freeze)  # or Python walks through all that PyTorch is once more before it ends: 0.3 s
        if "" not in sys.path:
            sys.path.append("")  # for `my_package.module:factory`; last, so that no file there hides a library
        with visible_warnings():
            return super().main(*args, **kwargs)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments; a message that quotes one stays on its line."""
        with _visible_usage():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what a user can mend becomes Click's one-line error."""
        if ctx.parent:
            return self._invoke(ctx)  # only the outermost group knows what is kept
        with stop_signals() as came:
            try:
                return self._invoke(ctx)
            except BaseException as error:
                # A library that was interrupted may raise anything, so the signals decide (see `stop_signals`).
                if not came and not isinstance(error, KeyboardInterrupt):
                    raise
                click.echo(f"\n{self.stopped}", err=True)
                ctx.exit(128 + (came[0] if came else signal.SIGINT))

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            with _visible_usage():
                return super().invoke(ctx)
        except CasarbiError as error:
            if os.environ.get("CASARBI_TRACEBACK"):
                raise
            lines = (str(error), *(f"  {line}" for line in error.lines))
            raise click.ClickException("\n".join(map(visible, lines))) from None
        except OSError as error:
            # A reader that closed the pipe (`| head`) is Click's to answer.
            if error.errno in (None, errno.EPIPE) or os.environ.get("CASARBI_TRACEBACK"):
                raise
            trouble = visible(disk_trouble(error))
            mend = "shorten it" if error.errno == errno.ENAMETOOLONG else "make room, or name another place"
            raise click.ClickException(f"{trouble}: {mend}.") from None


@contextmanager
def _visible_usage() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        error.message = visible(error.message)  # type: ignore[misc]  # final in name: a copy would lose its kind
        raise


def make_console(*, stderr: bool = False) -> Console:
    """A rich console on standard output or error that prints text as it is.

    Square brackets and colons in file names are not taken for markup; tables and bars fall back to ASCII lines if
    the encoding is not UTF-8.
    """
    from rich.console import Console

    make_streams_safe()
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def make_consoles() -> tuple[Console, Console]:
    """Consoles for results and for progress and warnings: standard output and error.

    They are one if both are terminals, because only the console that draws a bar can print above it.
    """
    results, errors = make_console(), make_console(stderr=True)
    return results, results if results.is_terminal and errors.is_terminal else errors


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print one line, however long: a path is never wrapped or cut."""
    console.print(visible(text), style=style, soft_wrap=True)


def echo(text: str, *, err: bool = False) -> None:
    """Print one line on standard output or error, as `say` does, without a rich console."""
    click.echo(visible(text), err=err)


def make_progress(console: Console, *, disable: bool = False, percent: bool = False) -> Progress:
    """A progress bar with count, or percentage, and time left; silent if the console is no terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    # File names in descriptions are neither markup nor emoji, and may hold control characters.
    class Description(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(visible(task.description), style="progress.description")

    columns = (
        Description("", markup=False),
        BarColumn(),
        TaskProgressColumn() if percent else MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=disable or not console.is_terminal)
