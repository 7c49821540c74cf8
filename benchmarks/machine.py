"""Names of the machine's parts, which stand beside every figure: times of one machine say nothing of another."""

from __future__ import annotations

import platform
from pathlib import Path

import torch


def processor_name() -> str:
    """Name of the processor: where Linux keeps it, else what Python knows."""
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
