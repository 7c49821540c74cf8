"""What a stage works on: residual images, coordinates and conditions, made alike for training and inference.

The paper (§III-A) runs the chain on "HR and LR residual images" from a pretrained SR model, without a formula. We read

    x_0 = gain · (HR_i - B_i),   y = gain · (Up(u_{i-1}) - B_i),   u_i = B_i + x̂_0 / gain

with B_i the base image of stage i (docs/method.md §3). x_0 has no bounds of its own: the composed image is clamped,
never the residual. Images are in [-1, 1] here, as in ResShift; `to_signed` and `from_signed` stand at the border.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from casarbi.errors import CasarbiError, near_names
from casarbi.pictures.resize import resize
from casarbi.plain import quote
from casarbi.references import MODELS, Reference
from casarbi.scales import Size
from casarbi.settings import Choices, Option, check_choices
from casarbi.signed import from_signed, to_signed
from casarbi.sr import SRModel

Regressor = Callable[[Tensor, Size], Tensor]
"""A deterministic SR model such as LIIF: images in [-1, 1] and a size to images of that size in [-1, 1]."""


@dataclass(frozen=True)
class ResidualConfig:
    """How residual images are made; the paper leaves all three open.

    Attributes:
        residual_base: B_i: `none` (zero: the chain runs on images), `bicubic` (of u_{i-1}), `liif_initial` (LIIF of u_0
            at the cumulative scale; "initial LR image" in the paper points to it) or `liif_stage` (LIIF of u_{i-1}).
        lr_up: Up: `bicubic` or `liif`. With the base made the same way y is zero, and the chain starts from pure noise.
        residual_gain: the factor that gives residuals about unit spread, for which kappa = 2 was tuned.
        liif: reference of the LIIF if one is needed, such as `liif:mini-face`. The paper's was trained on the same
            data. Weights files hold it, so it names a registered model, and not CasArbi, whose file could name itself.
    """

    residual_base: Annotated[
        str,
        Choices("none", "bicubic", "liif_initial", "liif_stage"),
        Option("base of the residual images, for ablations: the network knows the one it was trained with"),
    ] = "bicubic"
    lr_up: Annotated[str, Choices("bicubic", "liif")] = "bicubic"
    residual_gain: float = 4.0
    liif: Annotated[str, Option("weights of the LIIF base, such as mini-face", read="liif:{}".format)] = ""

    def __post_init__(self) -> None:
        """Refuse unknown words and a gain that is not positive."""
        check_choices(self)
        if not 0 < self.residual_gain < float("inf"):
            raise CasarbiError(f"residual_gain={self.residual_gain} must be positive and finite.")
        if self.liif:
            _check_base(self.liif)

    @property
    def needs_regressor(self) -> bool:
        """Whether a LIIF is part of the method."""
        return self.lr_up == "liif" or self.residual_base.startswith("liif")

    def enlarged(self, lr_size: Size, before: Size) -> tuple[Size, ...]:
        """Sizes of the images that the LIIF enlarges for one stage: of the LR image, of the stage's input, or of both.

        Args:
            lr_size: (h, w) of the LR image.
            before: (H, W) of the stage's input.
        """
        # Base and Up made of the same image are one (see `stage_inputs`).
        initial, stage = self.residual_base == "liif_initial", self.residual_base == "liif_stage"
        return (lr_size,) * initial + (before,) * (stage or self.lr_up == "liif")


def _check_base(reference: str) -> None:
    # By its registered name only: a reference such as module:factory in a file would run code.
    name = Reference.parse(reference).name
    known = [known for known in MODELS.names() if known != "casarbi"]
    if name not in known:
        raise CasarbiError(
            f"liif is {quote(reference)}, but the base, whose name goes into weights files, must be a registered model "
            f"other than casarbi: {near_names(name, known)}"
        )


@dataclass(frozen=True)
class StageInputs:
    """All that a stage knows before its first step; images in [-1, 1].

    Attributes:
        u_prev: (B, 3, h, w) u_{i-1}, the condition; in training the LR image with its noise augmentation.
        up: (B, 3, H, W) Up(u_{i-1}).
        base: (B, 3, H, W) B_i.
        coordinates: (1, 2, H, W) c, (y, x) of the pixel centres.
        scale: (B,) s_i as the network is told it.
        gain: residual_gain.
    """

    u_prev: Tensor
    up: Tensor
    base: Tensor
    coordinates: Tensor
    scale: Tensor
    gain: float

    @property
    def y(self) -> Tensor:
        """The LR residual image."""
        return self.residual(self.up)

    def residual(self, image: Tensor) -> Tensor:
        """The residual image of an image that has the stage's size; that of the HR image is x_0."""
        return self.gain * (image - self.base)

    def compose(self, x0: Tensor, *, clamp: bool = True) -> Tensor:
        """The image of a predicted residual: the base is added, and the sum clamped to [-1, 1]."""
        image = self.base + x0 / self.gain
        return image.clamp(-1, 1) if clamp else image


def stage_inputs(
    u_prev: Tensor,
    size: Size,
    scale: float,
    config: ResidualConfig,
    *,
    u_0: Tensor | None = None,
    regressor: Regressor | None = None,
) -> StageInputs:
    """Make the inputs of a stage, the same way in training and inference.

    Args:
        u_prev: (B, 3, h, w) in [-1, 1].
        size: (H, W) of the stage's output.
        scale: s_i, nominal or achieved as `CascadeConfig.scale_input` says.
        config: how residual images are made.
        u_0: (B, 3, h0, w0) the original LR images, needed for residual_base = liif_initial alone.
        regressor: LIIF, if the configuration asks for it.

    Raises:
        CasarbiError: if u_0 or the regressor is needed and not given.
    """
    if config.needs_regressor and regressor is None:
        raise CasarbiError(
            f"residual_base={config.residual_base} with lr_up={config.lr_up} needs a LIIF: name one, or use bicubic."
        )
    if config.residual_base == "liif_initial" and u_0 is None:
        raise CasarbiError("residual_base=liif_initial needs the original LR image beside the stage's input.")

    def enlarge(kind: str) -> Tensor:
        # Overshoot is kept in Up and B: clamping them would put errors into residuals that have no bounds anyway.
        return regressor(u_prev, size) if kind.startswith("liif") and regressor else resize(u_prev, size)

    # y = gain · (Up - B) follows from the two images (docs/method.md §3).
    up = enlarge(config.lr_up)
    if config.residual_base == "none":
        base = torch.zeros_like(up)
    elif config.residual_base == "liif_initial" and regressor is not None and u_0 is not None:
        base = regressor(u_0, size)  # at the cumulative scale s_1 ⋯ s_i
    else:
        # Made the same way, base and Up are one image: LIIF costs more than the denoiser, so it is run once.
        same = config.residual_base.startswith("liif") == (config.lr_up == "liif")
        base = up if same else enlarge(config.residual_base)
    coordinates = coordinate_map(size, u_prev.device)

    # The same factor for the whole batch: one stage is trained, or run, at a time.
    told = torch.full((len(u_prev),), scale, dtype=torch.float32, device=u_prev.device)
    return StageInputs(u_prev, up, base, coordinates, told, config.residual_gain)


def coordinate_map(size: Size, device: torch.device | str | None = None) -> Tensor:
    """Coordinate map c: the places of an image's pixels, with its edges at -1 and 1.

    Pixel centres as in LIIF, which the paper does not say.

    Returns:
        (1, 2, H, W) float32, y then x.
    """
    # The centre of pixel i of n, at (2i + 1) / n - 1.
    axes = [(torch.arange(n, dtype=torch.float32, device=device) * 2 + 1) / n - 1 for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def as_regressor(model: SRModel) -> Regressor:
    """An SR model as a map of images in [-1, 1]; it runs in float32 whatever the training around it."""

    def enlarge(images: Tensor, size: Size) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return to_signed(model.upscale(from_signed(images.float()), size, [0] * len(images)))

    return enlarge
