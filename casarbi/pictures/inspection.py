"""A look at what a model returned, before anything clamps it: is it a picture, and does it belong to its input?

Both programs go through here, so that the output of a plug-in is refused or warned of in the same words.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import to_uint8
from casarbi.scales import Size

OVERSHOOT = 0.7
"""How far values may lie outside [0, 1]: interpolation of [0, 1] by Lanczos-3 overshoots by 0.69 in the worst case."""
STRAY_SHARE = 1e-3
"""Share of the values that may lie further outside: a few unstable pixels are not another range."""
PATCH_OVERSHOOT = 0.1
"""How far the mean of a patch may lie outside [0, 1]: overshoot beside edges cancels out within it."""
COLOUR_LIMIT = 5.0
"""Mean colour error, in levels of 255, from which a result is said to have another hue than its input."""
LOCAL_LIMIT = 20.0
"""The same for the patch that is worst."""

EQUAL, COLOUR, ORDER = "equal", "colour", "channel order"
"""Kinds of findings."""


def check_batch(output: object, count: int, size: Size) -> Tensor:
    """Refuse an output that is not a batch of pictures at all.

    Args:
        output: what a model's `upscale` returned.
        count: images in the batch.
        size: (H, W) that was asked for.

    Returns:
        The output, (count, 3, H, W), as float32 on the CPU.

    Raises:
        CasarbiError: if it is no tensor, not floating point, or has another shape.
    """
    expected = (count, 3, *size)
    if not isinstance(output, Tensor):
        raise CasarbiError(f"The model returned {type(output).__name__}, expected a torch.Tensor of shape {expected}.")
    if tuple(output.shape) != expected:
        raise CasarbiError(f"The model returned shape {tuple(output.shape)}, expected {expected}.")
    if not output.is_floating_point():
        found = f"{output.dtype} from {output.min()} to {output.max()}" if not output.is_complex() else output.dtype
        raise CasarbiError(f"The model returned {found}, expected floating point in [0, 1]: divide bytes by 255.")
    return output.float().cpu()


def look(sr: Tensor, lr: Tensor, gt: Tensor | None = None) -> dict[str, str]:
    """Look at one picture that a model made.

    Args:
        sr: (3, H, W) as it came from the model.
        lr: (3, h, w) in [0, 1], its input.
        gt: (3, H, W) in [0, 1], its reference, if there is one.

    Returns:
        What a person should know, by kind: the end of a sentence that begins with the picture's name.

    Raises:
        CasarbiError: if values are not finite, or lie in another range than [0, 1].
    """
    broken = sr.numel() - int(torch.isfinite(sr).sum())
    if broken:
        raise CasarbiError(f"{broken:,} of the output's {sr.numel():,} values are not finite numbers.")
    # Every check compares at the size of the input: means over boxes leave colours, and no texture.
    small = box_means(sr, (lr.shape[1], lr.shape[2]))
    _check_range(sr, small, lr)
    found = {}
    if gt is not None and torch.equal(to_uint8(sr), to_uint8(gt)):
        found[EQUAL] = "the output equals the reference in every pixel"
    kind, sentence = _colours(small.clamp(0, 1), lr)
    return found | ({kind: sentence} if kind else {})


def _check_range(sr: Tensor, small: Tensor, lr: Tensor) -> None:
    """Refuse values in another range: because they lie far outside [0, 1], or because they fit the input as -1…1.

    The second case is found by comparing patches with the input: a bright picture in [-1, 1] may have no value below 0.
    """
    low, high = sr.min().item(), sr.max().item()
    stray = int((sr < -OVERSHOOT).sum() + (sr > 1 + OVERSHOOT).sum()) / sr.numel()
    seen, given = (box_means(image, _patches(lr)) for image in (small, lr))
    beyond = seen.min().item() < -PATCH_OVERSHOOT or seen.max().item() > 1 + PATCH_OVERSHOOT
    as_signed = _distance(seen, 2 * given - 1)
    # At least four times nearer to the input as -1…1 than to the input itself, or to a plain colour.
    signed = as_signed < min(_distance(seen, given), _distance(seen, seen.mean())) / 4
    if not (stray > STRAY_SHARE or beyond or (signed and _distance(seen, given) > COLOUR_LIMIT / 255)):
        return
    if as_signed < 0.1:
        hint = ": they look like -1…1, so return (x + 1) / 2"
    else:
        hint = ": they look like 0…255, so divide by 255" if _distance(seen / 255, given) < 0.1 else ""
    raise CasarbiError(f"The output's values run from {low:.3g} to {high:.3g}, expected 0 to 1{hint}.")


def _distance(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().mean().item()


def _colours(small: Tensor, lr: Tensor) -> tuple[str, str]:
    """Kind and sentence of what is odd about the colours of a result, shrunk to its input; empty if nothing is."""
    error, tinge = colour_error(small, lr), tinge_gained(small, lr)
    means, apart = error.abs().mean((1, 2)), (error.amax(0) - error.amin(0)).mean()
    if max(means.max(), apart, tinge.mean()) <= COLOUR_LIMIT and max(error.abs().max(), tinge.max()) <= LOCAL_LIMIT:
        return "", ""
    # Is the error four times smaller with R and B exchanged?
    if error.abs().mean() > 4 * colour_error(small.flip(0), lr).abs().mean():
        return ORDER, "the channels seem to be in the order BGR: with R and B exchanged, the colours fit the input"
    red, green, blue = means.tolist()
    worst = error.abs().max().item()
    tinged = f"; grey parts became coloured by {tinge.mean():.0f}" if tinge.mean() > COLOUR_LIMIT else ""
    return COLOUR, (
        f"the colours moved: mean error R {red:.0f}, G {green:.0f}, B {blue:.0f} of 255, {worst:.0f} in the worst "
        f"part, between the input and the result shrunk back{tinged}"
    )


def colour_error(small: Tensor, lr: Tensor) -> Tensor:
    """Error of colours in patches of at least 8 x 8 pixels, in levels of 255: hue is seen and texture is not.

    Args:
        small: (3, h, w) in [0, 1], a result shrunk to its input's size by `box_means`.
        lr: (3, h, w) in [0, 1], the input.

    Returns:
        (3, rows, columns), positive where the result is brighter (the hue deviation of
        Janspiry/Image-Super-Resolution-via-Iterative-Refinement#69).
    """
    return box_means(small - lr, _patches(lr)) * 255


def tinge_gained(small: Tensor, lr: Tensor) -> Tensor:
    """How much further apart the channels of a result lie than its input's, in levels of 255, per patch.

    It is measured pixel by pixel, so that colours that cancel out within a patch count too.

    Args:
        small: (3, h, w) in [0, 1], a result shrunk to its input's size by `box_means`.
        lr: (3, h, w) in [0, 1], the input.

    Returns:
        (rows, columns); negative where a result is greyer than its input.
    """
    gained = (small.amax(0) - small.amin(0)) - (lr.amax(0) - lr.amin(0))
    return box_means(gained[None], _patches(lr))[0] * 255


def _patches(lr: Tensor, grid: int = 16) -> Size:
    """Rows and columns of patches of at least 8 x 8 pixels of the input."""
    return min(grid, max(1, lr.shape[1] // 8)), min(grid, max(1, lr.shape[2] // 8))


def box_means(image: Tensor, boxes: Size) -> Tensor:
    """Means of (C, H, W) over boxes of equal size.

    A pixel on an edge counts in both boxes by its share, so means are exact even if the boxes do not divide the sides.

    Returns:
        (C, *boxes).
    """
    # Channel by channel, because running sums take as much memory as their values.
    return torch.stack([_means(_means(plane.T, boxes[1]).T, boxes[0]) for plane in image])


def _means(plane: Tensor, count: int) -> Tensor:
    """Means of (side, n) over `count` spans of its rows, from running sums."""
    side = plane.shape[0]
    if side == count:
        return plane
    # A mean over a span is a difference of two running sums; between pixels they are interpolated linearly.
    sums = F.pad(plane, (0, 0, 1, 0)).cumsum(0)
    edges = torch.arange(count + 1, dtype=torch.float64) * side / count
    below = edges.long().clamp(max=side - 1)
    part = (edges - below).to(plane.dtype)[:, None]
    at_edges = sums[below] + part * (sums[below + 1] - sums[below])
    return (at_edges[1:] - at_edges[:-1]) * (count / side)
