"""Writes weights files, as safetensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from casarbi.checkpoints.header import weights_header
from casarbi.errors import CasarbiError
from casarbi.files import replacing

Network = TypeVar("Network", bound=nn.Module)


def write_checkpoint(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and a header of texts as safetensors; a reader, or a crash, never sees half a file."""
    path = Path(path)
    contiguous = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with replacing(path) as draft:
        save_file(contiguous, draft, metadata=dict(metadata))


def write_weights(
    path: Path, network: nn.Module, method: str, config: Mapping[str, Any], header: Mapping[str, str]
) -> None:
    """Write a network as safetensors, in its own types, whose header says all that loading needs.

    Args:
        path: a .safetensors file.
        network: its state is written.
        method: stands under `method` in the header.
        config: the whole configuration as plain JSON, under `config`.
        header: texts such as `licence` and `source`, which reports print, and what `casarbi info` is to show.
    """
    write_checkpoint(path, network.state_dict(), {**header, **weights_header(method, config)})


def halved(network: Network) -> Network:
    """A copy of a network in float16, for a file of half the size.

    Raises:
        CasarbiError: if a value is too large for float16.
    """
    half = copy.deepcopy(network).half()
    if not all(tensor.isfinite().all() for tensor in half.state_dict().values()):
        largest = torch.finfo(torch.float16).max
        raise CasarbiError(f"some weights are above {largest:g}, too large for float16: set weights.precision=float32.")
    return half
