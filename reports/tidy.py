"""The tidy CSV: the same bytes under every locale, and a row that no name can break."""

from __future__ import annotations

import csv
import io
import math
import re
from typing import Any

import pandas as pd

from reports.document import COLUMNS, IMAGE_COLUMNS, Document

NUMBERS = ("scale", "value", "ci_low", "ci_high", "n", "paper_value")
_DASHED = re.compile(r"-[^\d\s=(|!+@][^=(|!]*")
"""Names of images that begin with a dash and that no spreadsheet runs; they must read back as they are."""


def to_csv(document: Document, *, decimal: str | None = None) -> bytes:
    """Tidy CSV with exactly `COLUMNS`: UTF-8, LF, dots, shortest digits that read back as the same float.

    Nothing depends on the locale. A missing value is empty; a failed one reads `nan`. A name that a spreadsheet would
    run as a formula gets an apostrophe in front, so that it stays text.

    Args:
        document: what to write.
        decimal: None for programs. "." or "," writes for a spreadsheet with that decimal sign instead: a byte order
            mark, CRLF, and semicolons between columns where the comma is taken.
    """
    return _write(document.tidy(), COLUMNS, decimal)


def images_to_csv(document: Document) -> bytes:
    """CSV of single images with exactly `IMAGE_COLUMNS`, written as the tidy one is.

    Image names read back as they are, but for those a spreadsheet would run, such as `=1+1`. An image without a
    value has a reason in its row.
    """
    return _write(document.images(), IMAGE_COLUMNS, None)


def _write(frame: pd.DataFrame, columns: tuple[str, ...], decimal: str | None) -> bytes:
    stream = io.StringIO(newline="")
    delimiter = ";" if decimal == "," else ","
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n" if decimal is None else "\r\n")
    writer.writerow(columns)
    for row in frame.itertuples(index=False):
        failed = getattr(row, "source", "") == "measured"
        fields = [_field(getattr(row, name), name, failed) for name in columns]
        if decimal == ",":
            fields = [f.replace(".", ",") if n in NUMBERS else f for n, f in zip(columns, fields, strict=True)]
        writer.writerow(fields)
    return stream.getvalue().encode("utf-8" if decimal is None else "utf-8-sig", errors="backslashreplace")


def _field(value: Any, name: str, failed: bool) -> str:
    if name in NUMBERS:
        return _number(value, name, failed and name == "value")
    return _plain_text(value, harmless=_DASHED if name == "image" else None)


def _number(value: Any, name: str, failed: bool) -> str:
    number = float(value)
    if math.isnan(number):
        return "nan" if failed else ""
    whole = name in ("n", "scale") and number.is_integer()
    return str(int(number)) if whole else repr(number)


def _plain_text(value: Any, harmless: re.Pattern[str] | None = None) -> str:
    text = str(value)
    if harmless and harmless.fullmatch(text):
        return text
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
