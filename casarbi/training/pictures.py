"""The training and validation images of a preset: opened, and those that cannot be used named."""

from __future__ import annotations

from casarbi.errors import CasarbiError
from casarbi.training.cache import CachedImages, Cut, Report, check_disk, open_images
from casarbi.training.pixel_files import pictures_folder
from casarbi.training.presets import DataSettings
from casarbi.training.progress import Reporter

NAMED = 3
"""So many images that are left out are named."""


def open_pictures(
    data: DataSettings, least_side: int, reporter: Reporter, report: Report | None = None
) -> tuple[CachedImages, CachedImages]:
    """Open training and validation images; the validation ones are made now, the others when they are needed.

    Args:
        data: names the data sets.
        least_side: images with a side below this are left out, as no patch can be cut of them.
        reporter: told which images are left out.
        report: told how many validation images are made.

    Raises:
        CasarbiError: if there are too few images, too many that cannot be used, or no space for them.
    """
    cut = Cut(data.side, max(data.least, least_side))
    if 0 < data.side < least_side:
        raise CasarbiError(
            f"data.side = {data.side} makes pictures smaller than the patches of {least_side} px that are cut of them: "
            f"set it to 0, or to at least {least_side}."
        )
    # Without validation images of their own, the last of the training images are held out.
    images = open_images(data.train, cut)
    validation = open_images(data.validation, cut) if data.validation else images[-data.held_out :]
    if not data.validation and len(images) <= data.held_out:
        raise CasarbiError(
            f"{data.train} has {len(images)} pictures, but {data.held_out} are to be held out for validation: give "
            f"more, or set data.held_out or --validation."
        )
    images = images if data.validation else images[: -data.held_out]

    # What is wrong with disk and images is told now, not hours later.
    disk, validation = check_disk(images), validation.usable(report)
    for warning in dict.fromkeys((disk, _left_out(images), _left_out(validation))):
        if warning:
            reporter.note(warning, warning=True)
    missing = len(images.missing())
    if missing:
        reporter.note(
            f"{missing:,} of {len(images):,} training pictures are not made yet: each is made when it is first needed, "
            f"so the first steps are slower, and kept in {pictures_folder()}"
        )
    return images, validation


def _left_out(images: CachedImages) -> str:
    """Say which pictures are left out, or nothing."""
    count = len(images.skipped)
    if not count:
        return ""
    some = "; ".join(text.rstrip(".") for text in images.skipped[:NAMED]) + (" …" if count > NAMED else "")
    return f"{count:,} of {images.total:,} pictures of {images.reference} are left out: {some}."
