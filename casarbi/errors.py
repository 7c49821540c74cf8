"""Errors that a user can put right, and the end of the sentence that answers a mistyped name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class CasarbiError(Exception):
    """A problem with what the user gave; its text is one clear sentence: what is wrong, where, and what to do.

    The command line prints the text and exits with 1; a traceback is shown for any other exception, because that
    is a bug of ours.
    """

    def __init__(self, sentence: str, lines: Sequence[str] = ()) -> None:
        """Take the sentence, and lines to print under it: line breaks within either are printed as escapes."""
        super().__init__(sentence)
        self.lines = tuple(lines)


class PlaceError(CasarbiError):
    """The place for results refuses them, as a full disk does: whatever is computed next would be lost too."""


def near_names(name: str, known: Iterable[str]) -> str:
    """Say which known names a mistyped one is near to, or list them all: the tail of an error sentence.

    Example:
        >>> near_names("bicubc", ["bicubic", "liif"]), near_names("x", ["bicubic", "liif"])
        ('did you mean bicubic?', 'known: bicubic, liif.')
    """
    known, name = sorted(known), name[:100]  # the time for comparing grows with the square of the length
    lower = {known_name.lower(): known_name for known_name in known}
    near = [lower[found] for found in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}."
