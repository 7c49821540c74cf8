"""Catches what libtiff writes to standard error, so that it can be shown with the picture's name."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# libtiff begins its lines with the name of a function of its own, or of the file.
_LIBTIFF = re.compile(
    r"(_?TIFF|Fax|LZW|JPEG|OJPEG|ZIP|ZSTD|LZMA|LERC|PackBits|WebP|Pixar|Log|Predictor|Thunder|NeXT|Dump|Missing)\w*: "
    r"|(tempfile|filename)\.tif: |.*compression support is not configured"
)
_descriptor_lock = threading.Lock()


@contextmanager
def native_words(words: list[str], *, listen: bool = True) -> Iterator[None]:
    """Collect what libtiff says while the block runs, which Pillow gives no other way to hear or to silence.

    File descriptor 2 belongs to the whole process: for the milliseconds of the block it leads to a temporary file, one
    thread at a time, and what others wrote meanwhile, such as a progress bar, is passed on when it ends.

    Args:
        words: gets libtiff's lines, each once, when the block ends.
        listen: without it the block runs as it is.
    """
    if not listen:
        yield
        return
    with _descriptor_lock, tempfile.TemporaryFile() as heard:
        try:
            kept = os.dup(2)
        except OSError:  # there is no standard error to protect
            yield
            return
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        # The descriptor is redirected, not sys.stderr: libtiff writes from C.
        os.dup2(heard.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            heard.seek(0)
            _sort(heard.read(2**20), words)


def _sort(heard: bytes, words: list[str]) -> None:
    for line in heard.splitlines(keepends=True):
        text = line.decode("utf-8", "replace").strip()
        if not _LIBTIFF.match(text):
            with suppress(OSError):
                os.write(2, line)
        elif text not in words:
            words.append(text)
