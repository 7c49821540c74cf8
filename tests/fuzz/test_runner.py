"""The judge itself: each fault is seen, and what is in order is not called a fault."""

import os
import sys

import pytest

from casarbi.errors import CasarbiError
from fuzz.runner import TRAP, Case, Limits, judge

LIMITS = Limits(seconds=1.0, growth_bytes=2**25)


def naughty(path):
    """Do what the file's name says."""
    what = path.stem
    if what == "refused":
        raise CasarbiError("No.")
    if what == "wordy":
        raise CasarbiError("No. " * 1000)
    if what == "traceback":
        raise ValueError("bug")
    if what == "exit":
        sys.exit(0)
    if what == "dies":
        os._exit(3)
    if what == "imports":
        __import__(TRAP)
    if what == "system":
        try:
            os.system("true")
        except OSError:
            raise CasarbiError("Hidden.") from None
    while what == "hangs":
        pass
    if what == "grows":
        hoard = []
        while True:
            hoard.append(b"x" * 2**22)


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("wordy", "unclear"),
        ("traceback", "traceback"),
        ("exit", "traceback"),
        ("dies", "traceback"),
        ("imports", "code run"),
        ("system", "code run"),
        ("hangs", "slow"),
        ("grows", "large"),
    ],
)
def test_faults_are_seen_and_the_next_case_is_opened(tmp_path, what, kind):
    counts = judge([Case(what, b"x"), Case("fine", b"")], naughty, tmp_path, LIMITS)
    assert [fault.kind for fault in counts.faults] == [kind], counts
    assert (counts.files, counts.loaded, counts.refused) == (2, 1, 0)
    assert counts.faults[0].path.read_bytes() == b"x"


def test_files_and_folders_are_opened_and_removed(tmp_path):
    seen = tmp_path / "seen"
    cases = [Case("folder", {"a/b.json": b"{}", "c": b""}), Case("refused", b"")]

    def look(path):
        naughty(path)
        seen.write_text(str(sorted(p.relative_to(path).as_posix() for p in path.rglob("*"))))

    counts = judge(cases, look, tmp_path / "work")
    assert (counts.loaded, counts.refused, counts.faults) == (1, 1, []), counts
    assert seen.read_text() == "['a', 'a/b.json', 'c']"
    assert [path.name for path in (tmp_path / "work" / "cases").iterdir()] == [f"{TRAP}.py"]
