"""IDM (Gao et al., CVPR 2023; Ree1s/IDM): diffusion with implicit upsampling, with the official checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from torch import Tensor

from baselines.ddpm import Step, ancestral, ddim
from baselines.idm.config import IDMConfig
from baselines.idm.costs import idm_cost
from baselines.idm.diffusion import noise_to_level, published_ddim_chain, spaced_chain, whole_chain
from baselines.idm.files import find_idm, load_idm
from baselines.idm.network import Condition, IDMNetwork, used_parameters
from baselines.idm.scale import p_at_one, scale_number
from casarbi.costs import StageWork
from casarbi.errors import CasarbiError
from casarbi.network_model import NetworkModel, WeightsInfo
from casarbi.pictures.resize import resize
from casarbi.precision import Precision
from casarbi.sampling import image_noise
from casarbi.scales import Size
from casarbi.settings import Option, change

REVISION = 1
"""Raised when a change of this code changes what the same weights and options give: part of the identity."""

SAMPLERS = {"ancestral": ancestral, "ddim": ddim}


class IDM(NetworkModel):
    """IDM behind the common interface.

    The published code takes squares only, and its samplers give back one image of a batch; for one square image the
    results here are the same.
    """

    method, title = "idm", "IDM"
    network: IDMNetwork

    def __init__(
        self,
        network: IDMNetwork,
        config: IDMConfig,
        weights: WeightsInfo | None = None,
        *,
        p: str = "extend",
        max_scale: float | None = None,
        precision: str = "float32",
    ) -> None:
        """Take a network and how to use it.

        Args:
            network: of `config.network`.
            config: the whole configuration.
            weights: facts of their file.
            p: rule of the scale number, see `baselines.idm.scale.p_at_one`.
            max_scale: the scale at which p is 1, for p=relative.
            precision: numbers that it computes with.

        Raises:
            CasarbiError: if an option cannot be used.
        """
        super().__init__(network, weights, precision)
        self.config = config
        self.rule, self.at_one = p, p_at_one(p, config.max_scale, max_scale)
        # Most channels of a feature map at full size: the level below, upsampled, joined to a skip of the finest.
        self.widest = sum(config.network.channels[:2])
        self.steps = plan_steps(config)
        self.clamp = config.sampling.clamps

    @property
    def settings(self) -> dict[str, Any]:
        """Sampler and scale number; the network and the schedule are in the weights."""
        sampling = self.config.sampling
        return {
            "revision": REVISION,
            "sampler": sampling.sampler,
            "steps": sampling.steps or "published",
            "clamp": self.clamp,
            "start": sampling.start or "noise",
            "p": {"rule": self.rule, "one_at": self.at_one},
        }

    @property
    def parameters(self) -> int:
        """Number of parameters that an output depends on."""
        return used_parameters(self.network)

    def evaluations(self, scale: float) -> int:
        """Steps of the chain, the same at every scale."""
        return len(self.steps)

    def work(self, lr_size: Size, size: Size) -> tuple[StageWork, ...]:
        """One stage: encoder, condition and pyramid once, the denoiser in every step."""
        steps = len(self.steps)
        return (StageWork(size, steps, idm_cost(self.config.network, lr_size, size).flops(steps)),)

    def memory_bytes(self, lr_size: Size, size: Size) -> int:
        """The activations at full size; the figure was measured on a CPU."""
        return 75 * self.config.network.channels[0] * size[0] * size[1]

    def enlarge(self, images: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> Iterator[Tensor]:
        """Enlarge to several sizes, encoding each image once."""
        lr_size = (images.shape[-2], images.shape[-1])
        features = self.network.encoder(images)
        for size in sizes:
            condition = self.network.condition(features, size, scale_number(lr_size, size, self.at_one))
            # The chain depends on the size from its first noise on, so only the features are shared.
            yield self._sample(images, condition, size, seeds)

    def _sample(self, images: Tensor, condition: Condition, size: Size, seeds: Sequence[int]) -> Tensor:
        """Run the chain for one size."""
        noise = image_noise("idm", seeds, (3, *size), images.device)

        def predict(x: Tensor, step: Step) -> Tensor:
            eps = self.network.denoise_fn(x, x.new_tensor([step.level]), condition).float()
            self.report(len(x) / len(self.steps))
            return eps

        x = noise()
        # Start from the enlarged LR image, noised to the level of the first step, instead of pure noise.
        if self.config.sampling.start:
            x = noise_to_level(resize(images, size).clamp(-1, 1), x, x.new_tensor([self.steps[0].level]))
        return SAMPLERS[self.config.sampling.sampler](x, predict, self.steps, noise, clamp=self.clamp)


def plan_steps(config: IDMConfig) -> list[Step]:
    """Steps of the configured sampler: a number of them evenly spaced, or the published ones.

    Raises:
        CasarbiError: if the schedule has no such start, or fewer steps than the chain, or fewer below the start.
    """
    alpha_bar, sampling = config.schedule.alpha_bar, config.sampling
    if sampling.start > len(alpha_bar):
        raise CasarbiError(f"IDM's start={sampling.start} is beyond the {len(alpha_bar)} steps of its schedule.")
    if 0 < sampling.start < sampling.steps:
        raise CasarbiError(f"IDM's steps={sampling.steps} are more than its start={sampling.start}: lower steps too.")
    # With a start, the chain uses only the first `start` steps of the schedule, the least noisy ones.
    alpha_bar = alpha_bar[: sampling.start or None]
    if sampling.steps:
        return spaced_chain(alpha_bar, sampling.steps)
    return whole_chain(alpha_bar) if sampling.sampler == "ancestral" else published_ddim_chain(alpha_bar)


def idm(
    weights: str = "mini-face",
    *,
    p: Annotated[
        str,
        Option(
            "rule of the scale number that the network is told: extend, with p = 1 at the largest scale of training "
            "and more beyond it; or relative, with p = 1 at max_scale"
        ),
    ] = "extend",
    max_scale: Annotated[float | None, Option("largest scale of the evaluation, for p=relative")] = None,
    precision: Precision = "float32",
    **options: Annotated[Any, IDMConfig],
) -> IDM:
    """Build the model that `idm[:WEIGHTS][?option=value&…]` names; options not given are as in the weights' header.

    The weights are a PREFIX_gen.pth of Ree1s/IDM or its PREFIX, a file that casarbi train wrote, or the name of weights
    that come with this package. An official file has no header; it is sampled by the published ancestral chain of 2000
    steps, and its p is 1 at scale 8, or at 4 if it has the layout of the DF2K file.

    The published code has no rule of p beyond the largest scale of training: fed with larger HR pictures it does as
    p=relative, and which of the two gave the paper's figures for 10x and 12x is not known.

    Raises:
        CasarbiError: if the weights are missing or unreadable, or an option cannot be used.
    """
    found = load_idm(find_idm(weights))
    return IDM(found.network, change(found.config, options), found.info, p=p, max_scale=max_scale, precision=precision)
