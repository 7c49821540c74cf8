"""Networks of training presets with random weights: their time and operations may be measured, and nothing else.

A declaration names one in a model reference as {PRESET}, which stands for a file of such weights:
`idm:{paper-idm-face}?sampler=ddim`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from casarbi.training.presets import load_preset
from casarbi.training.task import build_task

_NAMED = re.compile(r"\{([^{}]*)\}")
# Text of a preset's settings that names the weights of an earlier preset's run, such as CasArbi's LIIF.
_EARLIER = re.compile(r"(\w+):runs/([\w-]+)/\2\.safetensors")


def is_untrained(reference: str) -> bool:
    """Whether a reference names networks with random weights."""
    return bool(_NAMED.search(reference))


def untrained_identity(reference: str) -> dict[str, Any]:
    """Everything that decides the time of the model, as plain JSON; no network is made for it.

    Raises:
        CasarbiError: if there is no such preset.
    """
    presets = {name: _settings(name, _described) for name in _NAMED.findall(reference)}
    return {"untrained": reference, "presets": presets}


def write_untrained(reference: str, folder: Path) -> str:
    """The reference with its presets' random weights, which are written into a folder.

    Raises:
        CasarbiError: if there is no such preset.
    """
    return _NAMED.sub(lambda named: str(_write(named[1], folder)), reference)


def _write(name: str, folder: Path) -> Path:
    path = folder / f"{name}.safetensors"
    settings = _settings(name, lambda kind, earlier: f"{kind}:{_write(earlier, folder)}")
    task = build_task(load_preset(name).task, settings, 0)
    # What training measures before its first step, such as Kim's scale of the latents, is NaN until then.
    for tensor in task.network.state_dict().values():
        if tensor.is_floating_point():
            tensor.nan_to_num_(1.0)
    task.save(path, task.network, {})
    return path


def _described(kind: str, name: str) -> dict[str, Any]:
    return {"kind": kind, "preset": name, "settings": _settings(name, _described)}


def _settings(name: str, earlier: Callable[[str, str], Any]) -> Any:
    """Settings of a preset; what names the weights of an earlier one is replaced, given its kind and preset."""

    def replaced(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: replaced(inner) for key, inner in value.items()}
        named = _EARLIER.fullmatch(value) if isinstance(value, str) else None
        return earlier(named[1], named[2]) if named else value

    return replaced(load_preset(name).settings)
