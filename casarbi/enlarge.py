"""Enlarging one picture file into another with any model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.images import MAX_INPUT_PIXELS, Picture, keeps_alpha, read_picture, unblend, write_image
from casarbi.resize import resize
from casarbi.scales import Size
from casarbi.sr import SRModel
from casarbi.wanted import WantedSize

COLOUR_SHIFT_LIMIT = 5.0
"""Mean colour error, in levels of 255, from which a result is said to have another hue than its input."""


@dataclass(frozen=True)
class Enlarged:
    """One picture done: sizes are (height, width), notes and warnings are for the user to read."""

    size_in: Size
    size_out: Size
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def enlarge(
    source: Path,
    target: Path,
    model: SRModel,
    wanted: WantedSize,
    *,
    background: str = "white",
    max_pixels: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    quality: int | None = None,
) -> Enlarged:
    """Enlarge one file into another, upright, with its RGB profile, and with alpha where the format keeps it.

    Args:
        source: picture to read.
        target: picture to write.
        model: the method, already on the device.
        wanted: the size.
        background: colour under see-through parts.
        max_pixels: limit on the pixels of the input; None for the usual one.
        seed: of a stochastic method; the result does not depend on the file's name.
        device: where the model is.
        quality: 1 to 100, of JPEG and WebP; by default JPEG has 95 and WebP loses nothing.

    Raises:
        CasarbiError: where the picture cannot be read or written, the size is refused, or memory or the model fails.
    """
    limit = MAX_INPUT_PIXELS if max_pixels is None else max_pixels
    picture = read_picture(source, background=background, max_pixels=limit)
    size_in = (picture.rgb.shape[1], picture.rgb.shape[2])
    size = wanted.target(size_in)
    rgb = _run(model.bind([source.stem]), picture.rgb.to(device), size, seed, source)
    warnings = [wanted.warning(size_in), _out_of_range(model, size_in, size), _shifted(picture.rgb, rgb, source)]
    notes = list(picture.notes)
    _write(target, rgb, picture, notes, quality)
    return Enlarged(size_in, size, tuple(notes), tuple(warning for warning in warnings if warning))


def _run(model: SRModel, rgb: Tensor, size: Size, seed: int, source: Path) -> Tensor:
    try:
        with torch.inference_mode():
            out = model.upscale(rgb[None], size, [seed])[0].float().cpu()
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise CasarbiError(
            f"There is not enough memory to make {size[1]}x{size[0]} px of {source}: ask for a smaller size."
        ) from None
    if tuple(out.shape) != (3, *size):
        raise CasarbiError(f"The model made {tuple(out.shape)} of {source} where (3, {size[0]}, {size[1]}) was asked.")
    return out


def _write(target: Path, rgb: Tensor, picture: Picture, notes: list[str], quality: int | None) -> None:
    alpha = None
    if picture.alpha is not None and keeps_alpha(target):
        alpha = resize(picture.alpha, (rgb.shape[1], rgb.shape[2])).clamp(0, 1)
        rgb = unblend(rgb, alpha, picture.background)
        notes[:] = [note for note in notes if not note.startswith("see-through")] + ["see-through parts kept"]
    write_image(target, rgb, alpha=alpha, icc=picture.icc, quality=quality)


def _out_of_range(model: SRModel, size_in: Size, size: Size) -> str | None:
    trained = model.info.trained_scales
    scale = max(size[0] / size_in[0], size[1] / size_in[1])
    # Rounding to whole pixels moves the scale by less than a hundredth on all but tiny pictures.
    if trained is None or trained[0] - 0.01 <= scale <= trained[1] + 0.01:
        return None
    return f"the model was trained for x{trained[0]:g} to x{trained[1]:g}, and x{scale:.3g} lies outside that."


def _shifted(rgb: Tensor, out: Tensor, source: Path) -> str | None:
    shift = colour_shift(rgb, out)
    if not shift.max() > COLOUR_SHIFT_LIMIT:
        return None
    red, green, blue = shift.tolist()
    return (
        f"the colours of {source.name} moved: mean error R {red:.0f}, G {green:.0f}, B {blue:.0f} of 255 between the "
        "input and the result shrunk back."
    )


def colour_shift(lr: Tensor, sr: Tensor, grid: int = 16) -> Tensor:
    """Mean colour error of a result against its input, in levels of 255, a value a channel.

    Both are shrunk by box means to at most `grid` x `grid` patches of at least 8 x 8 pixels of the input, so that a
    change of hue is seen and texture is not.

    Args:
        lr: (3, h, w) in [0, 1], the input.
        sr: (3, H, W) in [0, 1], the result.
        grid: patches along a side.

    Returns:
        (3,) mean absolute errors (the hue deviation of Janspiry/Image-Super-Resolution-via-Iterative-Refinement#69).
    """
    patches = (min(grid, max(1, lr.shape[1] // 8)), min(grid, max(1, lr.shape[2] // 8)))
    return (_box_means(sr, patches) - _box_means(lr, patches)).abs().mean((1, 2)) * 255


def _box_means(image: Tensor, patches: Size) -> Tensor:
    """Means of (C, H, W) over patches of equal size, pixels on an edge shared: exact where sides do not divide."""
    rows, columns = (_box(side, count) for side, count in zip(image.shape[1:], patches, strict=True))
    return rows @ image @ columns.T


def _box(side: int, count: int) -> Tensor:
    edges = torch.arange(count + 1, dtype=torch.float64)[:, None] * side / count
    pixels = torch.arange(side, dtype=torch.float64)
    overlap = torch.minimum(edges[1:], pixels + 1) - torch.maximum(edges[:-1], pixels)
    return (overlap.clamp_min(0) * count / side).float()
