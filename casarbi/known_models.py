"""The models that can be named: every method with each of its weights, and the facts that help to choose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casarbi.errors import CasarbiError
from casarbi.sr import MODELS, ModelInfo, create_model
from casarbi.weights import CATALOGUE, WeightFile, packaged_names, packaged_weights, weights_path

_LOOKS = {
    "bicubic": "soft, nothing added; at once",
    "casarbi": "sharp, draws likely detail; about 30 s per megapixel",
    "casarbi:ablation": "for Tables VII to IX, short training; about 30 s per megapixel",
    "casarbi:face": "sharp, draws likely faces; about 30 s per megapixel",
    "casarbi:scene": "sharp, draws likely detail; about 25 s per megapixel",
    "idm": "sharp, colours often off (short training); about 80 s per megapixel",
    "idm:face": "draws detail, crooked features; about 7 min per megapixel",
    "kim": "draws detail (short training); about 35 s per megapixel at 8x",
    "kim:face": "draws detail, grainy; about 150 s per megapixel at 8x",
    "liif": "clean edges, smooth textures; about 10 s per megapixel",
    "liif:edsr-baseline-div2k": "clean edges, made for photographs; about 10 s per megapixel",
    "outputs": "finished results of another program, for casarbi-bench",
    "spandrel": "any network that spandrel reads, resampled from its own scale",
}
"""How results look, and how long a megapixel takes on one core of an AMD EPYC with AVX-512; by reference or method."""

_TARGETS = {"outputs": "DIR", "spandrel": "FILE"}
"""What has to stand after the colon of methods that have no weights of their own."""


@dataclass(frozen=True)
class KnownModel:
    """One model that can be named.

    Attributes:
        reference: what to give to `-m`; for a method that takes a file or folder, with DIR or FILE in its place.
        weights: the catalogue's entry if the weights are other people's.
        path: the weights' file if it is here.
        missing: how to get the weights if they are not here.
    """

    reference: str
    weights: WeightFile | None = None
    path: Path | None = None
    missing: str = ""

    @property
    def method(self) -> str:
        """The registered name."""
        return self.reference.partition(":")[0]

    @property
    def is_pattern(self) -> bool:
        """Whether the reference still lacks a file or folder."""
        return self.method in _TARGETS

    @property
    def looks(self) -> str:
        """How results look and how long they take; "" for a plug-in, as only its author knows."""
        names = (self.reference, self.reference.partition("-")[0], self.method)
        return next((_LOOKS[name] for name in names if name in _LOOKS), "")

    @property
    def size(self) -> str:
        """Size of the weights' file."""
        size_bytes = self.path.stat().st_size if self.path else self.weights.size_bytes if self.weights else None
        return f"{size_bytes / 1e6:.1f} MB" if size_bytes else "–"

    @property
    def trained_on(self) -> str:
        """What pictures the weights were trained on, from their header or the catalogue; "" if unknown."""
        if self.weights:
            return self.weights.pictures
        return str(_training(self.path).get("preset", {}).get("weights", {}).get("trained_on", ""))

    @property
    def command(self) -> str:
        """The command that trained the weights, "" if the file does not say."""
        return str(_training(self.path).get("command", ""))

    def info(self) -> ModelInfo | None:
        """Facts of the opened model; None if something is still to be named or fetched."""
        if self.is_pattern or self.missing:
            return None
        try:
            return create_model(self.reference).info
        except CasarbiError:  # a plug-in that needs an option, or is broken: opening it says what is wrong
            return None


def known_references() -> list[str]:
    """References that can be completed: methods, and methods with each of their weights."""
    return [name for method in MODELS.names() for name in (method, *_with_weights(method))]


def _with_weights(method: str) -> list[str]:
    others = [weights.name for weights in CATALOGUE.values() if weights.method == method]
    return [f"{method}:{name}" for name in (*packaged_names(method), *others)]


def known_models() -> Iterator[KnownModel]:
    """Every method with each of its weights; one without any weights stands for itself."""
    for method in MODELS.names():
        references = _with_weights(method)
        if not references:
            yield KnownModel(f"{method}:{_TARGETS[method]}" if method in _TARGETS else method)
        for reference in references:
            yield find_known(reference) or KnownModel(reference)


def find_known(reference: str) -> KnownModel | None:
    """The known model that a reference names, options aside; None if it is another file or plug-in."""
    bare = reference.partition("?")[0]
    method, _, name = bare.partition(":")
    if method not in MODELS.names():
        return None
    # Other people's weights, which may still have to be fetched.
    weights = CATALOGUE.get(name)
    if weights and weights.method == method:
        try:
            return KnownModel(bare, weights, weights_path(name))
        except CasarbiError as error:
            return KnownModel(bare, weights, missing=str(error))
    # Weights that come with the package, or a method without any.
    path = packaged_weights(method, name) if name else None
    if path or not name or name == _TARGETS.get(method):
        return KnownModel(f"{method}:{_TARGETS[method]}" if method in _TARGETS else bare, path=path)
    return None


def _training(path: Path | None) -> dict[str, Any]:
    """What a packaged file's header says of its training."""
    if path is None or path.suffix != ".safetensors":
        return {}
    from safetensors import safe_open

    # Only the header is read: listing models must not load tensors.
    with safe_open(path, "np") as file:
        found = json.loads((file.metadata() or {}).get("training", "{}"))
    return found if isinstance(found, dict) else {}
