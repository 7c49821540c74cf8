"""The exceptions a user can mend."""

from __future__ import annotations

from collections.abc import Sequence


class CasarbiError(Exception):
    """A problem with what the user gave; its text is one clear sentence that names the thing and the mend.

    The command line prints the text and exits with 1; a traceback is shown for any other exception, because that
    is a bug of ours.
    """

    def __init__(self, sentence: str, lines: Sequence[str] = ()) -> None:
        """Take the sentence, and lines to print under it: line breaks within either are printed as escapes."""
        super().__init__(sentence)
        self.lines = tuple(lines)


class PlaceError(CasarbiError):
    """The place for results refuses them, as a full disk does: whatever is computed next would be lost too."""
