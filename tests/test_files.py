"""Drafts: what is left of killed writes goes, what is still being written stays, and nobody writes without one."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from casarbi.files import replacing, sweep_drafts

KILLED = """
import os, signal, sys
from pathlib import Path
from casarbi.files import replacing
with replacing(Path(sys.argv[1])) as draft:
    draft.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_draft_of_a_killed_process_is_swept_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)]).returncode != 0
    assert len(list(tmp_path.iterdir())) == 2
    assert len(sweep_drafts(tmp_path)) == 1
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "old"


def test_a_draft_in_hand_is_not_swept(tmp_path):
    with replacing(tmp_path / "a.json") as draft:
        draft.write_text("new")
        assert sweep_drafts(tmp_path) == []
    assert (tmp_path / "a.json").read_text() == "new"


@pytest.mark.parametrize(
    "name",
    [
        ".casarbi-0123abcd-1-89abcdef.tmp",  # of another machine
        ".step-00000004.snapshot.safetensors-4000000.tmp",
        ".01234567890123456789-89abcdef.npz",
        ".01234567890123456789-89abcdef.json.01234567",
    ],
)
def test_a_draft_of_unknown_origin_is_swept_after_a_day(tmp_path, name):
    draft = tmp_path / name
    draft.touch()
    assert sweep_drafts(tmp_path) == []
    os.utime(draft, (time.time() - 90_000,) * 2)
    assert sweep_drafts(tmp_path) == [draft]


@pytest.mark.parametrize("name", [".hidden", "a.tmp", ".npz", ".a.json", ".casarbi-x.tmp"])
def test_other_files_are_never_swept(tmp_path, name):
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (0, 0))
    assert sweep_drafts(tmp_path) == [] and sweep_drafts(tmp_path / "missing") == []


def test_a_name_as_long_as_the_system_allows_can_be_replaced(tmp_path):
    with replacing(tmp_path / ("x" * 255)) as draft:
        draft.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["x" * 255]


PROJECT = Path(__file__).parents[1]
# The one safe write, the log that rows are appended to, and the log of the commands that `make gpu` runs.
WRITERS = {"casarbi/files.py", "casarbi/training/logs.py", "benchmarks/speed/gpu.py"}


def own_writes(source: str) -> list[str]:
    """Calls that write or move a file by themselves, and not into the `draft` of a `with replacing(…)`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute | ast.Name):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        modes = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        opened = name == "open" and any(set(mode) & set("wax") for mode in modes)
        placed = name in ("rename", "mkstemp", "NamedTemporaryFile", "write_text", "write_bytes")
        if owner != "draft" and (opened or placed or (owner, name) == ("os", "replace")):
            found.append(ast.unparse(node))
    return found


def test_every_file_is_written_through_a_draft():
    packages = (PROJECT / name for name in ("casarbi", "baselines", "benchmarks", "reports"))
    paths = [path for package in packages for path in sorted(package.rglob("*.py"))]
    writes = {path.relative_to(PROJECT).as_posix(): own_writes(path.read_text("utf-8")) for path in paths}
    assert {name for name, calls in writes.items() if calls} == WRITERS
