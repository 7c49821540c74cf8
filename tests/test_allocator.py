"""Memory that is freed stays with the process and with those it starts; what the user sets stands."""

import platform
import subprocess
import sys

import pytest
from programs import environment

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone")

# MiB that a process still holds of 4 x 31 MiB that it freed.
HELD = """
import torch
def mebibytes():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 // 2**20
before = mebibytes()
tensors = [torch.ones(31 * 2**18) for _ in range(4)]
del tensors
print(mebibytes() - before)
"""
KEEP = "from casarbi.allocator import keep_freed_memory; keep_freed_memory()\n"
IN_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HELD!r}], check=True)"


def held(code, **variables):
    env = environment()
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        env.pop(name, None)  # a command line that was tried in this process has set them
    done = subprocess.run(
        [sys.executable, "-c", code], env={**env, **variables}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_freed_memory_stays_for_what_comes_next():
    assert held(HELD) < 20
    assert held(KEEP + HELD) > 100


def test_a_process_that_is_started_keeps_it_too():
    assert held(KEEP + IN_A_CHILD) > 100


def test_what_the_environment_sets_stands():
    assert held(KEEP + HELD, MALLOC_TRIM_THRESHOLD_="0", MALLOC_MMAP_THRESHOLD_="65536") < 20
