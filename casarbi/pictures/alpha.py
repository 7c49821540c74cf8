"""See-through parts: enlarged beside the colours, and colours freed of the background under them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from casarbi.pictures.resize import resize
from casarbi.scales import Size


def enlarge_alpha(alpha: Tensor, size: Size) -> Tensor:
    """Enlarge alpha by bicubic without its overshoot: a flat part stays as it is up to its edge.

    Args:
        alpha: (1, h, w) in [0, 1].
        size: (height, width), no smaller than those of `alpha`.

    Returns:
        (1, *size), each value between those of the 3x3 pixels it lies in.
    """
    # Smallest and largest alpha of each 3x3 neighbourhood (a minimum is minus the maximum of the negatives).
    low, high = (sign * max_pool2d(sign * alpha, 3, stride=1, padding=1) for sign in (-1, 1))
    bounds = [interpolate(bound[None], size, mode="nearest-exact")[0] for bound in (low, high)]
    return resize(alpha, size).clamp(*bounds)


def unblend(rgb: Tensor, alpha: Tensor, background: Tensor) -> Tensor:
    """Take a background out again, so that colours can be stored beside alpha and give `rgb` when laid over it.

    With a linear enlarger this makes enlarging the laid-over picture the same as enlarging colours multiplied by
    alpha: colours that alpha 0 hides never bleed into view (xinntao/Real-ESRGAN#291).

    Args:
        rgb: (3, H, W) in [0, 1], laid over the background.
        alpha: (1, H, W) in [0, 1].
        background: (3,) in [0, 1].

    Returns:
        (3, H, W) in [0, 1]; the background's colour where alpha is below half a level.
    """
    ground = background.to(rgb)[:, None, None]
    straight = ground + (rgb - ground) / alpha.clamp_min(1e-6)
    # Below half a level the division only amplifies rounding, and nobody sees the colour.
    return torch.where(alpha < 0.5 / 255, ground, straight).clamp(0, 1)
