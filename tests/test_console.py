"""Errors as sentences, and printing on streams whose encoding lacks signs."""

import io
import logging
import os
import subprocess
import sys
import warnings

import click
import pytest
from click.testing import CliRunner

from casarbi.console import CasarbiGroup, echo, make_console, make_consoles, make_progress, make_streams_safe, say
from casarbi.errors import CasarbiError

HOSTILE = "\x1b]0;title\x07\nError: fine\r\u202e\x9b2J\u2028"
SHOWN = r"\x1b]0;title\x07\nError: fine\r\u202e\x9b2J\u2028"
SIGNS = "a → b × 2 ± 1 … 图.png \udcff"


@click.group(cls=CasarbiGroup)
def tool():
    """A tool."""


@tool.group(cls=CasarbiGroup)
def inner():
    """Nested commands."""


@inner.command()
@click.argument("kind")
def fail(kind):
    errors = {
        "mendable": CasarbiError("The cat sat on it: move the cat."),
        "bug": KeyError("oops"),
        "hostile": CasarbiError(f"In {HOSTILE}", [HOSTILE, "second"]),
        "disk": OSError(28, "No space", HOSTILE),
        "usage": click.UsageError(HOSTILE),
    }
    if kind == "library":
        warnings.warn(HOSTILE, stacklevel=1)
        logging.lastResort.handle(logging.makeLogRecord({"msg": HOSTILE}))  # pytest listens to every logger
        return
    raise errors[kind]


def test_mendable_error_is_one_sentence():
    result = CliRunner().invoke(tool, ["inner", "fail", "mendable"])
    assert result.exit_code == 1
    assert result.output == "Error: The cat sat on it: move the cat.\n"


@pytest.mark.parametrize(
    ("kind", "printed"),
    [
        ("hostile", [f"Error: In {SHOWN}", f"  {SHOWN}", "  second"]),
        ("disk", [f"Error: {SHOWN}: No space: make room, or name another place."]),
        ("usage", [f"Error: {SHOWN}"]),
        ("library", [f"Warning: {SHOWN}"] * 2),
    ],
)
def test_text_from_outside_stays_on_its_line(kind, printed):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *warning, **_: sys.stderr.write(warnings.formatwarning(*warning[:4]))
        result = CliRunner().invoke(tool, ["inner", "fail", kind])
    assert result.output.splitlines()[-len(printed) :] == printed
    assert all(line.isprintable() for line in result.output.split("\n"))


@pytest.mark.parametrize(
    "arguments", [[HOSTILE], ["inner", HOSTILE], ["inner", "fail", "bug", HOSTILE], [f"--{HOSTILE}"]]
)
def test_what_was_typed_stays_on_its_line(arguments):
    result = CliRunner().invoke(tool, arguments)
    assert result.exit_code == 2 and "Error: fine" in result.output
    assert all(line.isprintable() for line in result.output.split("\n"))


def test_say_and_echo_print_one_line(capsys):
    say(make_console(), HOSTILE)
    echo(HOSTILE)
    assert capsys.readouterr().out == f"{SHOWN}\n" * 2


def test_progress_shows_names_as_text(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with make_progress(make_console(stderr=True)) as progress:
        progress.add_task(HOSTILE, total=1)
        progress.refresh()
    assert SHOWN in stream.getvalue() and "\x1b]0" not in stream.getvalue()


def test_bug_keeps_its_traceback():
    assert isinstance(CliRunner().invoke(tool, ["inner", "fail", "bug"]).exception, KeyError)


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("ascii", "a -> b x 2 +/- 1 ... \\u56fe.png \\udcff"),
        ("cp1252", "a -> b × 2 ± 1 … \\u56fe.png \\udcff"),
        ("utf-8", "a → b × 2 ± 1 … 图.png \\udcff"),
    ],
)
def test_every_stream_prints_every_string(monkeypatch, encoding, printed):
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    make_streams_safe()
    print(SIGNS)
    say(make_console(), SIGNS)
    stream.flush()
    assert stream.buffer.getvalue().decode(encoding).splitlines() == [printed, printed]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_tables_and_bars_on_a_poor_code_page(encoding):
    code = (
        "from casarbi.console import *; from rich.table import Table; c = make_console()\n"
        "t = Table('×', 'µ²'); t.add_row('→', '[1]:x:'); c.print(t)\n"
        "c._force_terminal = True\n"
        "with make_progress(c) as p: [None for _ in p.track(range(3), description='[b]…')]"
    )
    env = os.environ | {"PYTHONIOENCODING": encoding}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert b"[1]:x:" in run.stdout and b"->" in run.stdout


def test_say_neither_wraps_nor_reads_markup(capsys):
    path = "/".join(["folder[1]"] * 40) + "/:smile:.png"
    say(make_console(), path)
    assert capsys.readouterr().out == path + "\n"


def test_progress_is_silent_without_a_terminal(capsys):
    with make_progress(make_console(stderr=True)) as progress:
        assert list(progress.track([1, 2])) == [1, 2]
    assert capsys.readouterr().err == ""


def test_lines_are_printed_above_the_bar(monkeypatch):
    """On a terminal, a line printed while a bar is drawn begins on a line of its own."""
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    results, errors = make_consoles()
    with make_progress(errors) as progress:
        for n in progress.track(range(3), description="bar"):
            say(results, f"line {n}")
            progress.refresh()
    printed = [line.rsplit("\x1b[2K")[-1] for line in stream.getvalue().splitlines()]
    assert [line for line in printed if "line" in line] == ["line 0", "line 1", "line 2"]
