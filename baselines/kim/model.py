"""Kim et al., CVPR 2024 (arXiv 2403.10255, zhenshij/arbitrary-scale-diffusion): latent diffusion, implicit decoder.

Its authors published code but no weights: what can be loaded is what somebody trained with that code, or here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.ddpm import Step, add_noise, ddim
from baselines.kim.config import KimConfig
from baselines.kim.costs import kim_cost
from baselines.kim.diffusion import plan_steps
from baselines.kim.files import load_kim
from baselines.kim.network import KimNetwork
from baselines.liif.network import check_chunk, default_chunk
from casarbi.costs import StageWork
from casarbi.network_model import NetworkModel, WeightsInfo
from casarbi.precision import Precision
from casarbi.sampling import Noise, image_noise
from casarbi.scales import Size
from casarbi.settings import Option, change
from casarbi.tiles import blend, cut_up
from casarbi.weights import find_trained

REVISION = 1
"""Raised when a change of this code changes what the same weights and options give: part of the identity."""

EXPECTED = "a checkpoint file, of the published code's training or of casarbi train"

CHAIN_SHARE = 0.5
"""Share of the work that the chain does; the rest is the decoder's. Used for progress only."""


class Kim(NetworkModel):
    """Kim's model behind the common interface.

    The chain runs once per image, on a latent whose shape follows from the LR image; every size is decoded from it.
    The noise is drawn in the published order: the condition's, x_T, then one for each step.

    Official code enlarges square LR images of one side. Two extensions leave that case as it is: sides that the
    denoiser cannot halve are padded (and the latent cut back), and latents larger than those of training are done in
    tiles of the side that the networks were trained on (`casarbi.tiles`).
    """

    method, title = "kim", "Kim"
    network: KimNetwork

    def __init__(
        self,
        network: KimNetwork,
        config: KimConfig | None = None,
        weights: WeightsInfo | None = None,
        *,
        chunk: int | None = None,
        precision: str = "float32",
    ) -> None:
        """Take a network and how to run it.

        Args:
            network: the network.
            config: that of the network but for sampling and tiles, which may be others; by default the network's.
            weights: facts of their file.
            chunk: predictions of the implicit decoder at once. Chunk and device change a result by rounding alone, so
                they are no part of the identity.
            precision: numbers that it computes with.
        """
        super().__init__(network, weights, precision)
        self.config, self.chunk = config or network.config, chunk
        self.steps = plan_steps(self.config.diffusion, self.config.sampling)

    @property
    def settings(self) -> dict[str, Any]:
        """Which of the file's weights were taken, the sampling and the tiles."""
        config = self.config
        return {
            "revision": REVISION,
            "notes": list(self.weights.notes),
            "sides": [config.lr_side, config.hr_side],
            "sampling": asdict(config.sampling),
            "tiles": {"tile": config.tile_side, "overlap": config.shared},
        }

    def evaluations(self, scale: float) -> int:
        """Steps of the chain, whatever the scale: as published, one fewer than asked for."""
        return len(self.steps)

    def work(self, lr_size: Size, size: Size) -> tuple[StageWork, ...]:
        """One stage: condition and decoding once, the denoiser in every step."""
        steps = len(self.steps)
        return (StageWork(size, steps, kim_cost(self.config, lr_size, size).flops(steps)),)

    def memory_bytes(self, lr_size: Size, size: Size) -> int:
        """The activations of one latent tile, the feature map and the output; figures measured on a CPU."""
        cells = lr_size[0] * lr_size[1] * self.config.cells**2
        tile = min(cells, self.config.tile_side**2)
        # Bytes per cell of a tile in the UNet, per cell of the feature map, and per pixel of the output.
        return 540 * self.config.unet.channels * tile + 1200 * cells + 24 * size[0] * size[1]

    def enlarge(self, images: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> Iterator[Tensor]:
        """Enlarge to several sizes, all decoded from one latent."""
        shape = (self.config.first_stage.latent, *self.config.latent_size((images.shape[-2], images.shape[-1])))
        # The chain and the convolutional decoder know no size, so they run once for all sizes.
        features = self.features(self.latent(images, image_noise("kim", seeds, shape, images.device)))
        chunk = self.chunk or default_chunk(images.device)
        for size in sizes:
            yield self.network.first_stage.render(features, size, chunk, self._decoded)

    def latent(self, images: Tensor, noise: Noise) -> Tensor:
        """Run the chain.

        Args:
            images: (B, 3, h, w) in [-1, 1].
            noise: of `KimConfig.latent_size`, first for the condition if its posterior is sampled, then for x_T and
                the steps.

        Returns:
            The scaled latent (B, latent, cells * h, cells * w).
        """
        config, network = self.config, self.network
        lr_size = (images.shape[-2], images.shape[-1])
        size = config.latent_size(lr_size)
        padded = pad_to_multiple(images, config.multiple // config.cells)

        # The condition, tile by tile.
        sampled = config.first_stage.gaussian and config.sampling.posterior == "sample"
        posterior = noise() if sampled else None
        tiles = cut_up(size, config.tile_side, config.shared, config.multiple)
        conditions = [
            network.condition(tile.cut(padded, config.cells), None if posterior is None else tile.cut(posterior))
            for tile in tiles
        ]

        # The noise of the whole latent: each tile is denoised with its own condition, then they are blended.
        def predict(x: Tensor, step: Step) -> Tensor:
            t = torch.tensor([step.t], device=x.device)

            def denoise(i: int) -> Tensor:
                made = network.unet(tiles[i].cut(x), conditions[i], t).float()
                self.report(CHAIN_SHARE * len(x) / (len(self.steps) * len(tiles)))
                return made

            return blend(tiles, size, denoise)

        # The chain, from pure noise or from the LR image's latent.
        x = noise()
        if config.sampling.start:
            x = add_noise(blend(tiles, size, conditions.__getitem__), x, x.new_tensor([self.steps[0].alpha_bar]))
        # The padding was there for the denoiser alone; it is cut off the result.
        z = ddim(x, predict, self.steps, noise)
        return z[..., : lr_size[0] * config.cells, : lr_size[1] * config.cells]

    def _decoded(self, share: float) -> None:
        self.report((1 - CHAIN_SHARE) * share)

    def features(self, z: Tensor) -> Tensor:
        """Feature map (1, channels, h, w) that every size is asked of, from a scaled latent (1, latent, h, w)."""
        z, size = z / self.network.scale_factor, (z.shape[-2], z.shape[-1])
        tiles = cut_up(size, self.config.tile_side, self.config.shared)
        return blend(tiles, size, lambda i: self.network.first_stage.features(tiles[i].cut(z)))


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of (B, C, h, w) until both sides are multiples."""
    below, right = (math.ceil(length / multiple) * multiple - length for length in image.shape[-2:])
    return F.pad(image, (0, right, 0, below), mode="replicate") if below or right else image


def kim(
    weights: str = "mini-face",
    *,
    ema: Annotated[bool, Option("take the averaged weights of a published file; published: the raw ones")] = False,
    lr_side: Annotated[int | None, Option("side of the LR images in training, for layouts not published")] = None,
    hr_side: Annotated[int | None, Option("side of the HR images in training, for the same")] = None,
    chunk: Annotated[int | None, Option("predictions of the decoder at once; bounds memory, changes no result")] = None,
    precision: Precision = "float32",
    **options: Annotated[Any, KimConfig],
) -> Kim:
    """Build the model that `kim[:WEIGHTS][?option=value&…]` names.

    The weights are a checkpoint of the published code's training (no trained one was ever published), a file that
    `casarbi train` wrote, or the name of weights that come with this package. Without options the chain is that of the
    weights' header, and of published files that of the published evaluation.

    Raises:
        CasarbiError: if the weights are missing, unreadable or not of Kim, or an option cannot be used.
    """
    check_chunk(chunk)
    network, info = load_kim(find_trained("kim", "Kim", weights, EXPECTED), ema=ema, lr_side=lr_side, hr_side=hr_side)
    return Kim(network, change(network.config, options), info, chunk=chunk, precision=precision)
