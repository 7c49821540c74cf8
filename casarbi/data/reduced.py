"""A data set whose images are reduced: smaller pictures, in which the blocks of lossy files do not show."""

from __future__ import annotations

import hashlib

from torch import Tensor

from casarbi.data.base import Dataset
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.pictures.resize import resize
from casarbi.scales import Size


class Reduced(Dataset):
    """Another data set's images, smaller by a factor: antialiased bicubic of 8-bit images, as LR images are made.

    It has no LR images of its own, as those of the other data set do not fit its images.
    """

    def __init__(self, dataset: Dataset, factor: float) -> None:
        """Describe a data set.

        Args:
            dataset: the data set whose images are reduced.
            factor: above 1; each side becomes side / factor, rounded, and at least 1.

        Raises:
            CasarbiError: on another factor.
        """
        if not 1 < factor < float("inf"):
            raise CasarbiError(f"reduce={factor} must be above 1: images become smaller by this factor.")
        self._dataset, self._factor = dataset, factor
        self.name, self.ids = dataset.name, dataset.ids
        self.notes = (*dataset.notes, f"Images are reduced by {factor:g}.")

    def image(self, image_id: str) -> Tensor:
        """HR image: float32 (3, H, W) in [0, 1], every value k/255."""
        image = to_uint8(self._dataset.image(image_id))
        height, width = image.shape[-2:]
        return from_uint8(resize(image, self._reduced((height, width))))

    def digest(self, image_id: str) -> str:
        """SHA-256 of the other data set's digest and the factor."""
        return self._digest(self._dataset.digest(image_id))

    def digest_now(self, image_id: str) -> str:
        """The same, from the files as they are now."""
        return self._digest(self._dataset.digest_now(image_id))

    def known_size(self, image_id: str) -> Size | None:
        """(height, width), if the other data set knows that of its image."""
        size = self._dataset.known_size(image_id)
        return self._reduced(size) if size else None

    def _digest(self, digest: str) -> str:
        return hashlib.sha256(f"{digest} reduced by {self._factor!r}".encode()).hexdigest()

    def _reduced(self, size: Size) -> Size:
        height, width = (max(1, round(side / self._factor)) for side in size)
        return height, width
