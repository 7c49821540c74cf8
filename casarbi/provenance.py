"""What made a result: the commit of the code and the command."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path


def git_commit() -> str:
    """Commit of this checkout, with "-dirty" if files were changed since; "unknown" outside a checkout."""
    folder = Path(__file__).parents[1]
    if not (folder / ".git").exists():  # installed inside another project's checkout, whose commit says nothing
        return "unknown"
    try:
        command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def command_line() -> str:
    """The command that runs, as one would type it."""
    module = sys.modules["__main__"].__spec__  # of python -m MODULE, whose first argument is merely a file's name
    program = ["python", "-m", module.name] if module else [Path(sys.argv[0]).name]
    return shlex.join([*program, *sys.argv[1:]])
