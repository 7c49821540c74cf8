"""Networks through which metrics look at pictures: each picture once, those of one shape together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor

from casarbi.scales import Size

Given = TypeVar("Given")

Seen = dict[str, Any]
"""What networks gave for one picture, by `Network.key`: metrics that share a network run it once per picture."""


class Network(ABC, Generic[Given]):
    """A network with its weights.

    Attributes:
        key: its name and the SHA-256 of its weights.
        sha256: of its weights.
        device: where it computes; pictures may be elsewhere.
    """

    key: str
    sha256: str
    device = torch.device("cpu")

    def to(self, device: str) -> None:
        """Move it to a device."""
        self.device = torch.device(device)

    @abstractmethod
    def forward(self, images: Tensor) -> list[Given]:
        """What it gives for each image of a batch: float32 (B, 3, H, W) in [0, 1], on its device."""

    @abstractmethod
    def memory_bytes(self, size: Size) -> int:
        """Most memory that one image of (H, W) takes, with what is given for it; within `casarbi.at_once.SAFETY`."""

    def look(self, image: Tensor, seen: Seen | None = None) -> Given:
        """What it gives for one (3, H, W) in [0, 1]: taken from `seen`, or else put there for the next metric."""
        seen = {} if seen is None else seen
        self.look_at([(image, seen)])
        return cast(Given, seen[self.key])

    def look_at(self, pictures: Iterable[tuple[Tensor, Seen]]) -> None:
        """Look at pictures that it has not seen, all of one shape at once, and put what it gives into their `Seen`."""
        alike: dict[Size, list[tuple[Tensor, Seen]]] = {}
        for image, seen in pictures:
            if self.key not in seen:
                alike.setdefault((image.shape[-2], image.shape[-1]), []).append((image, seen))
        for group in alike.values():
            # A stack would change the order of one picture's pixels in memory, on which its last bits depend on a CPU.
            images = group[0][0][None] if len(group) == 1 else torch.stack([image for image, _ in group])
            with torch.inference_mode():
                given = self.forward(images.to(self.device))
            for (_, seen), one in zip(group, given, strict=True):
                seen[self.key] = one
