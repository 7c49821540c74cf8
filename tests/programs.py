"""Commands that tests start in processes of their own, and whether all of these have ended."""

import os
import subprocess
import time
from pathlib import Path

TESTS = Path(__file__).parent
PROJECT = TESTS.parent


def environment(*folders: Path, **variables: str) -> dict[str, str]:
    """The environment of a command that uses `toys`, or a module of other folders of tests, with one thread.

    The project comes before tests/, whose folders mirror the packages and would hide them.
    """
    path = os.pathsep.join(map(str, (PROJECT, TESTS, *folders)))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **variables}


def ends(group: int, seconds: float = 20) -> bool:
    """Whether all processes of a group end in time; one that is dead and not yet reaped has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        states = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True).stdout.splitlines()
        if not any(line.split()[0] == str(group) and "Z" not in line.split()[1] for line in states):
            return True
        time.sleep(0.1)
    return False
