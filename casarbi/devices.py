"""Which device computes: the one check of what was typed with --device."""

from __future__ import annotations

from casarbi.errors import CasarbiError


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
