"""What a file says about the command that made it."""

import subprocess
import sys

import pytest

PRINTS = "from casarbi.provenance import command_line\nprint(command_line())\n"


@pytest.mark.parametrize(
    ("start", "expected"),
    [(["-m", "my_package.tool"], "python -m my_package.tool 'a b' c"), (["bin/tool"], "tool 'a b' c")],
)
def test_the_command_can_be_typed_again(tmp_path, start, expected):
    for folder, name in (("my_package", "tool.py"), ("bin", "tool")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(PRINTS)
    done = subprocess.run([sys.executable, *start, "a b", "c"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == expected, done.stderr
