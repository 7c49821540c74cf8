"""CasArbi (arXiv 2506.07813), self-cascaded diffusion for arbitrary-scale super-resolution, as a model like others."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import torch
from torch import Tensor

from casarbi.costs import StageCost, StageWork
from casarbi.errors import CasarbiError
from casarbi.method.cascade import Stage, plan_stages
from casarbi.method.config import CasArbiConfig, load_weights
from casarbi.method.costs import stage_costs
from casarbi.method.diffusion import timesteps
from casarbi.method.network import Denoiser
from casarbi.method.residuals import as_regressor
from casarbi.method.sampler import sample_cascade
from casarbi.method.strategies import stage_factors
from casarbi.method.tiling import KEPT_BYTES, KEPT_TILES, tiled_flops
from casarbi.network_model import NetworkModel, WeightsInfo, one_line
from casarbi.pictures.resize import resize
from casarbi.scales import Size
from casarbi.settings import change
from casarbi.signed import from_signed
from casarbi.sr import SRModel, check_seeds, create_model
from casarbi.weights import find_trained

BASE_KEY = "liif"
"""Key in a file's header of the identity of the LIIF base that its network was trained on, as JSON."""

REVISION = 2
"""Raised when a change of this code changes what the same weights and options give: part of the identity."""

Done = dict[tuple[Stage, ...], Tensor]
"""Results u_i of a batch by the stages that led to them."""


class CasArbi(NetworkModel):
    """The cascade: one denoiser, run once per stage.

    Two sizes that share stages share their images too, in whatever order the sizes are asked for.
    """

    method, title = "casarbi", "CasArbi"
    network: Denoiser

    def __init__(
        self,
        network: Denoiser,
        config: CasArbiConfig,
        weights: WeightsInfo | None = None,
        *,
        liif: SRModel | None = None,
    ) -> None:
        """Take a network and how to use it.

        Args:
            network: of `config.network`; a copy is kept.
            config: the whole configuration.
            weights: facts of the network's file.
            liif: the base model, if `config.residual` needs one.
        """
        super().__init__(copy.deepcopy(network).requires_grad_(False), weights, config.sampling.precision)
        if config.residual.needs_regressor and (liif is None or liif.info.stochastic):
            raise CasarbiError(
                f"residual_base={config.residual.residual_base} with lr_up={config.residual.lr_up} needs a base model "
                f"that draws no noise: name one with the option liif=FILE."
            )
        self.config, self.timesteps = config, timesteps(config.process, config.sampling.steps)
        # A base that the configuration does not use is neither moved to the device nor counted.
        self.liif = liif if config.residual.needs_regressor else None

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the output beside weights and precision; of the cascade not its training distribution."""
        config, cascade = self.config, self.config.cascade
        return {
            "revision": REVISION,
            "cascade": {"strategy": cascade.strategy, "s_fix": cascade.s_fix, "scale_input": cascade.scale_input},
            "residual": {name: value for name, value in asdict(config.residual).items() if name != "liif"},
            "liif": self.liif.identity if self.liif else None,
            "guidance": {"scg": config.guidance.scg, "gamma": list(config.guidance.gamma)},
            "timesteps": self.timesteps,
            "clamp": config.sampling.clamp,
            "tiles": asdict(config.tiles),
        }

    @property
    def parameters(self) -> int:
        """Number of parameters of the denoiser, and of the base if there is one."""
        return super().parameters + (self.liif.info.parameters if self.liif else 0)

    def to(self, device: str) -> CasArbi:
        """Move the networks to a device; returns self."""
        if self.liif:
            self.liif.to(device)
        return super().to(device)

    def evaluations(self, scale: float) -> int:
        """Steps of all stages. A small image may need one stage fewer, if rounding makes two of its sizes equal."""
        cascade = self.config.cascade
        return len(self.timesteps) * len(stage_factors(scale, cascade.strategy, cascade.s_fix))

    def work(self, lr_size: Size, size: Size) -> tuple[StageWork, ...] | None:
        """Of each stage, the denoiser's operations and those of the base images; None if the base's are unknown."""
        steps, stages = len(self.timesteps), []
        for before, after, cost in stage_costs(self.config, lr_size, size):
            enlarged = self.config.residual.enlarged(lr_size, before)
            bases = [self.liif.work(small, after) if self.liif else None for small in enlarged]
            if None in bases:
                return None
            flops = sum(work.flops for base in bases for work in base or ())
            stages.append(StageWork(after, steps, self._flops(cost, after) + flops))
        return tuple(stages)

    def _flops(self, cost: StageCost, size: Size) -> int:
        """The denoiser's operations in a stage that leads to a size."""
        steps, tiles = len(self.timesteps), self.config.tiles
        if not tiles.needed(size):
            return cost.flops(steps)
        return tiled_flops(cost, steps, tiles.tiles(size, self.config.network.multiple), size)

    def memory_bytes(self, lr_size: Size, size: Size) -> int:
        """The activations of one tile, kept features, and the images of a stage; measured on a CPU in float32."""
        # Activations are the largest part, and at most a tile's at once; 90 bytes per pixel are the chain's own images.
        pixels, width = size[0] * size[1], self.config.network.width
        tile = min(pixels, self.config.tiles.tile**2)
        kept = min(pixels, KEPT_TILES * tile) if pixels > tile else 0
        return width * (77 * tile + KEPT_BYTES * kept) + 90 * pixels

    def enlarge(self, images: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> Iterator[Tensor]:
        """Enlarge to several sizes; stages that they share are run once.

        A size that no stage leads to, because it is not larger than the LR image on any axis, is plain bicubic.
        """
        # Sizes of one image often share their first stages: 5.3x, 8x and 12x all pass 2x and 4x.
        done = Done()
        for size in sizes:
            results = self._run(images, size, seeds, done)
            # No stage: the size is not larger than the LR image on any axis.
            yield results[-1] if results else resize(images, size).clamp(-1, 1)

    def stages(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> list[Tensor]:
        """The results u_1 … u_N of every stage (Figure 10), or plain bicubic for a size that no stage leads to."""
        check_seeds(seeds, lr)
        plan = self.plan((lr.shape[-2], lr.shape[-1]), size)
        if not plan:
            return super().stages(lr, size, seeds)
        made: list[list[Tensor]] = [[] for _ in plan]

        def run(part: slice) -> None:
            results = self._run(self.signed(lr[part]), size, seeds[part], Done())
            for stage, images in zip(made, results, strict=True):
                stage.append(from_signed(images).clamp(0, 1).to(lr))

        self.in_batches(lr, [size], run)
        return [torch.cat(images) for images in made]

    def plan(self, base: Size, size: Size) -> tuple[Stage, ...]:
        """The stages from one size to another under the configured strategy."""
        return plan_stages(base, size, self.config.cascade.strategy, self.config.cascade.s_fix)

    def _run(self, u_0: Tensor, size: Size, seeds: Sequence[int], done: Done) -> list[Tensor]:
        """Results u_1 … u_N; stages that `done` holds are not run again, those that are run are added to it."""
        plan = self.plan((u_0.shape[-2], u_0.shape[-1]), size)
        # A result is known by all stages that led to it: 4x after 2x is not 4x in one stage.
        paths = [plan[: i + 1] for i in range(len(plan))]
        known = [done[path] for path in paths if path in done]
        results = sample_cascade(
            self.network,
            u_0,
            plan,
            seeds,
            self.config,
            regressor=as_regressor(self.liif) if self.liif else None,
            known=known,
            report=self.report,
        )
        done.update(zip(paths, results, strict=True))
        return results


def casarbi(weights: str = "mini-face", **options: Annotated[Any, CasArbiConfig]) -> CasArbi:
    """Build the model that `casarbi[:WEIGHTS][?option=value&…]` names; options not given are as in the weights' header.

    Args:
        weights: a file that `casarbi train` wrote, or the name of weights that come with this package.
        options: those that `CasArbiConfig` declares; `casarbi info casarbi` lists them.

    Raises:
        CasarbiError: if the weights are missing or unreadable, or an option cannot be used.
    """
    network, config, checkpoint = load_weights(
        find_trained("casarbi", "CasArbi", weights, "a file that casarbi train wrote")
    )
    config = change(config, options)
    liif = create_model(config.residual.liif) if config.residual.needs_regressor else None
    info = WeightsInfo.from_file(
        checkpoint.path,
        checkpoint.metadata,
        trained_scales=(1.0, config.cascade.max_scale),
        warning=base_warning(checkpoint.metadata, liif),
    )
    return CasArbi(network, config, info, liif=liif)


def base_warning(header: Mapping[str, str], liif: SRModel | None) -> str:
    """A warning if the base is not that of training: the network has only ever seen the residuals of that one."""
    trained = header.get(BASE_KEY)
    if liif is None or trained is None or trained == json.dumps(liif.identity):
        return ""
    return f"CasArbi: its LIIF base is not the one that it was trained on, {one_line(trained)}."
