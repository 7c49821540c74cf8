"""The one interface that every super-resolution method stands behind, and the registry of methods."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from casarbi.errors import CasarbiError
from casarbi.references import MODELS, describe
from casarbi.scales import Size

if TYPE_CHECKING:
    from torch import Tensor

    from casarbi.costs import StageWork


@dataclass(frozen=True)
class ModelInfo:
    """What a reader of a table needs to know of a method.

    Attributes:
        parameters: number of trainable parameters used at inference.
        trained_scales: smallest and largest scale seen in training, None without training.
        stochastic: whether the seed changes the output.
        weights: file name and SHA-256, or "none".
        licence: of the weights, or of the method if it has none.
        source: where method and weights come from.
        warning: what a reader must know before the numbers, such as that a checkpoint lacks its averaged weights.
    """

    parameters: int
    trained_scales: tuple[float, float] | None
    stochastic: bool
    weights: str
    licence: str
    source: str
    warning: str = ""


class SRModel(ABC):
    """A super-resolution method.

    Images are float32 RGB of shape (B, 3, H, W) with values in [0, 1]; outputs are clamped to that range. A model in
    [-1, 1] maps inside itself, as `casarbi.network_model.NetworkModel` does.

    Attributes:
        progress: told the share of one image at one size that has just been done, step by step or tile by tile; the
            shares add up to 1 for each. Whoever runs the model sets it; a model need not call it.
    """

    progress: Callable[[float], None] | None = None

    def report(self, share: float) -> None:
        """Report that another share of the current image is done."""
        if self.progress:
            self.progress(share)

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything that decides the output (method, weights' SHA-256, options) as plain JSON: keys the store."""

    @property
    @abstractmethod
    def info(self) -> ModelInfo:
        """Facts for reports."""

    @abstractmethod
    def upscale(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> Tensor:
        """Enlarge a batch to one exact output size.

        The output of an image depends on that image, the size and its seed, never on its neighbours in the batch or
        on the batch size.

        Args:
            lr: (B, 3, h, w).
            size: (H, W) of the output.
            seeds: B integers, one per image.

        Returns:
            (B, 3, H, W) on the device of `lr`.
        """

    def upscale_many(self, lr: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> list[Tensor]:
        """Enlarge to several sizes; equal to calling `upscale` for each, but free to share work."""
        return [self.upscale(lr, size, seeds) for size in sizes]

    def stages(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> list[Tensor]:
        """The images on the way to one size, coarse to fine, of a method that gets there in stages.

        Takes what `upscale` takes.

        Returns:
            (B, 3, H_i, W_i) for each stage; the last is what `upscale` gives, and the only one of other methods.
        """
        return [self.upscale(lr, size, seeds)]

    def evaluations(self, scale: float) -> int:
        """Network evaluations for one image at a scale: 1, or the sampling steps of all stages."""
        return 1

    def work(self, lr_size: Size, size: Size) -> tuple[StageWork, ...] | None:
        """What each of the `stages` does for one image, counted without running it.

        None if unknown, such as for a plug-in that does not say.
        """
        return None

    def memory_bytes(self, lr_size: Size, size: Size) -> int | None:
        """Memory that `upscale` takes at its peak for one image, beside the weights, right within a factor of two.

        None if unknown, such as for a plug-in that does not say.
        """
        return None

    def bind(self, image_ids: Sequence[str]) -> SRModel:
        """Tell the model which images the next batch holds; only `outputs:DIR`, which looks results up, needs it."""
        return self

    def leftovers(self, image_ids: Sequence[str]) -> list[str]:
        """Names of finished results that belong to none of these images; only `outputs:DIR` has any."""
        return []

    def to(self, device: str) -> SRModel:
        """Move weights to a device such as "cpu" or "cuda"; returns self."""
        return self


def create_model(reference: str) -> SRModel:
    """Build the model a reference names: `bicubic`, `liif:FILE`, `my_package.module:factory?option=value`.

    Raises:
        CasarbiError: on an unknown name (near names are suggested), option, or unreadable weights, and if a plug-in
            breaks or is no SRModel with a plain identity.
    """
    model = MODELS.build(reference)
    if not isinstance(model, SRModel):
        raise CasarbiError(f"'{reference}' gave {type(model).__name__}: expected a casarbi.sr.SRModel.")
    # A plug-in that cannot say what it is would be found out only when its results are stored.
    try:
        json.dumps(model.identity, allow_nan=False)
        _ = model.info
    except Exception as error:
        raise CasarbiError(
            f"The model '{reference}' does not say what it is: its identity must be plain JSON and its info a "
            f"ModelInfo, but they gave {describe(error)}."
        ) from error
    return model


def image_seed(image_id: str, seed: int = 0) -> int:
    """Seed of one image, from its id and the run's seed alone: the same whatever the order or batch.

    Example:
        >>> image_seed("baby") == image_seed("baby", 0) != image_seed("baby", 1)
        True
    """
    # Surrogates stand for bytes of file names that are not UTF-8.
    digest = hashlib.sha256(f"{seed}:{image_id}".encode("utf-8", "surrogatepass")).digest()
    # 63 bits, as torch's generators take them.
    return int.from_bytes(digest[:8], "big") >> 1


def check_seeds(seeds: Sequence[int], lr: Tensor) -> None:
    """Raise CasarbiError unless there is one seed per image of a batch."""
    if len(seeds) != len(lr):
        raise CasarbiError(f"There are {len(seeds)} seeds for {len(lr)} images: expected one per image.")
