"""Sampling (Algorithm 2): the cascade of stages, and in each the reverse chain of residual shifting with guidance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from casarbi.method.cascade import Stage
from casarbi.method.config import CasArbiConfig
from casarbi.method.diffusion import posterior, scale_input, timesteps
from casarbi.method.guidance import guide
from casarbi.method.network import Denoiser
from casarbi.method.residuals import Regressor, StageInputs, stage_inputs
from casarbi.method.tiling import TiledStage
from casarbi.sampling import image_noise

Report = Callable[[float], None]
"""Told the share of one image at one size that has just been done."""


def sample_cascade(
    network: Denoiser,
    u_0: Tensor,
    plan: Sequence[Stage],
    seeds: Sequence[int],
    config: CasArbiConfig,
    *,
    regressor: Regressor | None = None,
    known: Sequence[Tensor] = (),
    report: Report = lambda share: None,
) -> list[Tensor]:
    """Enlarge images stage by stage (Algorithm 2). One network serves all stages.

    Args:
        network: f_θ.
        u_0: (B, 3, h, w) in [-1, 1], the LR images.
        plan: the stages 1 … N, from `casarbi.method.cascade.plan_stages`.
        seeds: one per image. The noise of stage i depends on its seed and on i alone, so stages that two sizes share
            are the same images.
        config: how it is done.
        regressor: the base model, if `config.residual` needs one.
        known: u_1 … u_k of an earlier call whose plan began with the same k stages: they are not run again.
        report: told the share of every evaluation, and that of the known stages; they add up to 1 per image.

    Returns:
        u_1 … u_N, each (B, 3, H_i, W_i) in [-1, 1].
    """
    process, guidance, clamp = config.process, config.guidance, config.sampling.clamp == "steps"
    steps = timesteps(process, config.sampling.steps)
    shares = _shares(plan)
    if known:
        report(len(u_0) * sum(shares[: len(known)]))
    u = [u_0, *known]
    for i in range(len(known), len(plan)):
        u_prev, stage = u[-1], plan[i]
        before = (u_prev.shape[-2], u_prev.shape[-1])
        s_i = stage.scale if config.cascade.scale_input == "nominal" else stage.achieved(before)

        # What the stage knows before its first step: Up(u_{i-1}), the base B_i, the coordinates c.
        inputs = stage_inputs(u_prev, stage.size, s_i, config.residual, u_0=u_0, regressor=regressor)
        noise = image_noise(f"stage {i}", seeds, (3, *stage.size), u_0.device)
        predict = stage_predictor(network, inputs, config, shares[i] / len(steps), report)
        reference = u_0 if guidance.scg == "initial" else u_prev

        # x_T ~ N(y, kappa² eta_T I), as ResShift starts. The exact mean of Eq. 1 needs x_0 and is 0.02 (x_0 - y) off.
        x = inputs.y + process.kappa * math.sqrt(process.eta[steps[0]]) * noise()
        for t, t_next in pairwise([*steps, 0]):
            # x̂_0 = f_θ(x_t, y, t, s_i, c): the network predicts the clean residual image.
            x_0 = predict(x, t)

            # Self-consistency guidance: one gradient step towards D(image) = u_{i-1} (Eq. 8, 9).
            x_0 = guide(x_0, inputs, reference, guidance.strength(i), clamp=clamp)

            # x_{t-1} ~ p(x_{t-1} | x_t, x̂_0) (Eq. 2). The last step has no variance, and its mean is x̂_0.
            if t_next:
                step = posterior(process, t, t_next)
                x = step.of_x_t * x + step.of_x0 * x_0 + math.sqrt(step.variance) * noise()

        # u_i = B_i + x̂_0 / gain, clamped: the next stage enlarges an image.
        u.append(inputs.compose(x_0))
    return u[1:]


def stage_predictor(
    network: Denoiser, inputs: StageInputs, config: CasArbiConfig, share: float, report: Report
) -> Callable[[Tensor, int], Tensor]:
    """Return the function from x_t and t to x̂_0 of one stage; each evaluation reports its share of the work.

    What does not depend on t is computed once: here, or of a stage in tiles as `TiledStage` says.
    """
    if config.tiles.needed((inputs.up.shape[-2], inputs.up.shape[-1])):
        tiles = TiledStage(network, inputs, config.tiles)

        def evaluate(x: Tensor, t: Tensor) -> Tensor:
            return tiles.predict(x, t, lambda part: report(part * share * len(x)))

    else:
        features = network.encode(inputs)

        def evaluate(x: Tensor, t: Tensor) -> Tensor:
            x_0 = network(x, t, features)
            report(share * len(x))
            return x_0

    def predict(x: Tensor, t: int) -> Tensor:
        step = torch.full((len(x),), t, device=x.device)
        return evaluate(scale_input(x, step, config.process), step)

    return predict


def _shares(plan: Sequence[Stage]) -> list[float]:
    """Share of each stage in the work on one image, which grows with its pixels."""
    pixels = [stage.size[0] * stage.size[1] for stage in plan]
    return [count / sum(pixels) for count in pixels]
