"""The device of a session: one CPU or GPU, or this process's GPU of a launch of many."""

from __future__ import annotations

import os
from datetime import timedelta

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs

from casarbi.devices import pick_device
from casarbi.errors import CasarbiError

PATIENCE = timedelta(hours=12)
"""The first process makes pictures and validates while the others wait, at times for longer than NCCL's ten minutes."""


def make_accelerator(precision: str, device: str) -> Accelerator:
    """Accelerate's view of the devices.

    Args:
        precision: "float32" or "bfloat16".
        device: "auto", "cpu", "cuda", "cuda:1", "mps".

    Raises:
        CasarbiError: if there is no such device, or it cannot compute in this precision.
    """
    # Accelerate keeps its first answer for the whole process; several sessions in one process each get their own.
    AcceleratorState._reset_state(reset_partial_state=int(os.environ.get("WORLD_SIZE", "1")) == 1)
    os.environ.pop("ACCELERATE_TORCH_DEVICE", None)
    if device != "auto":
        pick_device(device)
        if device != "cuda":
            os.environ["ACCELERATE_TORCH_DEVICE"] = device
    mixed = "bf16" if precision == "bfloat16" else "no"
    try:
        return Accelerator(
            mixed_precision=mixed, cpu=device == "cpu", kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)]
        )
    except ValueError as error:
        raise CasarbiError(f"This device cannot compute in {precision} ({error}): set run.precision=float32.") from None
