"""Size of a picture from its header alone, without its pixels."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from casarbi.errors import CasarbiError
from casarbi.pictures.opening import DAMAGE, open_picture
from casarbi.scales import Size

_TIFF_WIDTH, _TIFF_HEIGHT, _ORIENTATION = 256, 257, 274


def seen_size(image: Image.Image) -> Size:
    """(height, width) of an open picture as it is seen, turned by its EXIF orientation."""
    width, height = image.size
    tags = getattr(image, "tag_v2", {})
    if tags:  # Pillow's releases differ in whether the size of a TIFF is the stored one or the one seen
        width, height = tags.get(_TIFF_WIDTH, width), tags.get(_TIFF_HEIGHT, height)
    has_exif = tags or "exif" in image.info  # looking for it elsewhere would unpack a PNG
    try:
        turned = has_exif and 5 <= image.getexif().get(_ORIENTATION, 1) <= 8
    except DAMAGE:
        turned = False
    return (width, height) if turned else (height, width)


def picture_size(path: str | os.PathLike[str]) -> Size | None:
    """(height, width) from a picture's header; None if it cannot be read, and then reading the picture says why."""
    try:
        with open_picture(Path(path)) as image:
            return seen_size(image)
    except CasarbiError:
        return None
