"""The one degradation and resampling operator: bicubic as Pillow computes it, and as MATLAB does.

Both put pixel i of an axis of n pixels at (i + 0.5) / n of its length (pixel centres, what torch calls
`align_corners=False`), take exact output sizes rather than factors (pytorch/pytorch#96236 shows why), use Keys' kernel
with a = -0.5 and widen it when they shrink, so that nothing aliases. Never resample with anything else in this project.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from casarbi.errors import CasarbiError
from casarbi.scales import Size

Values = TypeVar("Values", np.ndarray, Tensor)


def resize(images: Tensor, size: Size) -> Tensor:
    """Antialiased bicubic, Pillow's, to an exact size.

    8-bit images go through Pillow itself: bit for bit what `Image.resize(..., BICUBIC)` gives, clipped to 0..255.
    Floating-point images go through the same kernel and border rule in torch: differentiable, on any device, and **not
    clamped**, so that sharp edges overshoot by up to about 0.25; clamp before any cast to 8 bits
    (pytorch/pytorch#21044). Clamped and rounded, it is within one level of Pillow but for the rare values whose
    first pass leaves 0..255: there Pillow clips between its two passes (7 of 100,000 values of a photograph, by up to
    6 levels; a third of black-and-white noise, by up to 30).

    Args:
        images: (..., H, W), uint8 or floating point.
        size: (height, width) of the result.

    Returns:
        (..., height, width) of the same type.

    Raises:
        CasarbiError: if a side of the input or of the size is below one pixel, or the type is another integer.
    """
    _check(images, size)
    planes = images.reshape(-1, *images.shape[-2:])
    if images.dtype == torch.uint8:
        out = _resize_pillow(planes, size)
    elif images.is_floating_point():
        # Half precision on the CPU has no antialiased kernel, and would lose the 1-level agreement with Pillow.
        work = planes.float() if images.dtype in (torch.float16, torch.bfloat16) else planes
        out = interpolate(work[:, None], size, mode="bicubic", antialias=True, align_corners=False)[:, 0]
        out = out.to(images.dtype)
    else:
        raise CasarbiError(f"Images of type {images.dtype} cannot be resized: give uint8 or floating point.")
    return out.reshape(*images.shape[:-2], *size)


def resize_bytes(images: Tensor, size: Size, kernel: str) -> Tensor:
    """Pillow's resize of 8-bit images with a named kernel: for SelfSSIM's options alone (docs/protocol.md §3.3).

    Args:
        images: (..., H, W) uint8.
        size: (height, width) of the result.
        kernel: "bicubic", "bilinear" (both antialiased) or "nearest".

    Returns:
        (..., height, width) uint8.
    """
    if images.dtype != torch.uint8 or kernel not in ("bicubic", "bilinear", "nearest"):
        raise CasarbiError(f"Only bicubic, bilinear and nearest of uint8 are known, not {kernel} of {images.dtype}.")
    _check(images, size)
    planes = _resize_pillow(images.reshape(-1, *images.shape[-2:]), size, Image.Resampling[kernel.upper()])
    return planes.reshape(*images.shape[:-2], *size)


def _resize_pillow(planes: Tensor, size: Size, kernel: Image.Resampling = Image.Resampling.BICUBIC) -> Tensor:
    height, width = size
    small = [Image.fromarray(plane.numpy()).resize((width, height), kernel) for plane in planes.cpu()]
    stacked = np.stack([np.asarray(plane) for plane in small]) if small else np.empty((0, *size), np.uint8)
    return torch.from_numpy(stacked).to(planes.device)


def resize_matlab(images: Tensor, to: Size | float) -> Tensor:
    """MATLAB's `imresize(images, to, "bicubic")` on 8-bit images, value for value (docs/liif.md §6).

    It makes the LR images of the published benchmarks, so these figures need it: every Set5, Set14, B100, Urban100 and
    DIV2K figure at x2, x3 and x4 (LIIF's Set5 Y-PSNR 37.99, 34.40 and 32.24 dB come out with no other bicubic). Figures
    at other scales, LIIF's x6 to x30 among them, and all figures on faces come from Pillow's: use `resize` for them.

    Unlike Pillow it mirrors the picture at its border and rounds to 8 bits, half up, after each axis.

    Args:
        images: (..., H, W) uint8.
        to: (height, width), or one factor for both sides (then each side is rounded up, as MATLAB does).

    Returns:
        (..., height, width) uint8.

    Raises:
        CasarbiError: if a side would be below one pixel, or the images are not 8-bit.
    """
    if images.dtype != torch.uint8:
        raise CasarbiError(f"MATLAB's bicubic rounds to 8 bits: give uint8 images, not {images.dtype}.")
    sides = (images.shape[-2], images.shape[-1])
    if isinstance(to, tuple):
        size = to
        factors = (size[0] / max(sides[0], 1), size[1] / max(sides[1], 1))
    else:
        size = (math.ceil(sides[0] * to), math.ceil(sides[1] * to))
        factors = (to, to)
    _check(images, size)
    # MATLAB begins with the axis it shrinks more; rows if both are equal.
    for axis in sorted((0, 1), key=lambda axis: factors[axis]):
        images = _resize_axis(images, axis - 2, size[axis], factors[axis])
    return images


def _resize_axis(images: Tensor, axis: int, length: int, factor: float) -> Tensor:
    taps, weights = (torch.from_numpy(a).to(images.device) for a in matlab_taps(images.shape[axis], length, factor))
    if axis == -2:
        weights = weights[..., None]
    # A sum in a fixed order, not a matrix product: values close to a half must round alike on every machine.
    total = torch.zeros((), dtype=torch.float64, device=images.device)
    for tap, weight in zip(taps, weights, strict=True):
        total = total + weight * images.index_select(axis, tap)
    return total.add(0.5).floor().clamp(0, 255).to(torch.uint8)


def matlab_taps(n: int, length: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Which input pixels make each output pixel of one axis, and with what weight (docs/liif.md §6, 0-based here).

    Args:
        n: pixels of the axis.
        length: pixels of the result.
        factor: output pixels per input pixel, sigma in the formula.

    Returns:
        Indices and weights, each (taps, length); the weights of an output pixel sum to one.
    """
    stretch = max(1.0, 1.0 / factor)  # the kernel widens only when shrinking
    # MATLAB counts pixels from 1. The first tap lies at the left edge of the kernel, which has 4 * stretch pixels.
    centre = np.arange(1, length + 1) / factor + (1 - 1 / factor) / 2
    first = np.floor(centre - 2 * stretch)
    taps = first + np.arange(math.ceil(4 * stretch) + 2)[:, None]
    weights = keys_cubic((centre - taps) / stretch)
    weights /= weights.sum(axis=0)
    # Beyond the border pixels repeat mirrored: 0 … n - 1, n - 1 … 0, 0 …
    mirror = np.concatenate([np.arange(n), np.arange(n)[::-1]])
    return mirror[(taps.astype(np.int64) - 1) % (2 * n)], weights


def keys_cubic(x: Values) -> Values:
    """Keys' cubic with a = -0.5 at distances in pixels, of either sign (kappa in docs/liif.md §6).

    It takes arrays and tensors as they are: their cubes differ in the last bit.
    """
    x = abs(x)
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    outer = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return (x <= 1) * inner + ((x > 1) & (x <= 2)) * outer


def _check(images: Tensor, size: Size) -> None:
    height, width = images.shape[-2:]
    if min(height, width, *size) < 1:
        raise CasarbiError(
            f"A picture of {width}x{height} px cannot become {size[1]}x{size[0]} px: no side may be below 1 px."
        )
