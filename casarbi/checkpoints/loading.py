"""Loads tensors into a network if every one of them fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from casarbi.checkpoints.bounds import limited_modules, without_values
from casarbi.checkpoints.state import examples
from casarbi.errors import CasarbiError
from casarbi.references import describe

Network = TypeVar("Network", bound=nn.Module)

USABLE = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types of floating-point numbers that torch computes with; float8 it only stores."""


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load tensors into a module if every key and shape fits and every value is finite; otherwise change nothing.

    Raises:
        CasarbiError: naming how many keys are missing, unexpected, of another shape or not finite, with examples.
    """
    _check_fit(module, tensors, path)
    module.load_state_dict(dict(tensors))


def load_new(make: Callable[[], Network], tensors: Mapping[str, Tensor], path: Path) -> Network:
    """Make a network and load it strictly; it never holds random weights, which would take time to draw.

    Returns:
        The network on the CPU, in evaluation mode, its parameters frozen.

    Raises:
        CasarbiError: as `load_strict`.
    """
    try:
        with without_values(), limited_modules(len(tensors), path):
            network = make()
    except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:  # sizes that torch cannot have
        raise CasarbiError(f"{path} describes a network that cannot be built: {describe(error)}.") from None
    _check_fit(network, tensors, path)  # still on the meta device: no memory is taken until every shape fits
    # Not `to_empty`, which asks the meta device and so imports a compiler (torch 2.14).
    network._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu"))
    network.load_state_dict(dict(tensors))
    return network.requires_grad_(False).eval()


def _check_fit(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise what `load_strict` raises, and load nothing; the module may be on the meta device."""
    # All faults are collected, so that one error tells everything that does not fit.
    expected = module.state_dict()
    faults = {
        "missing": [key for key in expected if key not in tensors],
        "unexpected": [key for key in tensors if key not in expected],
        "of another shape": [
            f"{key} {_shape(tensors[key])} for {_shape(expected[key])}"
            for key in expected
            if key in tensors and tensors[key].shape != expected[key].shape
        ],
        "of another type": [
            f"{key} {tensors[key].dtype}"
            for key in expected
            if key in tensors and not _is_convertible(tensors[key].dtype, expected[key].dtype)
        ],
        "with NaN or infinite values": [
            key for key, tensor in tensors.items() if tensor.dtype in USABLE and not tensor.isfinite().all()
        ],
    }
    found = [f"{len(keys)} {kind} ({examples(keys)})" for kind, keys in faults.items() if keys]
    if found:
        raise CasarbiError(
            f"{path} does not fit {type(module).__name__} ({len(expected)} tensors expected, {len(tensors)} found): "
            f"{'; '.join(found)}."
        )


def _is_convertible(found: torch.dtype, expected: torch.dtype) -> bool:
    # load_state_dict converts silently: any float to any float is right, but a float must not become a counter.
    return found in USABLE if expected.is_floating_point else not (found.is_floating_point or found.is_complex)


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"
