"""Which device computes: the one check of what was typed with --device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casarbi.errors import CasarbiError

if TYPE_CHECKING:
    import torch


def pick_device(name: str) -> str:
    """The device that a name stands for, tried out with one number; "auto" is the first GPU, or the CPU without one.

    Raises:
        CasarbiError: if torch knows no such device or cannot compute on it here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError):  # the latter from builds of torch without CUDA
        raise CasarbiError(f"There is no device '{name}' that works here: give cpu, or leave --device out.") from None
    return name


def free_bytes(device: torch.device) -> int | None:
    """Memory of a CUDA device that this process may still take, what torch keeps ready included; None of others."""
    import torch

    if device.type != "cuda":
        return None
    ready = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + ready
