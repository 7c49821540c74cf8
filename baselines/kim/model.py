"""Kim et al., CVPR 2024 (arXiv 2403.10255, zhenshij/arbitrary-scale-diffusion): latent diffusion, implicit decoder.

Its authors published code but no weights: what can be loaded is what somebody trained with that code, or here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.kim.config import KimConfig
from baselines.kim.diffusion import plan_steps, sample
from baselines.kim.files import load_kim
from baselines.kim.network import KimNetwork
from baselines.liif.model import CPU_CHUNK, GPU_CHUNK, check_chunk
from casarbi.checkpoints import fact
from casarbi.references import with_options
from casarbi.scales import Size
from casarbi.sr import ModelInfo, SRModel, check_sizes, image_seed, one_an_image
from casarbi.tiles import blend, cut_up
from casarbi.weights import find_trained

REVISION = 1
"""Raised when a change of this code changes what the same weights and options give: part of the identity."""

WANTED = "a checkpoint file, of the published code's training or of casarbi train"

CHAIN_SHARE = 0.5
"""Share of the work that the chain is; the decoder is the rest. For progress alone."""

Noise = Callable[[tuple[int, ...]], Tensor]
"""Standard normal values of a shape."""


class Kim(SRModel):
    """Kim's model behind the common interface.

    The chain runs once an image, on a latent whose shape follows from the LR image; every size is decoded from it.
    Images of a batch are enlarged one after another, and an image's noise comes from a generator of its seed alone, on
    the CPU, in the published order: the condition's, x_T, then one for each step. So a result depends on its image,
    size and seed. Chunk and device change it by rounding alone, so they are no part of the identity.

    Official code enlarges square LR images of one side. Ours are two extensions, which leave that case as it is: sides
    that the denoiser cannot halve are padded (and the latent cut back), and latents larger than those of training are
    done in tiles, each of the side that the networks were trained on (see `casarbi.method.tiling`).
    """

    def __init__(
        self,
        network: KimNetwork,
        config: KimConfig | None = None,
        *,
        chunk: int | None = None,
        weights: str = "none",
        sha256: str = "none",
        header: Mapping[str, str] | None = None,
        notes: Sequence[str] = (),
        warning: str = "",
    ) -> None:
        """Take a network and how to run it.

        Args:
            network: used as it is, not copied.
            config: that of the network but for sampling and tiles, which may be others; by default the network's.
            chunk: predictions of the implicit decoder at once.
            weights: name of the file, for reports.
            sha256: of the file, for the identity.
            header: texts of the file: `licence` and `source` are reported.
            notes: which of the file's weights were taken, for identity and reports.
            warning: what a reader must know before the numbers.
        """
        self.network, self.config = network.eval(), config or network.config
        self.chunk, self.weights, self.sha256 = chunk, weights, sha256
        self.header, self.notes, self.warning = header or {}, tuple(notes), warning
        self.steps = plan_steps(self.config.diffusion, self.config.sampling)

    @property
    def identity(self) -> dict[str, Any]:
        """Weights, and every setting that decides the output."""
        config = self.config
        return {
            "method": "kim",
            "revision": REVISION,
            "weights": self.sha256,
            "notes": list(self.notes),
            "sides": [config.lr_side, config.hr_side],
            "sampling": asdict(config.sampling),
            "tiles": {"tile": config.tile_side, "overlap": config.shared},
            "precision": "float32",
        }

    @property
    def info(self) -> ModelInfo:
        """Facts for reports; all parameters are used at inference, as the encoder makes the condition."""
        return ModelInfo(
            parameters=sum(p.numel() for p in self.network.parameters()),
            trained_scales=self.config.trained_scales,
            stochastic=True,
            weights="; ".join((f"{self.weights}, SHA-256 {self.sha256}", *self.notes)),
            licence=fact(self.header, "licence"),
            source=fact(self.header, "source"),
            warning=self.warning,
        )

    def to(self, device: str) -> Kim:
        """Move the network to a device; returns self."""
        self.network.to(device)
        return self

    def evaluations(self, scale: float) -> int:
        """Steps of the chain, whatever the scale: as published, one fewer than asked for."""
        return len(self.steps)

    def memory_bytes(self, lr_size: Size, size: Size) -> int:
        """The activations of one latent tile, the feature map and the output; figures measured on a CPU."""
        cells = lr_size[0] * lr_size[1] * self.config.cells**2
        tile = min(cells, self.config.tile_side**2)
        return 540 * self.config.unet.channels * tile + 1200 * cells + 24 * size[0] * size[1]

    def upscale(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> Tensor:
        """Enlarge (B, 3, h, w) in [0, 1] to any size."""
        return self.upscale_many(lr, [size], seeds)[0]

    def upscale_many(self, lr: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> list[Tensor]:
        """Enlarge to several sizes, all decoded from one latent.

        Raises:
            CasarbiError: where an output would have 2^31 values or more, or seeds do not match images.
        """
        check_sizes("Kim", sizes)
        device = self.network.scale_factor.device
        chunk = self.chunk or (CPU_CHUNK if device.type == "cpu" else GPU_CHUNK)
        outputs = [lr.new_empty(len(lr), 3, *size) for size in sizes]
        with torch.no_grad():
            for i, seed in enumerate(one_an_image(seeds, lr)):
                features = self.features(self.latent(lr[i : i + 1], draws(seed, str(device))))
                for output, size in zip(outputs, sizes, strict=True):
                    made = self.network.first_stage.render(features, size, chunk, self._painted)
                    output[i] = made[0].mul_(0.5).add_(0.5).clamp_(0, 1)
        return outputs

    def latent(self, lr: Tensor, noise: Noise) -> Tensor:
        """Run the chain for one image.

        Args:
            lr: (1, 3, h, w) in [0, 1].
            noise: asked for the condition's noise where its posterior is sampled, then for x_T and that of each step.

        Returns:
            The scaled latent (1, latent, cells * h, cells * w), on the network's device.
        """
        config, network = self.config, self.network
        image = lr.to(network.scale_factor) * 2 - 1
        padded = pad_to_multiple(image, config.multiple // config.cells)
        size = (padded.shape[-2] * config.cells, padded.shape[-1] * config.cells)
        shape = (1, config.first_stage.latent, *size)
        sampled = config.first_stage.gaussian and config.sampling.posterior == "sample"
        posterior = noise(shape) if sampled else None
        tiles = cut_up(size, config.tile_side, config.shared, config.multiple)
        conditions = [
            network.condition(tile.cut(padded, config.cells), None if posterior is None else tile.cut(posterior))
            for tile in tiles
        ]

        def denoise(x: Tensor, step: Tensor, i: int) -> Tensor:
            made = network.unet(tiles[i].cut(x), conditions[i], step)
            self.report(CHAIN_SHARE / (len(self.steps) * len(tiles)))
            return made

        def predict(x: Tensor, t: int) -> Tensor:
            step = torch.tensor([t], device=x.device)
            return blend(tiles, size, lambda i: denoise(x, step, i))

        start = blend(tiles, size, conditions.__getitem__) if config.sampling.start else None
        last_noise = config.sampling.last_noise
        z = sample(predict, lambda: noise(shape), self.steps, last_noise=last_noise, start=start)
        return z[..., : lr.shape[-2] * config.cells, : lr.shape[-1] * config.cells]

    def _painted(self, share: float) -> None:
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


def draws(seed: int, device: str = "cpu") -> Noise:
    """Noise of one image, one draw after another; made on the CPU, so it is the same on every device."""
    generator = torch.Generator().manual_seed(image_seed("kim", seed))
    return lambda shape: torch.randn(shape, generator=generator).to(device)


def kim(
    weights: str = "mini-face",
    *,
    steps: int | None = None,
    eta: float | None = None,
    ema: bool = False,
    drop_noisiest: bool | None = None,
    last_noise: bool | None = None,
    last_alpha: str | None = None,
    posterior: str | None = None,
    start: int | None = None,
    lr_side: int | None = None,
    hr_side: int | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    chunk: int | None = None,
) -> Kim:
    """Build the model that `kim[:WEIGHTS][?option=value&…]` names.

    Without options the chain is that of the weights' header, and of published files that of the published evaluation.

    Args:
        weights: a checkpoint of the published code's training (no trained one was ever published), a file that `casarbi
            train` wrote, or the name of weights that come with this package.
        steps: DDIM steps S; published 200.
        eta: 1 as published, 0 for the deterministic chain.
        ema: take the averaged weights of a published file; the published evaluation takes the raw ones.
        drop_noisiest: leave the noisiest step out, as published.
        last_noise: add noise after the last step too, as published.
        last_alpha: alpha-bar that the last step leads to: first (published) or one.
        posterior: the condition of a Gaussian first stage: sample (published) or mean.
        start: 0 to start from noise, as published; or the step below which the chain lies, which then starts from the
            LR image's latent with the noise of its first step.
        lr_side: side of the LR images in training, for files of a layout that was not published.
        hr_side: the HR side alike; hr_side / lr_side is by how much the LR image is enlarged before it is encoded.
        tile: side of tiles in latent cells, by default that of training.
        overlap: latent cells that tiles share, by default a quarter of a tile.
        chunk: predictions of the implicit decoder at once, which bounds memory; a result does not depend on it.

    Raises:
        CasarbiError: where the weights are missing, unreadable or not of Kim, or an option cannot be used.
    """
    check_chunk(chunk)
    loaded = load_kim(find_trained("kim", "Kim", weights, WANTED), ema=ema, lr_side=lr_side, hr_side=hr_side)
    chain = with_options(
        loaded.config.sampling,
        steps=steps,
        eta=eta,
        drop_noisiest=drop_noisiest,
        last_noise=last_noise,
        last_alpha=last_alpha,
        posterior=posterior,
        start=start,
    )
    return Kim(
        loaded.network,
        with_options(loaded.config, sampling=chain, tile=tile, overlap=overlap),
        chunk=chunk,
        weights=loaded.checkpoint.path.name,
        sha256=loaded.checkpoint.sha256,
        header=loaded.checkpoint.metadata,
        notes=loaded.notes,
        warning=loaded.warning,
    )
