"""The base of methods that are networks: it makes an SRModel of `enlarge`, which works on batches in [-1, 1]."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from casarbi.at_once import images_that_fit, in_parts
from casarbi.errors import CasarbiError
from casarbi.plain import visible
from casarbi.precision import check_precision, computing_in, precision_identity
from casarbi.scales import Size
from casarbi.signed import to_signed
from casarbi.sr import ModelInfo, SRModel, check_seeds
from casarbi.weights import CATALOGUE, sha256_file

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class WeightsInfo:
    """What is known of a file of weights; without arguments, of weights that come from no file.

    Attributes:
        file: its name.
        sha256: of its content.
        licence: of the weights.
        source: where they come from.
        trained_scales: smallest and largest scale of training.
        notes: short phrases on what was found in the file and which of its weights were taken.
        warning: what a reader must know before the numbers.
    """

    file: str = "none"
    sha256: str = "none"
    licence: str = "not recorded in the file"
    source: str = "not recorded in the file"
    trained_scales: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    warning: str = ""

    @classmethod
    def from_file(cls, path: Path, header: Mapping[str, str], **others: Any) -> WeightsInfo:
        """Facts of a file: licence and source of the catalogue if it has the file, else those of the header.

        Args:
            path: the file.
            header: its texts by name.
            others: attributes that the method knows.
        """
        sha256 = sha256_file(path)
        # What the catalogue says of other people's files was checked.
        known = next((weights for weights in CATALOGUE.values() if weights.sha256 == sha256), None)
        found = {"licence": known.licence, "source": known.source} if known else header
        told = {name: one_line(found[name]) for name in ("licence", "source") if name in found}
        return cls(path.name, sha256, **{**told, **others})

    def model_info(self, parameters: int, stochastic: bool) -> ModelInfo:
        """Facts of a model that runs with these weights."""
        return ModelInfo(
            parameters=parameters,
            trained_scales=self.trained_scales,
            stochastic=stochastic,
            weights="; ".join((f"{self.file}, SHA-256 {self.sha256}", *self.notes)),
            licence=self.licence,
            source=self.source,
            warning=self.warning,
        )


def one_line(text: str) -> str:
    """A text of a file as one line of a report, cut after 300 characters."""
    text = visible(text)
    return text if len(text) <= 300 else f"{text[:300]}…"


class NetworkModel(SRModel):
    """A network behind the SR interface.

    A method names itself, says what decides its output beside its weights (`settings`), and enlarges (`enlarge`).
    Checks, value ranges, devices, batches, identity and facts are done here.

    Attributes:
        method: its name in the identity, such as liif.
        title: what people call it, for messages.
        stochastic: whether the seed changes the output.
        images_at_once: images that one call of `enlarge` gets; None for as many as fit (`casarbi.at_once`).
        network: it is put into evaluation mode.
        weights: what is known of its weights.
        precision: numbers that it computes with (`casarbi.precision`).
        widest: channels of its widest map of the output's size, which limits that size.
    """

    method: ClassVar[str]
    title: ClassVar[str]
    stochastic: ClassVar[bool] = True
    images_at_once: ClassVar[int | None] = None
    widest: int = 3

    def __init__(self, network: nn.Module, weights: WeightsInfo | None = None, precision: str = "float32") -> None:
        self.network, self.weights, self.precision = network.eval(), weights or WeightsInfo(), precision

    @abstractmethod
    def enlarge(self, images: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> Iterable[Tensor]:
        """Enlarge a batch to several sizes, sharing what they have in common.

        Args:
            images: (B, 3, h, w) in [-1, 1], contiguous float32 on the network's device.
            sizes: (H, W) of each output.
            seeds: B integers, one per image.

        Returns:
            (B, 3, H, W) for each size, in order; values beyond [-1, 1] are clamped by the caller.
        """

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Every setting that decides the output, beside the weights and the precision, as plain JSON."""

    @property
    def identity(self) -> dict[str, Any]:
        """Method, weights, settings and precision."""
        precision = precision_identity(self.precision)
        return {"method": self.method, "weights": self.weights.sha256, **self.settings, "precision": precision}

    @property
    def info(self) -> ModelInfo:
        """Facts for reports."""
        return self.weights.model_info(self.parameters, self.stochastic)

    @property
    def parameters(self) -> int:
        """Number of parameters used at inference."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def to(self, device: str) -> Self:
        """Move the network to a device; returns self.

        Raises:
            CasarbiError: if the device lacks the numbers that it is to compute with.
        """
        check_precision(self.precision, torch.device(device))
        self.network.to(device)
        return self

    def upscale(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> Tensor:
        """Enlarge (B, 3, h, w) in [0, 1] to (B, 3, *size); raises as `upscale_many`."""
        return self.upscale_many(lr, [size], seeds)[0]

    def upscale_many(self, lr: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> list[Tensor]:
        """Enlarge to several sizes, sharing what they have in common.

        Raises:
            CasarbiError: if there is not one seed per image, or a map of an output's size would have 2^31 values or
                more, the limit of many GPU kernels (pytorch/pytorch#141831).
        """
        # Refused before anything is computed.
        check_seeds(seeds, lr)
        for height, width in sizes:
            if self.widest * height * width >= 2**31:
                raise CasarbiError(
                    f"{self.title} cannot make {width}x{height} px: {self.widest} channels of that size are 2^31 "
                    f"values or more."
                )
        outputs = [lr.new_empty(len(lr), 3, *size, dtype=torch.float32) for size in sizes]

        def make(part: slice) -> None:
            # Each batch makes all sizes at once, so that a method can share its encoder among them.
            images = self.signed(lr[part])
            for output, made in zip(outputs, self.enlarge(images, sizes, seeds[part]), strict=True):
                output[part] = made

        self.in_batches(lr, sizes, make)
        # From [-1, 1] to [0, 1] in place: an output may take gigabytes.
        return [output.add_(1).div_(2).clamp_(0, 1) for output in outputs]

    def in_batches(self, lr: Tensor, sizes: Sequence[Size], make: Callable[[slice], None]) -> None:
        """Make something of some of the images (B, 3, h, w) after others, in this model's precision."""
        with torch.no_grad(), computing_in(self.precision, self.device):
            in_parts(len(lr), self.at_once((lr.shape[-2], lr.shape[-1]), sizes), make)

    def signed(self, lr: Tensor) -> Tensor:
        """Images (B, 3, h, w) in [0, 1] as `enlarge` takes them."""
        return to_signed(lr.to(self.device, torch.float32)).contiguous()

    def at_once(self, lr_size: Size, sizes: Sequence[Size]) -> int:
        """Images that one call of `enlarge` gets, for these sizes."""
        if self.images_at_once is not None:
            return self.images_at_once
        needed = [self.memory_bytes(lr_size, size) for size in sizes]
        return images_that_fit(self.device, max((bytes_ for bytes_ in needed if bytes_), default=None))
