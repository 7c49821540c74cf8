"""The folder of a store: whether results can be kept there is found out before hours of work."""

from __future__ import annotations

from pathlib import Path

from casarbi.errors import CasarbiError
from casarbi.files import try_writing


def prepare_folder(folder: Path, what: str) -> None:
    """Make a folder and write a file in it; `what` is to be kept there, such as "Results".

    Raises:
        CasarbiError: if the place refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try_writing(folder)
    except OSError as error:
        raise CasarbiError(
            f"{what} cannot be kept in {folder}: {error.strerror}; name another folder with --store."
        ) from None
