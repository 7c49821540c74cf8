"""The page that links all reports."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from casarbi.files import write_file
from reports.html import page


@dataclass(frozen=True)
class Entry:
    """One report.

    Attributes:
        name: of the experiment.
        kind: heading that it stands under, such as "table".
        title: of the report.
        page: its HTML page from the folder of the index, or "" if there is none.
        time: how long it took, as text.
        error: why it failed, or "".
        unmeasured: sentences on what it declares and could not measure.
    """

    name: str
    kind: str
    title: str
    page: str
    time: str
    error: str = ""
    unmeasured: tuple[str, ...] = ()


def write_index(folder: Path, entries: Sequence[Entry]) -> Path:
    """Write index.html, which links the reports and says of each what became of it; returns its path.

    Those of one kind have to follow each other; kinds stand in the order in which they come.
    """
    path = folder / "index.html"
    groups = [(kind, list(group)) for kind, group in itertools.groupby(entries, key=lambda entry: entry.kind)]
    write_file(path, page("index.html.j2", groups=groups).encode(errors="backslashreplace"))
    return path
