"""`casarbi`: enlarge photographs, train, tell what there is. Heavy imports stay in the bodies: `--help` is instant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from casarbi.commands import complete_model, completion, info, models
from casarbi.console import CasarbiGroup, make_console, make_consoles, make_progress, say
from casarbi.errors import CasarbiError, PlaceError
from casarbi.training.command import train

if TYPE_CHECKING:
    from rich.console import Console

    from casarbi.sr import SRModel
    from casarbi.upscaling.enlarge import Enlarged
    from casarbi.upscaling.placing import Job, Plan
    from casarbi.upscaling.target import WantedSize

DEFAULT_MODEL = "casarbi:mini-scene"


@click.group(
    cls=CasarbiGroup,
    stopped="Stopped: the results written so far are whole.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="casarbi", prog_name="casarbi")
def main() -> None:
    """Enlarge pictures by any factor, whole or not.

    \b
    Examples, all offline:
      casarbi upscale photo.jpg --scale 3.7
      casarbi upscale holiday/ --width 3840 -o large/
      casarbi models
      casarbi completion bash >> ~/.bashrc
    """


@main.command()
@click.argument("photos", metavar="PHOTO…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-m", "--model", metavar="REF", default=DEFAULT_MODEL, show_default=True, shell_complete=complete_model,
    help="Method and weights: NAME[:WEIGHTS][?option=value&…]; see casarbi models."
)  # fmt: skip
@click.option("-s", "--scale", metavar="FACTOR", help="Factor for both sides, at least 1, such as 3.7.  [default: 4]")
@click.option("--size", metavar="WxH", help="Exact size in pixels, WIDTH first: 640x480 is wider than high.")
@click.option("--width", metavar="N", type=click.IntRange(min=1), help="Width in pixels; the height follows.")
@click.option("--height", metavar="N", type=click.IntRange(min=1), help="Height in pixels; the width follows.")
@click.option(
    "-o", "--out", metavar="OUT", type=click.Path(path_type=Path),
    help="Folder for the results or, of one picture, a file: .png .tif .webp .jpg .bmp."
)  # fmt: skip
@click.option(
    "--format", "format_name", metavar="NAME", type=click.Choice(["png", "jpg", "webp", "tif", "bmp"]),
    help="Format of the results: png, jpg, webp, tif, bmp.  [default: png, or by the suffix of OUT]"
)  # fmt: skip
@click.option(
    "--quality", metavar="N", type=click.IntRange(1, 100),
    help="Of jpg and webp, 1 to 100.  [default: jpg 95, webp without loss]"
)  # fmt: skip
@click.option("-r", "--recursive", is_flag=True, help="Look into sub-folders too.")
@click.option(
    "--background", metavar="COLOUR", default="white", show_default=True,
    help="Under see-through parts, while enlarging and where the output cannot keep them: a name or #rrggbb."
)  # fmt: skip
@click.option(
    "--max-pixels", metavar="N", type=click.IntRange(min=1),
    help="Refuse larger pictures.  [default: 178,956,970 read, 268,435,456 written]"
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace results that are there already.")
@click.option("--keep", is_flag=True, help="Keep results that are there and make only the rest, as after a stop.")
@click.option("--seed", metavar="N", type=int, default=0, show_default=True, help="Of methods that draw noise.")
@click.option("--device", metavar="NAME", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps.")
def upscale(photos: tuple[Path, ...], model: str, out: Path | None, recursive: bool, **options: Any) -> None:
    """Enlarge pictures and folders of pictures to an exact size.

    Results are upright (EXIF orientation is applied) and keep what their format can hold: the RGB colour profile
    (others become sRGB), see-through parts, and the facts of a photograph (print resolution, date, camera, place,
    caption, author, licence); what is lost is said. They are named NAME_x3.7.png, or by --format: beside the picture,
    for a folder in a new folder FOLDER_x3.7 beside it, or in OUT. Inputs are never overwritten, and results that are
    there only with --overwrite. A picture that cannot be read does not stop the others; the exit code is then 1.

    \b
    Examples, all offline:
      casarbi upscale photo.jpg --scale 3.7
      casarbi upscale photo.jpg --size 1920x1080 -o wallpaper.webp
      casarbi upscale holiday/ more/*.tif --width 3840 -o large/
      casarbi upscale holiday/ --format jpg --quality 90
      casarbi upscale holiday/ --format jpg --quality 90 --keep   (after a stop: only the rest)
    """
    from casarbi.upscaling.target import WantedSize

    wanted = WantedSize.parse(**{name: options[name] for name in ("scale", "size", "width", "height", "max_pixels")})
    places = {name: options[name] for name in ("format_name", "quality", "overwrite", "keep")}
    todo = _plan(photos, out, wanted, recursive=recursive, **places)
    if not todo.jobs:
        _finish(todo, [])
        return
    device = _device(options["device"])
    method = _load(model, device)
    say(make_console(), _describe(model, method))
    if method.info.warning:
        _warn(make_consoles()[1], method.info.warning)
    settings = {name: options[name] for name in ("background", "max_pixels", "seed", "quality")} | {"device": device}
    _foretell(todo, method, device)
    _run_all(todo, method, wanted, settings)


def _plan(
    photos: tuple[Path, ...], out: Path | None, wanted: WantedSize, *, overwrite: bool, keep: bool, **naming: Any
) -> Plan:
    """Everything that can be known before the first picture; raises CasarbiError if nothing may be started."""
    from casarbi.upscaling.placing import check_existing, plan, probe_places, survey

    if overwrite and keep:
        raise CasarbiError("--overwrite replaces results that are there and --keep keeps them: give one of the two.")
    todo = plan(photos, wanted.label, out, **naming)
    if not overwrite and not keep:
        check_existing(todo)
    survey(todo, wanted, keep=keep)
    probe_places([job.target for job in todo.jobs])
    return todo


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError):
        raise CasarbiError(f"There is no device '{name}' here: use --device cpu or auto.") from None
    return name


def _load(reference: str, device: str) -> SRModel:
    from casarbi.sr import create_model

    return create_model(reference).to(device)


def _describe(reference: str, model: SRModel) -> str:
    info = model.info
    return f"model {reference} · weights {info.weights} · {info.parameters:,} parameters · {info.licence}"


def _foretell(todo: Plan, model: SRModel, device: str) -> None:
    """Say what will take long or much, and fail pictures that cannot fit into memory."""
    from casarbi.upscaling.forecast import forecast, shortage

    errors = make_consoles()[1]
    for job in tuple(todo.jobs):
        lack = shortage(model, *job.sizes) if job.sizes and device == "cpu" else None
        if lack and lack.is_certain:
            todo.jobs.remove(job)
            todo.failed.append((job.source, f"{job.source} {lack}."))
        elif lack:
            _warn(errors, f"{job.source} may not fit: it {lack}.")
    sizes = [job.sizes for job in todo.jobs if job.sizes]
    if sizes:
        foretold = forecast(model, sizes, device)
        if foretold.is_worth_a_line:
            count = f"{len(todo.jobs)} pictures: " if len(todo.jobs) > 1 else ""
            say(errors, f"{count}{foretold}")


def _run_all(todo: Plan, model: SRModel, wanted: WantedSize, settings: dict[str, Any]) -> None:
    """Enlarge picture by picture; raises CasarbiError at the end if any failed, at once if the disk refuses."""
    from casarbi.upscaling.enlarge import enlarge

    console, errors = make_consoles()
    failed: list[tuple[Path, str]] = []
    warned: set[str] = set()
    # A picture counts by the pixels to be made; one whose header does not say will hardly be made at all.
    works = [job.sizes[1][0] * job.sizes[1][1] if job.sizes else 1 for job in todo.jobs]
    with make_progress(errors, percent=True) as progress:
        task = progress.add_task("enlarging", total=sum(works))
        for number, (job, work) in enumerate(zip(todo.jobs, works, strict=True)):
            progress.update(task, description=f"enlarging {job.source.name}", completed=sum(works[:number]))
            model.progress = lambda share, work=work: progress.advance(task, share * work)
            try:
                done = enlarge(job.source, job.target, model, wanted, **settings)
            except PlaceError as error:
                written = number - len(failed)
                raise CasarbiError(
                    f"{error} Stopped there: {written} of {todo.total} are written. Once there is room, the same "
                    "command with --keep makes the rest."
                ) from None
            except CasarbiError as error:
                failed.append((job.source, str(error)))
                continue
            _report(console, errors, job, done, warned)
    _finish(todo, failed)


def _finish(todo: Plan, failed: list[tuple[Path, str]]) -> None:
    """Say what was passed over; raises CasarbiError if any picture failed."""
    console = make_console()
    if todo.skipped:
        what = "file that is no picture" if todo.skipped == 1 else "files that are no pictures"
        say(console, f"skipped {todo.skipped} {what}")
    if todo.left_out:
        what = "picture that is a result" if len(todo.left_out) == 1 else "pictures that are results"
        say(console, f"left out {len(todo.left_out)} {what} of earlier runs, such as {todo.left_out[0]}")
    if todo.kept:
        say(console, f"kept {len(todo.kept)} earlier result{'s' * (len(todo.kept) != 1)}, such as {todo.kept[0]}")
    failed = todo.failed + failed
    if failed and todo.total == 1:
        raise CasarbiError(failed[0][1])
    if failed:
        rest = ", the others are written" if len(failed) < todo.total else ""
        raise CasarbiError(f"{len(failed)} of {todo.total} failed{rest}:", [reason for _, reason in failed])


def _report(console: Console, errors: Console, job: Job, done: Enlarged, warned: set[str]) -> None:
    sizes = [f"{width}x{height}" for height, width in (done.size_in, done.size_out)]
    notes = f" ({'; '.join(done.notes)})" if done.notes else ""
    say(console, f"{job.source} {sizes[0]} → {job.target} {sizes[1]}{notes}")
    for warning in done.warnings:
        if warning not in warned:
            warned.add(warning)
            _warn(errors, warning)


def _warn(errors: Console, text: str) -> None:
    say(errors, f"Warning: {text}", style="yellow")


for command in (train, models, info, completion):
    main.add_command(command)


if __name__ == "__main__":
    main()
