"""Weights that this project trained and ships, found by method and preset."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from casarbi.errors import CasarbiError
from casarbi.plain import quote
from casarbi.weights.fetch import find_weights


def packaged_weights(method: str, name: str) -> Path | None:
    """Path of shipped weights: ("liif", "mini-face") is `liif-mini-face.safetensors`; None if there are none."""
    return (
        Path(str(files("casarbi.weights"))) / f"{method}-{name}.safetensors" if name in packaged_names(method) else None
    )


def packaged_names(method: str) -> list[str]:
    """Names of the weights that are shipped for a method."""
    folder = Path(str(files("casarbi.weights")))
    return sorted(path.stem.removeprefix(f"{method}-") for path in folder.glob(f"{method}-*.safetensors"))


def find_trained(method: str, title: str, weights: str, expected: str) -> Path:
    """Path of a method's weights given as a name of those that come with this package, or as a file.

    Args:
        method: such as casarbi.
        title: what people call it, for messages.
        weights: a shipped name such as mini-face, a file, or a name of the catalogue's file.
        expected: which files fit, for the message, such as "a file that casarbi train wrote".

    Raises:
        CasarbiError: if there are none; no network is ever made without weights.
    """
    packaged = packaged_weights(method, weights)
    if packaged is not None:
        return packaged
    # A suffix means a file: then the error says what is wrong with it, not which names there are.
    if Path(weights).suffix or os.path.lexists(os.path.expanduser(weights)):
        return find_weights(weights)
    shipped = ", ".join(packaged_names(method)) or "none"
    named = quote(weights, limit=300)  # paths are long, and the end of one tells the most
    raise CasarbiError(f"There are no {title} weights {named} (this package has {shipped}): name {expected}.")
