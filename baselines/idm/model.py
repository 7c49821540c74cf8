"""IDM (Gao et al., CVPR 2023; Ree1s/IDM): diffusion with implicit upsampling, with the official checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from baselines.idm.diffusion import (
    Step,
    Update,
    add_noise,
    ancestral_update,
    ddim_update,
    published_ddim_chain,
    sample,
    spaced_chain,
    whole_chain,
)
from baselines.idm.files import IDMConfig, SamplingConfig, find_idm, load_idm
from baselines.idm.network import IDMNetwork, used_parameters
from baselines.idm.scale import p_at_one, scale_number
from casarbi.checkpoints import fact
from casarbi.errors import CasarbiError
from casarbi.pictures.resize import resize
from casarbi.references import with_options
from casarbi.scales import Size
from casarbi.sr import ModelInfo, SRModel, image_seed, one_an_image

REVISION = 1
"""Raised when a change of this code changes what the same weights and options give: part of the identity."""

OFFICIAL_WARNING = (
    "IDM: the file does not say which code trained it. Before 30 Jun 2023 that always trained at the largest scale, so "
    "other scales may come out poor (Ree1s/IDM#22), and neither code has a rule for p beyond the largest scale."
)
OFFICIAL_FACTS = {"licence": "none stated (Ree1s/IDM has no licence file)", "source": "trained with Ree1s/IDM"}
UPDATES: dict[str, Update] = {"ancestral": ancestral_update, "ddim": ddim_update}


class IDM(SRModel):
    """IDM behind the common interface.

    Images of a batch are enlarged one after another, and the noise comes from a generator of the image's seed alone, on
    the CPU: so a result depends on its image, size and seed. The published code takes squares only, and its samplers
    give back one image of a batch; for one square image the results here are the same.
    """

    def __init__(
        self,
        network: IDMNetwork,
        config: IDMConfig,
        *,
        p: str = "extend",
        max_scale: float | None = None,
        weights: str = "none",
        sha256: str = "none",
        header: dict[str, str] | None = None,
        warning: str = "",
    ) -> None:
        """Take a network and how to use it.

        Args:
            network: of `config.network`; it is put into evaluation mode.
            config: the whole configuration.
            p: rule of the scale number, see `baselines.idm.scale.p_at_one`.
            max_scale: the scale at which p is 1, for p=relative.
            weights: name of the file and what was found in it, for reports.
            sha256: of the file, for the identity.
            header: texts of the file: `licence` and `source` are reported.
            warning: what a reader must know before the numbers.

        Raises:
            CasarbiError: where an option cannot be used.
        """
        self.network, self.config = network.eval(), config
        self.rule, self.at_one = p, p_at_one(p, config.max_scale, max_scale)
        self.weights, self.sha256, self.header, self.warning = weights, sha256, header or {}, warning
        self.steps = plan_steps(config)
        self.clamp = clamps(config.sampling)

    @property
    def identity(self) -> dict[str, Any]:
        """Weights, sampler and scale number; the network and the schedule are in the weights."""
        return {
            "method": "idm",
            "revision": REVISION,
            "weights": self.sha256,
            "sampler": self.config.sampling.sampler,
            "steps": self.config.sampling.steps or "published",
            "clamp": self.clamp,
            "start": self.config.sampling.start or "noise",
            "p": {"rule": self.rule, "one_at": self.at_one},
            "precision": "float32",
        }

    @property
    def info(self) -> ModelInfo:
        """Facts for reports; parameters that a file holds and no output depends on are not counted."""
        return ModelInfo(
            parameters=used_parameters(self.network),
            trained_scales=(1.0, self.config.max_scale),
            stochastic=True,
            weights=f"{self.weights}, SHA-256 {self.sha256}",
            licence=fact(self.header, "licence"),
            source=fact(self.header, "source"),
            warning=self.warning,
        )

    def to(self, device: str) -> IDM:
        """Move the network to a device; returns self."""
        self.network.to(device)
        return self

    def evaluations(self, scale: float) -> int:
        """Steps of the chain, the same at every scale."""
        return len(self.steps)

    def memory_bytes(self, lr_size: Size, size: Size) -> int:
        """The activations at full size; the figure was measured on a CPU."""
        return 75 * self.config.network.channels[0] * size[0] * size[1]

    def upscale(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> Tensor:
        """Enlarge (B, 3, h, w) in [0, 1] to one size; see `upscale_many`."""
        return self.upscale_many(lr, [size], seeds)[0]

    def upscale_many(self, lr: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> list[Tensor]:
        """Enlarge to several sizes; each image is encoded once.

        Raises:
            CasarbiError: where there is not one seed an image, or the features of an output would have 2^31 values or
                more, the limit of many GPU kernels (pytorch/pytorch#141831).
        """
        widest = sum(self.config.network.channels[:2])
        for height, width in sizes:
            if widest * height * width >= 2**31:
                raise CasarbiError(f"IDM cannot make {width}x{height} px: its features may have at most 2^31 values.")
        outputs = [lr.new_empty(len(lr), 3, *size) for size in sizes]
        device = next(self.network.parameters()).device
        with torch.no_grad():
            for i, seed in enumerate(one_an_image(seeds, lr)):
                image = lr[i : i + 1].to(device, torch.float32).contiguous().sub(0.5).div(0.5)
                features = self.network.encoder(image)
                for output, size in zip(outputs, sizes, strict=True):
                    p = scale_number((lr.shape[-2], lr.shape[-1]), size, self.at_one)
                    output[i] = self._draw(image, features, size, p, seed)[0].clamp(-1, 1).mul(0.5).add(0.5)
        return outputs

    def _draw(self, image: Tensor, features: Tensor, size: Size, p: float, seed: int) -> Tensor:
        """One image (1, 3, H, W) in [-1, 1] and beyond, from its LR image and the encoder's features of that."""
        condition = self.network.condition(features, size, p)
        generator = torch.Generator().manual_seed(image_seed("idm", seed))

        def noise() -> Tensor:
            return torch.randn(1, 3, *size, generator=generator).to(features.device)

        def predict(x: Tensor, level: float) -> Tensor:
            eps = self.network.denoise_fn(x, x.new_tensor([level]), condition)
            self.report(1 / len(self.steps))
            return eps

        x = noise()
        if self.config.sampling.start:
            x = add_noise(resize(image, size).clamp(-1, 1), x.new_tensor([self.steps[0].level]), x)
        return sample(x, predict, self.steps, UPDATES[self.config.sampling.sampler], noise, self.clamp)


def plan_steps(config: IDMConfig) -> list[Step]:
    """Steps of the configured sampler: a number of them evenly spaced, or the published ones.

    Raises:
        CasarbiError: where the schedule has no such start, or fewer steps than the chain, or fewer below the start.
    """
    alpha_bar, sampling = config.schedule.alpha_bar, config.sampling
    if sampling.start > len(alpha_bar):
        raise CasarbiError(f"IDM's start={sampling.start} is beyond the {len(alpha_bar)} steps of its schedule.")
    if 0 < sampling.start < sampling.steps:
        raise CasarbiError(f"IDM's steps={sampling.steps} are more than its start={sampling.start}: lower steps too.")
    alpha_bar = alpha_bar[: sampling.start or None]
    if sampling.steps:
        return spaced_chain(alpha_bar, sampling.steps)
    return whole_chain(alpha_bar) if sampling.sampler == "ancestral" else published_ddim_chain(alpha_bar)


def clamps(sampling: SamplingConfig) -> bool:
    """Whether predicted images are kept in [-1, 1]; published: by the ancestral sampler, not by DDIM."""
    return sampling.sampler == "ancestral" if sampling.clamp == "published" else sampling.clamp == "on"


def idm(
    weights: str = "mini-face",
    *,
    sampler: str | None = None,
    steps: int | None = None,
    clamp: str | None = None,
    start: int | None = None,
    p: str = "extend",
    max_scale: float | None = None,
) -> IDM:
    """Build the model that `idm[:WEIGHTS][?option=value&…]` names; options not given are as in the weights' header.

    An official file has no header; it is sampled by the published ancestral chain of 2000 steps, and its p is 1 at
    scale 8, or at 4 where it has the layout of the DF2K file.

    Args:
        weights: a PREFIX_gen.pth of Ree1s/IDM or its PREFIX, a file that casarbi train wrote, or the name of weights
            that come with this package.
        sampler: ancestral or ddim.
        steps: evenly spaced steps of the schedule; 0 for the published ones, which are all of it (2000 in official
            files), or of DDIM 199 at every tenth index of 2000.
        clamp: published (ancestral keeps predicted images in [-1, 1], DDIM does not), on or off.
        start: 0 to start from noise, as published; or from how many steps of the schedule the chain is taken, the
            noisiest of which then adds its noise to the LR image's bicubic enlargement.
        p: rule of the scale number that the network is told: extend, where the largest scale of training has p = 1 and
            larger ones more; or relative, where `max_scale` has. The published code has no rule beyond the largest
            scale: fed with larger HR pictures it does as relative, and which of the two gave the paper's figures for
            10x and 12x is not known. The network runs with both.
        max_scale: the largest scale of the evaluation, for p=relative.

    Raises:
        CasarbiError: where the weights are missing or unreadable, or an option cannot be used.
    """
    found = load_idm(find_idm(weights))
    sampling = with_options(found.config.sampling, sampler=sampler, steps=steps, clamp=clamp, start=start)
    return IDM(
        found.network,
        replace(found.config, sampling=sampling),
        p=p,
        max_scale=max_scale,
        weights="; ".join((found.checkpoint.path.name, *found.notes)),
        sha256=found.checkpoint.sha256,
        header=OFFICIAL_FACTS if found.official else found.checkpoint.metadata,
        warning=OFFICIAL_WARNING if found.official else "",
    )
