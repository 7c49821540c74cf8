"""What a data set is to the harness: named images with a checked fingerprint."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from casarbi.scales import Size

Factory = TypeVar("Factory", bound=Callable[..., "Dataset"])


class Dataset(ABC):
    """Images with ids that name them in every store, table and output folder.

    Attributes:
        name: the data set's short name, such as "portraits" or "folder".
        ids: image ids, unique, in natural order; a file's id is its path in the folder without the suffix.
        notes: sentences a report should print ("2 files skipped: …", "3 of 5 images are grey").
    """

    name: str
    ids: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @abstractmethod
    def image(self, image_id: str) -> Tensor:
        """HR image: float32 (3, H, W) in [0, 1]; values of 8-bit sources are exactly k/255."""

    def lr(self, image_id: str, scale: float) -> Tensor | None:
        """LR image that the data set itself ships for this scale, as float32 (3, h, w), or None."""
        return None

    @abstractmethod
    def digest(self, image_id: str) -> str:
        """SHA-256 of what decides the image's pixels: the file's content, or the generator's version and seed."""

    def digest_now(self, image_id: str) -> str:
        """What `digest` would say if it were asked for the first time: another text if a file has changed since."""
        return self.digest(image_id)

    def known_size(self, image_id: str) -> Size | None:
        """(height, width) if it is known without making the image; None if it is not.

        Raises:
            CasarbiError: if it is known already that the image cannot be made.
        """
        return None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids and digests: another pixel, name or image gives another fingerprint."""
        # Ids and digests alone: a fingerprint must not cost a look at every pixel.
        total = hashlib.sha256()
        for image_id in self.ids:
            total.update(f"{image_id}\0{self.digest(image_id)}\n".encode("utf-8", "surrogatepass"))
        return total.hexdigest()


def measured_by(protocol: str) -> Callable[[Factory], Factory]:
    """Mark a data set's factory with the protocol that fits its images; it is used if no other is named.

    Args:
        protocol: a name among `casarbi.data.protocol.PROTOCOLS`; without a mark it is "whole".
    """

    def mark(factory: Factory) -> Factory:
        # `casarbi.data.protocol.default_protocol` reads it.
        factory.protocol = protocol  # type: ignore[attr-defined]
        return factory

    return mark
