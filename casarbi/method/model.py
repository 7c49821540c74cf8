"""CasArbi (arXiv 2506.07813), self-cascaded diffusion for arbitrary-scale super-resolution, as a model like others.

This file ties the parts together as Algorithm 2 does: `cascade` plans the stages, `residuals` makes what a stage works
on, `network` predicts, `diffusion` samples and `guidance` corrects.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from casarbi.checkpoints import fact
from casarbi.errors import CasarbiError
from casarbi.method.cascade import Stage, plan_stages, stage_factors
from casarbi.method.config import CasArbiConfig, load_weights
from casarbi.method.diffusion import sample, scale_input, timesteps
from casarbi.method.guidance import consistency_step
from casarbi.method.network import Denoiser
from casarbi.method.residuals import Regressor, StageInputs, stage_inputs
from casarbi.method.tiling import predict_tiled
from casarbi.pictures.resize import resize
from casarbi.references import with_options
from casarbi.scales import Size
from casarbi.signed import from_signed, to_signed
from casarbi.sr import ModelInfo, SRModel, create_model, image_seed, one_an_image
from casarbi.weights import find_trained

BASE_KEY = "liif"
"""Where a file's header holds the identity of the LIIF base that its network was trained on, as JSON."""

REVISION = 1
"""Raised when a change of this code changes what the same weights and options give: part of the identity."""

Done = dict[tuple[Stage, ...], Tensor]
"""Results u_i of one image and seed by the stages that led to them."""


class CasArbi(SRModel):
    """The cascade of a denoiser.

    Images of a batch are enlarged one after another, and the noise of stage i comes from a generator of the image's
    seed and i alone, on the CPU: so a result depends on its image, size and seed, and stages that two sizes share are
    the same images, whichever size is asked first or alone.
    """

    def __init__(
        self,
        network: Denoiser,
        config: CasArbiConfig,
        *,
        liif: SRModel | None = None,
        weights: str = "none",
        sha256: str = "none",
        header: dict[str, str] | None = None,
    ) -> None:
        """Take a network and how to use it.

        Args:
            network: of `config.network`; a copy is kept, in the configured precision.
            config: the whole configuration.
            liif: the base model, where `config.residual` needs one.
            weights: name of the file, for reports.
            sha256: of the file, for the identity.
            header: texts of the file: `licence` and `source` are reported.
        """
        dtype = getattr(torch, config.sampling.precision)
        self.network = copy.deepcopy(network).to(dtype).requires_grad_(False).eval()
        self.config, self.liif = config, liif
        self.weights, self.sha256, self.header = weights, sha256, header or {}
        self.timesteps = timesteps(config.process, config.sampling.steps)
        if config.residual.needs_regressor and (liif is None or liif.info.stochastic):
            raise CasarbiError(
                f"residual_base={config.residual.residual_base} with lr_up={config.residual.lr_up} needs a base model "
                f"that draws no noise: name one with the option liif=FILE."
            )

    @property
    def identity(self) -> dict[str, Any]:
        """Weights, and every setting that decides the output; of the cascade not its training distribution."""
        config, cascade = self.config, self.config.cascade
        return {
            "method": "casarbi",
            "revision": REVISION,
            "weights": self.sha256,
            "cascade": {"strategy": cascade.strategy, "s_fix": cascade.s_fix, "scale_input": cascade.scale_input},
            "residual": {name: value for name, value in asdict(config.residual).items() if name != "liif"},
            "liif": self.liif.identity if self.liif and config.residual.needs_regressor else None,
            "guidance": {"scg": config.guidance.scg, "gamma": list(config.guidance.gamma)},
            "timesteps": self.timesteps,
            "clamp": config.sampling.clamp,
            "precision": config.sampling.precision,
            "tiles": asdict(config.tiles),
        }

    @property
    def info(self) -> ModelInfo:
        """Facts for reports."""
        extra = self.liif.info.parameters if self.liif and self.config.residual.needs_regressor else 0
        return ModelInfo(
            parameters=sum(p.numel() for p in self.network.parameters()) + extra,
            trained_scales=(1.0, self.config.cascade.max_scale),
            stochastic=True,
            weights=f"{self.weights}, SHA-256 {self.sha256}",
            licence=fact(self.header, "licence"),
            source=fact(self.header, "source"),
            warning=self._warning(),
        )

    def _warning(self) -> str:
        """Say where the base is not that of training, whose residuals are all that the network knows."""
        trained = self.header.get(BASE_KEY)
        if self.liif is None or trained is None or trained == json.dumps(self.liif.identity):
            return ""
        return f"CasArbi: its LIIF base is not the one that it was trained on, {fact(self.header, BASE_KEY)}."

    def to(self, device: str) -> CasArbi:
        """Move the networks to a device; returns self."""
        self.network.to(device)
        if self.liif is not None:
            self.liif.to(device)
        return self

    def evaluations(self, scale: float) -> int:
        """Steps of all stages; one stage fewer where rounding brings the size of a small image to the stage before."""
        cascade = self.config.cascade
        return len(self.timesteps) * len(stage_factors(scale, cascade.strategy, cascade.s_fix))

    def memory_bytes(self, lr_size: Size, size: Size) -> int:
        """The activations of one tile and the images of a stage; figures measured on a CPU in float32."""
        pixels = size[0] * size[1]
        tile = min(pixels, self.config.tiles.tile**2)
        return 77 * self.config.network.width * tile + 90 * pixels

    def upscale(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> Tensor:
        """Enlarge (B, 3, h, w) in [0, 1] to one size; see `upscale_many`."""
        return self.upscale_many(lr, [size], seeds)[0]

    def upscale_many(self, lr: Tensor, sizes: Sequence[Size], seeds: Sequence[int]) -> list[Tensor]:
        """Enlarge to several sizes; stages that they share are run once.

        A size that no stage leads to, because it is not larger than the LR image on any axis, is plain bicubic.
        """
        outputs = [lr.new_empty(len(lr), 3, *size) for size in sizes]
        with torch.no_grad():
            for i, seed in enumerate(one_an_image(seeds, lr)):
                u_0, done = self._enter(lr[i : i + 1]), Done()
                for output, size in zip(outputs, sizes, strict=True):
                    output[i] = from_signed(self._run(u_0, size, seed, done)[-1])[0]
        return outputs

    def stages(self, lr: Tensor, size: Size, seeds: Sequence[int]) -> list[tuple[Stage, Tensor]]:
        """Enlarge and return every stage's result (Figure 10): the stage and its images (B, 3, H_i, W_i) in [0, 1]."""
        plan = self.plan((lr.shape[-2], lr.shape[-1]), size)
        with torch.no_grad():
            runs = [
                [from_signed(u) for u in self._run(self._enter(lr[i : i + 1]), size, seed, Done())]
                for i, seed in enumerate(one_an_image(seeds, lr))
            ]
        return [(stage, torch.cat(images).to(lr)) for stage, images in zip(plan, zip(*runs, strict=True), strict=False)]

    def plan(self, base: Size, size: Size) -> tuple[Stage, ...]:
        """The stages from one size to another under the configured strategy."""
        return plan_stages(base, size, self.config.cascade.strategy, self.config.cascade.s_fix)

    def _enter(self, lr: Tensor) -> Tensor:
        return to_signed(lr.to(self.network.out.weight.device, torch.float32))

    def _run(self, u_0: Tensor, size: Size, seed: int, done: Done) -> list[Tensor]:
        """Results u_1 … u_N of one image (Algorithm 2, outer loop); `done` is read and completed."""
        plan = self.plan((u_0.shape[-2], u_0.shape[-1]), size)
        if not plan:
            return [resize(u_0, size).clamp(-1, 1)]
        results: list[Tensor] = []
        pixels = [stage.size[0] * stage.size[1] for stage in plan]
        for i, stage in enumerate(plan):
            path = plan[: i + 1]
            share = pixels[i] / sum(pixels)
            if path not in done:
                done[path] = self._stage(results[-1] if results else u_0, u_0, stage, i, seed, share)
            else:
                self.report(share)
            results.append(done[path])
        return results

    def _stage(self, u_prev: Tensor, u_0: Tensor, stage: Stage, index: int, seed: int, share: float) -> Tensor:
        """Run one stage, a share of the work: u_i (1, 3, H, W) in [-1, 1] from u_{i-1} (Algorithm 2, inner loop)."""
        generator = torch.Generator().manual_seed(image_seed(f"stage {index}", seed))

        def noise(t: int) -> Tensor:
            return torch.randn(1, 3, *stage.size, generator=generator).to(u_prev.device)

        inputs = stage_inputs(
            u_prev,
            stage.size,
            self._scale(stage, u_prev),
            self.config.residual,
            u_0=u_0,
            regressor=None if self.liif is None else _as_regressor(self.liif),
        )
        guide = self._guide(inputs, u_0 if self.config.guidance.scg == "initial" else u_prev, index)
        predict = self._predictor(inputs, share / len(self.timesteps))
        x0 = sample(inputs.y, predict, noise, self.config.process, guide=guide, steps=self.timesteps)
        return inputs.compose(x0)

    def _scale(self, stage: Stage, u_prev: Tensor) -> float:
        """s_i as the network is told it."""
        if self.config.cascade.scale_input == "nominal":
            return stage.scale
        return (stage.size[0] * stage.size[1] / (u_prev.shape[-2] * u_prev.shape[-1])) ** 0.5

    def _predictor(self, inputs: StageInputs, share: float) -> Callable[[Tensor, int], Tensor]:
        """x_t and t to x̂_0, each time a share of the work.

        What does not depend on t is computed here, once, unless the stage is cut into tiles.
        """
        process, tiles = self.config.process, self.config.tiles
        whole = None if tiles.needed((inputs.up.shape[-2], inputs.up.shape[-1])) else self.network.encode(inputs)

        def predict(x_t: Tensor, t: int) -> Tensor:
            step = torch.tensor([t], device=x_t.device)
            x_t = scale_input(x_t, step, process)
            if whole is None:
                return predict_tiled(self.network, inputs, x_t, step, tiles, lambda part: self.report(part * share))
            x0 = self.network(x_t, step, whole)
            self.report(share)
            return x0

        return predict

    def _guide(self, inputs: StageInputs, reference: Tensor, index: int) -> Callable[[Tensor, int], Tensor] | None:
        """Clamping and SCG on the composed image, as a map of x̂_0."""
        gamma, clamp = self.config.guidance.strength(index), self.config.sampling.clamp == "steps"
        if not gamma and not clamp:
            return None

        def guide(x0: Tensor, t: int) -> Tensor:
            image = consistency_step(inputs.compose(x0, clamp=clamp), reference, gamma)
            return inputs.residual(image.clamp(-1, 1) if clamp else image)

        return guide


def casarbi(
    weights: str = "mini-face",
    *,
    schedule: str | None = None,
    s_fix: float | None = None,
    scg: str | None = None,
    gamma: str | None = None,
    steps: int | None = None,
    residual_base: str | None = None,
    liif: str | None = None,
    clamp: str | None = None,
    precision: str | None = None,
    tile: int | None = None,
    overlap: int | None = None,
) -> CasArbi:
    """Build the model that `casarbi[:WEIGHTS][?option=value&…]` names; options not given are as in the weights' header.

    Args:
        weights: a file that `casarbi train` wrote, or the name of weights that come with this package.
        schedule: rl (remainder last), rf (remainder first), us (uniform) or single (one stage).
        s_fix: the fixed factor of the stages.
        scg: reference of the self-consistency guidance: previous, initial or none (also 0).
        gamma: its strength, or strengths by stage such as 1,0.5.
        steps: sampling steps a stage, at most as many as were trained.
        residual_base: none, bicubic, liif_initial or liif_stage: for ablations, as the network knows only the one that
            it was trained with.
        liif: weights of the LIIF base.
        clamp: steps or last.
        precision: float32 or bfloat16.
        tile: side of the tiles of large images, in pixels.
        overlap: pixels that tiles share.

    Raises:
        CasarbiError: where the weights are missing or unreadable, or an option cannot be used.
    """
    network, config, checkpoint = load_weights(
        find_trained("casarbi", "CasArbi", weights, "a file that casarbi train wrote")
    )
    config = replace(
        config,
        cascade=with_options(config.cascade, strategy=schedule, s_fix=s_fix),
        guidance=with_options(
            config.guidance, scg="none" if scg == "0" else scg, gamma=None if gamma is None else _numbers(gamma)
        ),
        residual=with_options(config.residual, residual_base=residual_base, liif=liif and f"liif:{liif}"),
        sampling=with_options(config.sampling, steps=steps, clamp=clamp, precision=precision),
        tiles=with_options(config.tiles, tile=tile, overlap=overlap),
    )
    base = create_model(config.residual.liif) if config.residual.needs_regressor else None
    path = checkpoint.path
    return CasArbi(network, config, liif=base, weights=path.name, sha256=checkpoint.sha256, header=checkpoint.metadata)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(piece) for piece in text.split(","))
    except ValueError:
        raise CasarbiError(f"Option gamma={text} is not a number, nor numbers such as 1,0.5.") from None


def _as_regressor(model: SRModel) -> Regressor:
    """An SR model as a map of images in [-1, 1]."""

    def enlarge(images: Tensor, size: Size) -> Tensor:
        return to_signed(model.upscale(from_signed(images), size, [0] * len(images)))

    return enlarge
