"""What the C library does with memory that a program frees."""

from __future__ import annotations

import ctypes
import os
import sys

# Numbers of glibc's malloc.h. Blocks above the second bound still go back to the system at once.
_BOUNDS = {
    "MALLOC_TRIM_THRESHOLD_": (-1, 512 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": (-3, 32 * 2**20),
}


def keep_freed_memory() -> None:
    """Let this process, and those it starts, keep what they free for what they need next.

    glibc gives the system back what a network's layer leaves, and the next layer gets it page by page, each made empty
    first: up to a quarter of a denoiser's time. Bounds that the environment sets stand; other C libraries are left
    alone.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return
    for name, (parameter, value) in _BOUNDS.items():
        if name not in os.environ:
            os.environ[name] = str(value)  # glibc reads it where a process starts
            library.mallopt(parameter, value)
