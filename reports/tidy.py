"""The tidy CSV: the same bytes under every locale, and a row that no name can break."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from reports.document import COLUMNS, Document

NUMBERS = ("scale", "value", "ci_low", "ci_high", "n", "paper_value")


def to_csv(document: Document, *, decimal: str | None = None) -> bytes:
    """Tidy CSV with exactly `COLUMNS`: UTF-8, LF, dots, shortest digits that read back as the same float.

    Nothing depends on the locale. A missing value is empty; a failed one reads `nan`. A name that a spreadsheet would
    run as a formula gets an apostrophe in front, so that it stays text.

    Args:
        document: what to write.
        decimal: None for programs. "." or "," writes for a spreadsheet with that decimal sign instead: a byte order
            mark, CRLF, and semicolons between columns where the comma is taken.
    """
    stream = io.StringIO(newline="")
    delimiter = ";" if decimal == "," else ","
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n" if decimal is None else "\r\n")
    writer.writerow(COLUMNS)
    for row in document.tidy().itertuples(index=False):
        failed = row.source == "measured"
        fields = [
            _number(getattr(row, name), name, failed and name == "value")
            if name in NUMBERS
            else _plain_text(getattr(row, name))
            for name in COLUMNS
        ]
        if decimal == ",":
            fields = [f.replace(".", ",") if n in NUMBERS else f for n, f in zip(COLUMNS, fields, strict=True)]
        writer.writerow(fields)
    return stream.getvalue().encode("utf-8" if decimal is None else "utf-8-sig")


def _number(value: Any, name: str, failed: bool) -> str:
    number = float(value)
    if math.isnan(number):
        return "nan" if failed else ""
    whole = name in ("n", "scale") and number.is_integer()
    return str(int(number)) if whole else repr(number)


def _plain_text(value: Any) -> str:
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
