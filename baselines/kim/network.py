"""Kim's whole network: first stage, denoiser and the factor that scales the latent, under the published names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.kim.config import KimConfig
from baselines.kim.first_stage import FirstStage
from baselines.kim.unet import UNet
from casarbi.scales import Size


class DenoiserWrapper(nn.Module):
    """Puts the denoiser under its published name, model.diffusion_model."""

    def __init__(self, unet: UNet) -> None:
        super().__init__()
        self.diffusion_model = unet


class KimNetwork(nn.Module):
    """Its state has the keys of the published checkpoints, without those of schedule and averages."""

    scale_factor: Tensor

    def __init__(self, config: KimConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("scale_factor", torch.tensor(1.0))
        self.model = DenoiserWrapper(UNet(config.unet, config.first_stage.latent))
        self.first_stage_model = FirstStage(config.first_stage)

    @property
    def unet(self) -> UNet:
        """The denoiser."""
        return self.model.diffusion_model

    @property
    def first_stage(self) -> FirstStage:
        """The autoencoder."""
        return self.first_stage_model

    def condition(self, lr: Tensor, noise: Tensor | None = None) -> Tensor:
        """Condition of LR images: enlarged by nearest neighbour, encoded, scaled (docs/kim.md §4).

        Args:
            lr: (B, 3, h, w) in [-1, 1].
            noise: for a sample of the posterior, which official code takes for faces; see `FirstStage.encode`.

        Returns:
            (B, latent, cells * h, cells * w).
        """
        return self.latent(F.interpolate(lr, scale_factor=self.config.enlargement, mode="nearest"), noise)

    def latent(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Scaled latent (B, latent, h, w) of images (B, 3, H, W) in [-1, 1]; the noise as in `condition`."""
        return self.scale_factor * self.first_stage.encode(images, noise)

    def decode(self, z: Tensor, size: Size) -> Tensor:
        """Images (B, 3, H, W) from a scaled latent; differentiable."""
        return self.first_stage.decode(z / self.scale_factor, size)
