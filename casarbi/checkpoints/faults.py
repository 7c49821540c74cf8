"""Why a weights file is not read: raised by the reader of a format, which does not know the name of the file."""

from __future__ import annotations

from casarbi.plain import quote


class WeightsFileError(Exception):
    """Why a file is not read: the end of a sentence that begins with the file; `mend` says what to do."""

    def __init__(self, reason: str, mend: str = "get the file again") -> None:
        super().__init__(reason)
        self.mend = mend


class UnsafeFileError(WeightsFileError):
    """The file names code; `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(f"names {quote(name)}")
        self.name = name
