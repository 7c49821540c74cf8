"""Finds the tensors of one network in what was saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from casarbi.checkpoints.reading import read_checkpoint
from casarbi.errors import CasarbiError
from casarbi.plain import quote, visible

AVERAGED_KEYS = ("params_ema", "params-ema", "ema", "state_dict_ema", "model_ema")
PLAIN_KEYS = ("params", "state_dict", "model_state_dict", "model", "net", "generator")
SNAPSHOT_AVERAGE, SNAPSHOT_PARTS = "average/", ("average/", "network/", "optimizer/")
"""Prefixes of the keys in a snapshot of casarbi train, which can be given as weights."""


@dataclass(frozen=True)
class State:
    """Tensors of one network, and what was done to find them.

    Attributes:
        tensors: by key, on the CPU.
        notes: short phrases for a report: "averaged weights (params_ema)", "prefix 'module.' stripped".
    """

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def read_state(path: str | Path) -> State:
    """Read the tensors of the one network that a file holds; see `read_checkpoint` and `find_state`."""
    checkpoint = read_checkpoint(path)
    return find_state(checkpoint.content, checkpoint.path)


def find_state(content: Mapping[str, Any], path: Path) -> State:
    """Find the tensors of a network in what was saved, averaged weights before plain ones, and strip prefixes.

    Args:
        content: a dictionary of tensors, or one that holds it under a customary key such as `params_ema`.
        path: the file, for messages.

    Raises:
        CasarbiError: if there are no tensors, or only some keys carry a wrapper's prefix.
    """
    # Trainers save the state under a key such as params_ema. Averaged (EMA) weights come first: they are the ones that
    # trainers evaluate.
    for key in (*AVERAGED_KEYS, *PLAIN_KEYS):
        inner = content.get(key)
        if isinstance(inner, Mapping) and _is_state(inner):
            kind = "averaged" if key in AVERAGED_KEYS else "plain"
            state = strip_prefix(dict(inner), path)
            return State(state.tensors, (f"{kind} weights ({key})", *state.notes))
    if _is_state(content):
        # A snapshot of casarbi train holds average, network and optimizer side by side: only the average is taken.
        averaged = {
            key.removeprefix(SNAPSHOT_AVERAGE): tensor
            for key, tensor in content.items()
            if key.startswith(SNAPSHOT_AVERAGE)
        }
        if averaged and all(key.startswith(SNAPSHOT_PARTS) for key in content):
            return State(averaged, ("averaged weights of a snapshot",))
        return strip_prefix(dict(content), path)
    raise CasarbiError(
        f"{path} holds no dictionary of tensors: it has {examples(content) or 'no keys'}, expected one of "
        f"{', '.join((*AVERAGED_KEYS, *PLAIN_KEYS))} or the tensors themselves."
    )


def strip_prefix(tensors: Mapping[str, Tensor], path: Path, prefix: str = "module.") -> State:
    """Take a multi-GPU wrapper's prefix off the keys, as often as all of them carry it.

    Raises:
        CasarbiError: if some keys carry it and others do not; examples of both are named.
    """
    # Parallel wrappers can be nested, so the prefix may stand several times.
    times, stripped = 0, dict(tensors)
    while stripped:
        with_prefix = [key for key in stripped if key.startswith(prefix)]
        if not with_prefix:
            break
        if len(with_prefix) < len(stripped):
            bare = [key for key in stripped if not key.startswith(prefix)]
            raise CasarbiError(
                f"{path} mixes keys with and without '{prefix}': {examples(with_prefix)} but {examples(bare)}; "
                f"save the weights again from one model."
            )
        stripped = {key[len(prefix) :]: tensor for key, tensor in stripped.items()}
        times += 1
    note = f"prefix '{prefix}' stripped" + (f" {times} times" if times > 1 else "")
    return State(stripped, (note,) if times else ())


def _is_state(content: Mapping[str, Any]) -> bool:
    return bool(content) and all(isinstance(key, str) and _is_dense(value) for key, value in content.items())


def _is_dense(value: Any) -> bool:
    """Whether a value is a tensor of plain numbers in memory: not sparse, quantised or without values at all."""
    return isinstance(value, Tensor) and value.layout is torch.strided and not (value.is_quantized or value.is_meta)


def examples(keys: Iterable[object], count: int = 3) -> str:
    """The first keys, each shortened, for a sentence."""
    shown = [visible(key[:60]) if isinstance(key, str) else quote(key, 60) for key in islice(keys, count + 1)]
    return ", ".join(shown[:count]) + (", …" if len(shown) > count else "")
