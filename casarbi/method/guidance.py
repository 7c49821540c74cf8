"""Self-consistency guidance, SCG (Eq. 8, 9): keep each stage's clean prediction true to the stage before.

    L_SC(x̂_0) = ‖ D(x̂_0) - u_prev ‖²                                                          (Eq. 8)
    x̂_0 ← x̂_0 - gamma_i ∇L_SC = x̂_0 - 2 gamma_i Dᵀ( D x̂_0 - u_prev )                         (Eq. 9)

x̂_0 is the composed image here, base and residual together, so that u_prev needs no translation. Left open by the
paper and decided here: D is the antialiased bicubic of `casarbi.pictures.resize`; the norm is the squared L2 norm as
a sum; and the strength is written 2 gamma_i = gamma r², with r² the ratio of pixel counts. Because r² D Dᵀ has norm
about 1 whatever the factor, one gamma serves all stages: gamma = 1 is nearly the projection onto the images that
shrink to u_prev.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.method.residuals import StageInputs
from casarbi.pictures.resize import resize
from casarbi.plain import quote
from casarbi.settings import Choices, Option, check_choices

REFERENCES = {
    "previous": "u_{i-1}, the result of the stage before (the paper's choice)",
    "initial": "u_0, the LR image (Table VI)",
    "none": "no guidance (Table VI)",
}


@dataclass(frozen=True)
class GuidanceConfig:
    """What guides sampling. Nothing of it is trained. The paper's gamma_i are unknown: the default is ours."""

    scg: Annotated[
        str,
        Choices(*REFERENCES),
        Option(
            "reference of the self-consistency guidance: " + "; ".join(REFERENCES.values()),
            read=lambda word: "none" if word == "0" else word,
        ),
    ] = "previous"
    gamma: Annotated[
        tuple[float, ...], Option("its strength at stage 1, 2, …, such as 1,0.5; the last holds for all later stages")
    ] = (0.5,)

    def __post_init__(self) -> None:
        """Refuse unknown references, and strengths that are negative or not finite."""
        check_choices(self)
        if not self.gamma or not all(0 <= gamma < float("inf") for gamma in self.gamma):
            raise CasarbiError(f"gamma={quote(self.gamma)} must be one or more finite numbers of at least 0.")

    def strength(self, index: int) -> float:
        """Gamma of stage `index` (0 is the first); 0 without guidance."""
        return 0.0 if self.scg == "none" else self.gamma[min(index, len(self.gamma) - 1)]


def consistency_gradient(image: Tensor, reference: Tensor) -> Tensor:
    """Dᵀ(D image - reference): half the gradient of L_SC (Eq. 8), D shrinking to the reference's size.

    Args:
        image: (B, 3, H, W).
        reference: (B, 3, h, w).

    Returns:
        (B, 3, H, W); only D is differentiated, so no network need be kept for it.
    """
    # Callers sample under no_grad or inference_mode, whose tensors autograd refuses: D gets a copy of its own.
    with torch.inference_mode(False), torch.enable_grad():
        leaf = image.detach().clone().requires_grad_()
        shrunk = resize(leaf, (reference.shape[-2], reference.shape[-1]))
        error = shrunk.detach() - reference.detach().clone()
        (gradient,) = torch.autograd.grad(shrunk, leaf, grad_outputs=error)
    return gradient


def consistency_step(image: Tensor, reference: Tensor, gamma: float) -> Tensor:
    """One step of SCG (Eq. 9): image - gamma r² Dᵀ(D image - reference); with gamma 0 the image itself.

    Args:
        image: (B, 3, H, W), a composed clean prediction; not clamped here.
        reference: (B, 3, h, w), u_{i-1} or u_0 on the same scale of values.
        gamma: strength; above about 2 the step overshoots and the deviation grows.
    """
    if gamma == 0:
        return image
    # D averages about r² pixels into one, so D Dᵀ is about 1 / r²: r² makes the step independent of the factor.
    r_squared = image.shape[-2] * image.shape[-1] / (reference.shape[-2] * reference.shape[-1])
    return image - gamma * r_squared * consistency_gradient(image, reference)


def guide(x0: Tensor, inputs: StageInputs, reference: Tensor, gamma: float, *, clamp: bool) -> Tensor:
    """Return the guided x̂_0, which takes the prediction's place in Eq. 2.

    The residual image is composed to an image, clamped if asked for, guided, and turned into a residual image again.

    Args:
        x0: (B, 3, H, W), a predicted residual image.
        inputs: of the stage.
        reference: (B, 3, h, w), u_{i-1} or u_0.
        gamma: strength; 0 for none.
        clamp: whether the image is kept in [-1, 1], before the step and after it.
    """
    if gamma == 0 and not clamp:
        return x0  # to the image and back would round it
    image = consistency_step(inputs.compose(x0, clamp=clamp), reference, gamma)
    return inputs.residual(image.clamp(-1, 1) if clamp else image)
