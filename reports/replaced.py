"""Values of an earlier report that a new one under its name would replace, so that none is lost in silence."""

from __future__ import annotations

import csv
import html
import io
import re
from pathlib import Path

from reports.csv import to_csv
from reports.document import Document

KEY = ("experiment", "preset", "method", "scale", "metric", "data", "model", "protocol", "seed")
HEAD_BYTES = 2**14
"""How much of a page is read: its command stands at the top, before the style."""

Values = set[tuple[str | None, ...]]


def lost_values(document: Document, folder: Path) -> str:
    """Say in a sentence what is lost when a document is written over another one's report; "" if nothing is.

    Args:
        document: what is going to be written.
        folder: where, under the name of its experiment.
    """
    try:
        old = _values((folder / f"{document.experiment}.csv").read_text(encoding="utf-8"))
    except (OSError, ValueError, csv.Error):  # there is none, or it is none of ours
        return ""
    # By what a value was measured under, not by the value: measured again, it is the same one.
    lost = old - _values(to_csv(document).decode("utf-8"))
    if not lost:
        return ""
    command = _command(folder / f"{document.experiment}.html")
    again = f", and this command writes them again: {command}" if command else ""
    return (
        f"The report in {folder} was that of another command and is replaced: {len(lost)} of its {len(old)} values are "
        f"not in this one. They are still in the store{again} (--out DIR keeps reports apart)."
    )


def _values(text: str) -> Values:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return {tuple(row.get(name) for name in KEY) for row in rows if row.get("source") == "measured"}


def _command(page: Path) -> str:
    try:
        with page.open("rb") as file:
            head = file.read(HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    # The page escapes the command as HTML.
    found = re.search('<meta name="command" content="([^"]*)">', head)
    return html.unescape(found[1]) if found else ""
