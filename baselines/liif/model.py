"""LIIF (Chen et al., CVPR 2021; yinboc/liif): local implicit image functions, with the official checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from baselines.liif.files import load_liif
from baselines.liif.network import CPU_CHUNK, LIIFNetwork, check_chunk, default_chunk
from casarbi.costs import StageWork, count_flops
from casarbi.network_model import NetworkModel, WeightsInfo
from casarbi.precision import Precision
from casarbi.scales import Size
from casarbi.settings import Option
from casarbi.weights import find_weights, packaged_weights

UNUSED = ("encoder.sub_mean.", "encoder.add_mean.")
"""Parameters that files hold and no output depends on."""


class LIIF(NetworkModel):
    """LIIF behind the common interface.

    The chunk size and the device change a result by rounding alone (about 1e-6), so they are no part of its identity.
    """

    method, title, stochastic = "liif", "LIIF", False
    network: LIIFNetwork

    def __init__(
        self,
        network: LIIFNetwork,
        weights: WeightsInfo | None = None,
        chunk: int | None = None,
        precision: str = "float32",
    ) -> None:
        super().__init__(network, weights, precision)
        self.chunk = chunk

    @property
    def settings(self) -> dict[str, Any]:
        """No option changes a result."""
        return {}

    @property
    def parameters(self) -> int:
        """Number of parameters that an output depends on."""
        return sum(p.numel() for name, p in self.network.named_parameters() if not name.startswith(UNUSED))

    def work(self, lr_size: Size, size: Size) -> tuple[StageWork, ...]:
        """One stage, whose operations are counted on the meta device, where nothing is computed."""
        network, image = copy.deepcopy(self.network).to("meta"), torch.empty(3, *lr_size, device="meta")
        # In one chunk: the operations are the same, and counting them takes no time that grows with the picture.
        chunk = 4 * size[0] * size[1]
        return (StageWork(size, 1, count_flops(lambda: network.render(image, [size], chunk))),)

    def memory_bytes(self, lr_size: Size, size: Size) -> int:
        """Features of the part of the image that is encoded at once, one chunk and the output; measured on a CPU."""
        region = min(lr_size[0], self.network.encoder.region) * min(lr_size[1], self.network.encoder.region)
        return 4 * self.network.feature_inputs * region + 4000 * (self.chunk or CPU_CHUNK) + 24 * size[0] * size[1]

    def enlarge(self, images: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> Iterator[Tensor]:
        """Enlarge to several sizes, encoding each image once; nothing is drawn."""
        chunk = self.chunk or default_chunk(images.device)
        made = [self.network.render(image, sizes, chunk, report=self.report) for image in images]
        return (torch.stack(same) for same in zip(*made, strict=True))


def liif(
    weights: str = "edsr-baseline-div2k",
    *,
    chunk: Annotated[int | None, Option("predictions at once, 4 kB each; bounds memory, changes no result")] = None,
    precision: Precision = "float32",
) -> LIIF:
    """Build the model that `liif[:WEIGHTS][?chunk=N]` names.

    The weights are a file as yinboc/liif saves them, a safetensors file of ours, or a name of the weights catalogue or
    of weights that come with this project, such as mini-face.

    Raises:
        CasarbiError: if the weights are missing, unreadable, or not of a LIIF that is known here.
    """
    check_chunk(chunk)
    network, facts = load_liif(packaged_weights("liif", weights) or find_weights(weights))
    return LIIF(network, facts, chunk, precision)
