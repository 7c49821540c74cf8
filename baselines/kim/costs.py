"""What Kim costs: parameters and floating-point operations, without running it."""

from __future__ import annotations

import torch

from baselines.kim.config import KimConfig
from baselines.kim.network import KimNetwork
from casarbi.costs import StageCost, count_cost
from casarbi.scales import Size


def kim_cost(config: KimConfig, lr_size: Size, size: Size) -> StageCost:
    """Count on the meta device, where nothing is computed: convolutions and matrix products, as is customary.

    The image is done in one piece, and the implicit function counts as it is asked here: each question once, and the
    features' part of its first layer once per cell; the published order costs 1.85 MFLOP per pixel at the published
    size.

    Args:
        config: of the network.
        lr_size: (h, w), whose latent the denoiser can halve.
        size: (H, W) of the output.

    Returns:
        Parameters; operations of condition and decoding, once; and those of one evaluation of the denoiser.
    """
    with torch.device("meta"):
        network = KimNetwork(config).eval()
        image = torch.empty(1, 3, *lr_size)
        latent = torch.empty(1, config.first_stage.latent, *(side * config.cells for side in lr_size))
        t = torch.empty(1)

    # Once per image: encoding the condition and decoding the result. The denoiser runs per step.
    def once() -> None:
        network.condition(image, latent)
        network.decode(latent, size)

    return count_cost(network, once, lambda _: network.unet(latent, latent, t))
