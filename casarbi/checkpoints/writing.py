"""Writes weights files, as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from casarbi.checkpoints.header import weights_header
from casarbi.files import replacing


def write_checkpoint(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and a header of texts as safetensors; a reader, or a crash, never sees half a file."""
    path = Path(path)
    contiguous = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with replacing(path) as draft:
        save_file(contiguous, draft, metadata=dict(metadata))


def write_weights(
    path: Path, network: nn.Module, method: str, config: Mapping[str, Any], header: Mapping[str, str]
) -> None:
    """Write a network as float32 safetensors whose header says all that loading needs.

    Args:
        path: a .safetensors file.
        network: its state is written.
        method: stands under `method` in the header.
        config: the whole configuration as plain JSON, under `config`.
        header: texts such as `licence` and `source`, which reports print, and what `casarbi info` is to show.
    """
    tensors = {name: tensor.float() for name, tensor in network.state_dict().items()}
    write_checkpoint(path, tensors, {**header, **weights_header(method, config)})
