"""Whether a picture file is in a lossy format."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

# AVIF and HEIF also know a lossless way, which hardly any file takes and no header tells.
_LOSSY_FORMATS = frozenset(("JPEG", "MPO", "AVIF", "HEIF"))


def is_lossy(image: Image.Image, path: Path) -> bool:
    """Whether an open picture is JPEG, lossy WebP, or of the AVIF and HEIF family; by its content, not its suffix."""
    return image.format in _LOSSY_FORMATS or (image.format == "WEBP" and _is_lossy_webp(path))


def _is_lossy_webp(path: Path) -> bool:
    """Whether the pixels of a still WebP lie in a VP8 chunk, and not in VP8L."""
    with path.open("rb") as file:
        file.seek(12)  # after RIFF, the file's size and WEBP
        # Profiles and the like may come first. A chunk is a name, a size and data, filled up to an even length.
        while len(head := file.read(8)) == 8:
            if head.startswith(b"VP8") and head[:4] != b"VP8X":
                return head[:4] == b"VP8 "
            size = int.from_bytes(head[4:], "little")
            file.seek(size + size % 2, 1)
    return False
