"""`spandrel:FILE`: any fixed-scale network that spandrel reads, its result resampled to the asked size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from casarbi.checkpoints import find_state, read_checkpoint, strip_prefix
from casarbi.checkpoints.bounds import limited_modules
from casarbi.errors import CasarbiError
from casarbi.pictures.resize import resize
from casarbi.references import describe
from casarbi.scales import Size
from casarbi.sr import ModelInfo, SRModel
from casarbi.weights import find_weights, sha256_file

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor


class FixedScale(SRModel):
    """A network of one scale; its output is brought to the asked size by `casarbi.pictures.resize`.

    Images of a batch are enlarged one after another, so that none depends on its neighbours.
    """

    def __init__(self, network: ImageModelDescriptor, path: Path, notes: Sequence[str] = ()) -> None:
        self.network, self.path, self.sha256 = network.eval(), path, sha256_file(path)
        self.notes = tuple(notes)

    @property
    def identity(self) -> dict[str, Any]:
        """Method, weights, and what spandrel took them for."""
        return {"method": "spandrel", "weights": self.sha256, "architecture": self.network.architecture.id}

    @property
    def info(self) -> ModelInfo:
        """Facts for reports; the trained range is the network's one scale."""
        return ModelInfo(
            parameters=sum(p.numel() for p in self.network.model.parameters()),
            trained_scales=(float(self.network.scale), float(self.network.scale)),
            stochastic=False,
            weights="; ".join((f"{self.path.name}, SHA-256 {self.sha256}", *self.notes)),
            licence="not recorded in the file",
            source=f"{self.network.architecture.name} x{self.network.scale}, read by spandrel",
        )

    def to(self, device: str) -> FixedScale:
        """Move the network to a device; returns self."""
        self.network.to(torch.device(device))
        return self

    def upscale(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> Tensor:
        """Enlarge (B, 3, h, w) in [0, 1] by the network's scale, then resample to `size`."""
        return self.upscale_many(lr, [size], seeds)[0]

    def upscale_many(self, lr: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> list[Tensor]:
        """Run the network once per image, then resample to every size."""
        with torch.no_grad():
            native = torch.cat([self._run(image[None]) for image in lr.to(self.network.device)])
            return [
                (native if native.shape[-2:] == size else resize(native, size)).clamp(0, 1).to(lr.device)
                for size in sizes
            ]

    def _run(self, image: Tensor) -> Tensor:
        """The network on one image (1, 3, h, w), padded to the sides it takes and cropped again."""
        height, width = image.shape[-2:]
        right, bottom = self.network.size_requirements.get_padding(width, height)
        # Reflection needs more pixels than it adds; spandrel's own padding fails on such small pictures.
        mode = "reflect" if right < width and bottom < height else "replicate"
        padded = F.pad(image, (0, right, 0, bottom), mode=mode)
        return self.network(padded)[..., : height * self.network.scale, : width * self.network.scale]


def spandrel(file: str) -> FixedScale:
    """Build the model that `spandrel:FILE` names; the file is read as data only.

    Raises:
        CasarbiError: if spandrel is not installed, the file is unreadable, or it holds no network from RGB to RGB
            that spandrel knows.
    """
    try:
        from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError
    except ImportError:
        raise CasarbiError(
            f"'spandrel:{file}' needs the package spandrel, which is not installed: pip install 'casarbi[spandrel]'."
        ) from None
    # Our own reader takes plain tensors from the file; spandrel never opens it.
    path = find_weights(file)
    state = find_state(read_checkpoint(path).content, path)
    bare = strip_prefix(state.tensors, path, "netG.")
    try:
        # Spandrel counts blocks by the numbers in keys, and one key can name a block of any number.
        with limited_modules(len(bare.tensors), path):
            network = ModelLoader().load_from_state_dict(bare.tensors)
    except CasarbiError:
        raise
    except UnsupportedModelError:
        raise CasarbiError(
            f"{path} holds no network that spandrel knows: its tensors fit none of its layouts."
        ) from None
    except Exception as error:  # a known layout with odd parts fails in as many ways as there are layouts
        raise CasarbiError(
            f"{path} looks like a network that spandrel knows, but does not load: {describe(error)[:160]}."
        ) from None
    # Networks that take a mask, or give another number of colours, cannot stand behind the interface.
    if not isinstance(network, ImageModelDescriptor) or (network.input_channels, network.output_channels) != (3, 3):
        raise CasarbiError(f"{path} ({network.architecture.name}) does not map RGB to RGB, so it cannot be used here.")
    return FixedScale(network, path, (*state.notes, *bare.notes))
