"""What a machine tells of its clock rates, which decide times as much as its name does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import torch

CPU = Path("/sys/devices/system/cpu/cpu0/cpufreq")
ASKED = "clocks.sm,clocks.max.sm,clocks.mem,temperature.gpu,utilization.gpu"


def clock_facts(device: str) -> str:
    """Clock rates of a device right now, as a text; "not readable" if the system tells nothing."""
    kind = torch.device(device).type
    facts = _gpu_facts(torch.device(device)) if kind == "cuda" else _cpu_facts() if kind == "cpu" else ""
    return facts or "not readable"


def _cpu_facts() -> str:
    governor, most = _read(CPU / "scaling_governor"), _read(CPU / "cpuinfo_max_freq")
    now = [float(rate) for rate in re.findall(r"^cpu MHz\s*:\s*([\d.]+)", _read(Path("/proc/cpuinfo")), re.MULTILINE)]
    parts = [
        f"governor {governor}" if governor else "",
        f"at most {int(most) // 1000} MHz" if most.isdigit() else "",
        f"{min(now):.0f} to {max(now):.0f} MHz when measured" if now else "",
    ]
    return ", ".join(part for part in parts if part)


def _gpu_facts(device: torch.device) -> str:
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    chosen = ["-i", f"GPU-{uuid}"] if uuid else []
    command = ["nvidia-smi", f"--query-gpu={ASKED}", "--format=csv,noheader", *chosen]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    values = [value.strip() for value in done.stdout.strip().splitlines()[0].split(",")] if done.stdout.strip() else []
    if done.returncode or len(values) != len(ASKED.split(",")):
        return ""
    now, most, memory, degrees, used = values
    return f"SM {now} of {most}, memory {memory}, {degrees} °C, {used} in use when measured"


def _read(path: Path) -> str:
    """Text of a file of the system's, "" without it."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
