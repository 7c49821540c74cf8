"""Enlarging one picture file into another with any model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.pictures.alpha import enlarge_alpha, unblend
from casarbi.pictures.inspection import check_batch, look
from casarbi.pictures.naming import printable_name
from casarbi.pictures.reading import MAX_INPUT_PIXELS, Picture, read_picture
from casarbi.pictures.writing import keeps_alpha, write_image
from casarbi.scales import Size
from casarbi.sr import SRModel
from casarbi.upscaling.target import TargetSize


@dataclass(frozen=True)
class Enlarged:
    """One picture done: sizes are (height, width), notes and warnings are for the user to read."""

    size_in: Size
    size_out: Size
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def enlarge(
    source: Path,
    result: Path,
    model: SRModel,
    target: TargetSize,
    *,
    background: str = "white",
    max_pixels: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    quality: int | None = None,
) -> Enlarged:
    """Enlarge one file into another, upright, with its RGB profile, and with alpha if the format keeps it.

    Args:
        source: picture to read.
        result: picture to write.
        model: the method, already on the device.
        target: the size of the result.
        background: colour under see-through parts.
        max_pixels: limit on the pixels of the input; None for the usual one.
        seed: of a stochastic method; the result does not depend on the file's name.
        device: where the model is.
        quality: 1 to 100, of JPEG and WebP; by default JPEG has 95 and WebP loses nothing.

    Raises:
        CasarbiError: if the picture cannot be read or written, the size is refused, or memory or the model fails.
    """
    limit = MAX_INPUT_PIXELS if max_pixels is None else max_pixels
    picture = read_picture(source, background=background, max_pixels=limit)
    size_in = (picture.rgb.shape[1], picture.rgb.shape[2])
    size = target.of(size_in)
    # The image is bound by its file's name for `outputs:DIR`; the seed is the same for every picture.
    rgb, findings = _run(model.bind([printable_name(source.stem)]), picture.rgb, size, seed, device, source)
    warnings = [target.warning(size_in), _out_of_range(model, size_in, size)]
    warnings += [f"{source.name}: {sentence}." for sentence in findings.values()]
    notes = list(picture.notes)
    _write(result, rgb, picture, notes, quality)
    return Enlarged(size_in, size, tuple(notes), tuple(warning for warning in warnings if warning))


def _run(
    model: SRModel, rgb: Tensor, size: Size, seed: int, device: str, source: Path
) -> tuple[Tensor, dict[str, str]]:
    """The result (3, H, W) on the CPU, and what is unusual about it (see `casarbi.pictures.inspection.look`)."""
    try:
        with torch.inference_mode():
            out = check_batch(model.upscale(rgb[None].to(device), size, [seed]), 1, size)[0]
            return out, look(out, rgb)
    except CasarbiError as error:
        raise CasarbiError(f"{source}: {error}") from None
    except (MemoryError, RuntimeError) as error:
        # torch reports memory that it cannot get as a RuntimeError; every other one is a bug and stays one.
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise CasarbiError(
            f"There is not enough memory to make {size[1]}x{size[0]} px of {source}: ask for a smaller size."
        ) from None


def _write(result: Path, rgb: Tensor, picture: Picture, notes: list[str], quality: int | None) -> None:
    alpha = None
    if picture.alpha is not None and keeps_alpha(result):
        # The model saw colours laid over the background. They are freed of it here, so that a viewer can lay them over
        # any other, and the note that said so is replaced.
        alpha = enlarge_alpha(picture.alpha, (rgb.shape[1], rgb.shape[2]))
        rgb = unblend(rgb, alpha, picture.background)
        notes[:] = [note for note in notes if not note.startswith("see-through")] + ["see-through parts kept"]
    dropped = write_image(result, rgb, alpha=alpha, icc=picture.icc, metadata=picture.metadata, quality=quality)
    notes += [f"not kept: {', '.join(dropped)}"] if dropped else []


def _out_of_range(model: SRModel, size_in: Size, size: Size) -> str | None:
    trained = model.info.trained_scales
    scale = max(size[0] / size_in[0], size[1] / size_in[1])
    # Rounding to whole pixels moves the scale by less than a hundredth on all but tiny pictures.
    if trained is None or trained[0] - 0.01 <= scale <= trained[1] + 0.01:
        return None
    return f"the model was trained for x{trained[0]:g} to x{trained[1]:g}, and x{scale:.3g} lies outside that."
