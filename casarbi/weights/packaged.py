"""Weights that this project trained and ships, found by method and preset."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def packaged_weights(method: str, name: str) -> Path | None:
    """Path of shipped weights: ("liif", "mini-face") is `liif-mini-face.safetensors`; None where there are none."""
    path = Path(str(files("casarbi.weights"))) / f"{method}-{name}.safetensors"
    return path if path.is_file() else None


def packaged_names(method: str) -> list[str]:
    """Names of the weights that are shipped for a method."""
    folder = Path(str(files("casarbi.weights")))
    return sorted(path.stem.removeprefix(f"{method}-") for path in folder.glob(f"{method}-*.safetensors"))
