"""The tidy CSV: the same bytes under every locale, and a row that no name can break."""

from __future__ import annotations

import csv
import functools
import io
import math
from typing import Any

import pandas as pd

from casarbi.plain import visible
from reports.document import COLUMNS, IMAGE_COLUMNS, Document

NUMBERS = ("scale", "value", "ci_low", "ci_high", "n", "paper_value", "border", "seed")
FORMULA_SIGNS = tuple("=+-@＝＋－＠")
"""First signs by which a spreadsheet takes a text for a formula."""


def to_csv(document: Document, *, decimal: str | None = None) -> bytes:
    """Tidy CSV with exactly `COLUMNS`: UTF-8, LF, dots, shortest digits that read back as the same float.

    Nothing depends on the locale, and every name reads back as it is. A missing value is empty; a failed one reads
    `nan`.

    Args:
        document: what to write.
        decimal: None for programs. "." or "," writes for a spreadsheet with that decimal sign instead: a byte order
            mark, CRLF, semicolons between columns if the comma is taken, and an apostrophe in front of a name that
            the spreadsheet would run as a formula.
    """
    return _write(document.tidy(), COLUMNS, decimal)


def images_to_csv(document: Document) -> bytes:
    """CSV of single images with exactly `IMAGE_COLUMNS`, written as the tidy one is.

    An image without a value has a reason in its row.
    """
    return _write(document.images(), IMAGE_COLUMNS, None)


def _write(frame: pd.DataFrame, columns: tuple[str, ...], decimal: str | None) -> bytes:
    stream = io.StringIO(newline="")
    delimiter = ";" if decimal == "," else ","
    end = "\n" if decimal is None else "\r\n"
    # Two writers: one for ordinary rows, one that quotes every field.
    plain, quoted = (
        csv.writer(stream, delimiter=delimiter, lineterminator=end, quoting=quoting)
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    plain.writerow(columns)
    # By column, because many of the hundreds of thousands of rows of single images say the same.
    measured = (frame["source"] == "measured").tolist() if "source" in frame else [False] * len(frame)
    for fields in zip(*(_fields(frame[name].tolist(), name, measured, decimal) for name in columns), strict=True):
        # A lone carriage return ends the row for readers, but the writer quotes only what ends its own lines.
        (quoted if "\r" in "".join(fields) else plain).writerow(fields)
    # A name that is not UTF-8 has lone surrogates, which no UTF-8 file can hold.
    return stream.getvalue().encode("utf-8" if decimal is None else "utf-8-sig", "backslashreplace")


def _fields(values: list[Any], name: str, measured: list[bool], decimal: str | None) -> list[str]:
    """Texts of a column; a value that was measured and is not there has failed."""
    known = functools.cache(lambda value, failed: _field(value, name, failed, decimal))
    return list(map(known, values, measured))


def _field(value: Any, name: str, failed: bool, decimal: str | None) -> str:
    if name in NUMBERS:
        number = _number(value, name, failed and name == "value")
        return number.replace(".", decimal) if decimal else number
    text = "" if pd.isna(value) else str(value)
    # For a spreadsheet only: programs must read every name back as it is.
    if decimal:
        text = visible(text)
        return f"'{text}" if text.startswith(FORMULA_SIGNS) else text
    return visible(text) if name == "reason" else text


def _number(value: Any, name: str, failed: bool) -> str:
    number = float(value)
    if math.isnan(number):
        return "nan" if failed else ""
    whole = name in ("n", "scale", "border", "seed") and number.is_integer()
    return str(int(number)) if whole else repr(number)
