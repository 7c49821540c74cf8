"""The machine: names of its parts, which stand beside every number because times differ, and memory in use."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def processor_name() -> str:
    """Name of the processor: from /proc/cpuinfo on Linux, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def device_name(device: str) -> str:
    """Name of what a torch device such as "cpu" or "cuda:1" is."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"CPU ({processor_name()}, {platform.machine()})"


def library_versions() -> dict[str, str]:
    """Versions of what decides values and times; "" if one is not installed."""
    return {name: _version(name) for name in ("casarbi", "torch", "numpy", "pillow")}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def peak_memory_bytes() -> int:
    """Most memory that this process has held so far; 0 if the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
