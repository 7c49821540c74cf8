"""`casarbi upscale`: its options and its help. Heavy imports stay in the body, so that `--help` is instant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from casarbi.completion import complete_model

DEFAULT_MODEL = "casarbi:scene"


@click.command()
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
def upscale(**options: Any) -> None:
    """Enlarge pictures and folders of pictures to an exact size.

    Results are upright (EXIF orientation is applied) and keep what their format can hold: the RGB colour profile
    (others become sRGB), see-through parts, and metadata (print resolution, date, camera, place, caption, author,
    licence); what is lost is said. They are named NAME_x3.7.png, or by --format: beside the picture, for a folder in a
    new folder FOLDER_x3.7 beside it, or in OUT. Inputs are never overwritten, and results that are there only with
    --overwrite. A picture that cannot be read does not stop the others; the exit code is then 1.

    \b
    Examples, all offline:
      casarbi upscale photo.jpg --scale 3.7
      casarbi upscale photo.jpg --size 1920x1080 -o wallpaper.webp
      casarbi upscale holiday/ more/*.tif --width 3840 -o large/
      casarbi upscale holiday/ --format jpg --quality 90
      casarbi upscale holiday/ --format jpg --quality 90 --keep   (after a stop: only the rest)
    """
    from casarbi.upscaling.run import Request, upscale_pictures

    upscale_pictures(Request(**options))
