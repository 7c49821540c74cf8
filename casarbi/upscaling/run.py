"""A run of `casarbi upscale`: from what was typed to the results on the disk, with a line for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from casarbi.console import make_console, make_consoles, make_progress, say
from casarbi.devices import pick_device
from casarbi.errors import CasarbiError, PlaceError
from casarbi.sr import SRModel, create_model
from casarbi.upscaling.enlarge import Enlarged, enlarge
from casarbi.upscaling.forecast import forecast, shortage
from casarbi.upscaling.preflight import prepare
from casarbi.upscaling.target import TargetSize
from casarbi.upscaling.worklist import Item, Worklist

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Request:
    """What was asked for: the arguments of `casarbi upscale`, whose help says what each means."""

    photos: Sequence[Path]
    out: Path | None
    model: str
    scale: str | None
    size: str | None
    width: int | None
    height: int | None
    format_name: str | None
    quality: int | None
    recursive: bool
    background: str
    max_pixels: int | None
    overwrite: bool
    keep: bool
    seed: int
    device: str


def upscale_pictures(request: Request) -> None:
    """Enlarge all pictures that were asked for; one that fails does not stop the others.

    Raises:
        CasarbiError: before the first picture if nothing can be done as asked, at once if the disk refuses a result,
            and at the end if a picture failed.
    """
    target = TargetSize.parse(
        scale=request.scale,
        size=request.size,
        width=request.width,
        height=request.height,
        max_pixels=request.max_pixels,
    )
    work = prepare(
        request.photos,
        request.out,
        target,
        recursive=request.recursive,
        format_name=request.format_name,
        quality=request.quality,
        overwrite=request.overwrite,
        keep=request.keep,
    )
    failed: list[tuple[Path, str]] = []
    # With --keep everything may be done already: then no model is loaded.
    if work.items:
        device = pick_device(request.device)
        model = _open_model(request.model, device)
        _foretell(work, model, device)
        failed = _enlarge_all(work, model, target, request, device)
    _say_end(work, work.failed + failed)


def _open_model(reference: str, device: str) -> SRModel:
    model = create_model(reference).to(device)
    info = model.info
    facts = f"weights {info.weights} · {info.parameters:,} parameters · {info.licence}"
    say(make_console(), f"model {reference} · {facts}")
    if info.warning:
        _warn(make_consoles()[1], info.warning)
    return model


def _foretell(work: Worklist, model: SRModel, device: str) -> None:
    """Announce a long run or much memory, and fail pictures that cannot fit into memory."""
    errors = make_consoles()[1]
    for item in tuple(work.items):
        # Forecasts are about the machine's memory, so they say nothing of a GPU's. They may be wrong by a factor of
        # two: a picture fails only if it cannot fit even then.
        lack = shortage(model, *item.sizes) if item.sizes and device == "cpu" else None
        if lack and lack.is_certain:
            work.items.remove(item)
            work.failed.append((item.source, f"{item.source} {lack}."))
        elif lack:
            _warn(errors, f"{item.source} may not fit: it {lack}.")
    sizes = [item.sizes for item in work.items if item.sizes]
    if sizes:
        foretold = forecast(model, sizes, device)
        if foretold.is_worth_a_line:
            count = f"{len(work.items)} pictures: " if len(work.items) > 1 else ""
            say(errors, f"{count}{foretold}")


def _enlarge_all(
    work: Worklist, model: SRModel, target: TargetSize, request: Request, device: str
) -> list[tuple[Path, str]]:
    """Enlarge picture by picture; returns those that failed, with the reason."""
    console, errors = make_consoles()
    failed: list[tuple[Path, str]] = []
    warned: set[str] = set()
    # A picture counts by the pixels to be made; one whose header does not say will hardly be made at all.
    pixels = [item.sizes[1][0] * item.sizes[1][1] if item.sizes else 1 for item in work.items]
    with make_progress(errors, percent=True) as progress:
        bar = progress.add_task("enlarging", total=sum(pixels))
        for number, item in enumerate(work.items):
            count, before = pixels[number], sum(pixels[:number])
            progress.update(bar, description=f"enlarging {item.source.name}", completed=before)
            # The model reports shares of one image; each lambda keeps the `count` of its own picture.
            model.progress = lambda share, count=count: progress.advance(bar, share * count)
            try:
                done = enlarge(
                    item.source,
                    item.result,
                    model,
                    target,
                    background=request.background,
                    max_pixels=request.max_pixels,
                    seed=request.seed,
                    device=device,
                    quality=request.quality,
                )
            # The disk would refuse every other picture, too.
            except PlaceError as error:
                raise CasarbiError(
                    f"{error} Stopped there: {number - len(failed)} of {work.total} are written. Once there is "
                    "room, the same command with --keep makes the rest."
                ) from None
            except CasarbiError as error:
                failed.append((item.source, str(error)))
                continue
            _say_done(console, errors, item, done, warned)
    return failed


def _say_done(console: Console, errors: Console, item: Item, done: Enlarged, warned: set[str]) -> None:
    sizes = [f"{width}x{height}" for height, width in (done.size_in, done.size_out)]
    notes = f" ({'; '.join(done.notes)})" if done.notes else ""
    say(console, f"{item.source} {sizes[0]} → {item.result} {sizes[1]}{notes}")
    for warning in done.warnings:
        if warning not in warned:
            warned.add(warning)
            _warn(errors, warning)


def _say_end(work: Worklist, failed: list[tuple[Path, str]]) -> None:
    """Say what was passed over; raises CasarbiError if any picture failed."""
    console = make_console()
    if work.skipped:
        what = "file that is no picture" if work.skipped == 1 else "files that are no pictures"
        say(console, f"skipped {work.skipped} {what}")
    if work.left_out:
        what = "picture that is a result" if len(work.left_out) == 1 else "pictures that are results"
        say(console, f"left out {len(work.left_out)} {what} of earlier runs, such as {work.left_out[0]}")
    if work.kept:
        say(console, f"kept {len(work.kept)} earlier result{'s' * (len(work.kept) != 1)}, such as {work.kept[0]}")
    if failed and work.total == 1:
        raise CasarbiError(failed[0][1])
    if failed:
        rest = ", the others are written" if len(failed) < work.total else ""
        raise CasarbiError(f"{len(failed)} of {work.total} failed{rest}:", [reason for _, reason in failed])


def _warn(errors: Console, text: str) -> None:
    say(errors, f"Warning: {text}", style="yellow")
