"""Errors as sentences, and printing on streams whose encoding lacks signs."""

import io
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from casarbi.console import CasarbiGroup, make_console, make_consoles, make_progress, make_streams_safe, say
from casarbi.errors import CasarbiError

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
    raise {"mendable": CasarbiError("The cat sat on it: move the cat."), "bug": KeyError("oops")}[kind]


def test_mendable_error_is_one_sentence():
    result = CliRunner().invoke(tool, ["inner", "fail", "mendable"])
    assert result.exit_code == 1
    assert result.output == "Error: The cat sat on it: move the cat.\n"


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
