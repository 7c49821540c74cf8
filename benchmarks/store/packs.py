"""Packs: many parts of a cell in one file and one NPZ, because thousands of small files are slow everywhere.

    0f3a…
    {"parts": {…}, "rows": {…}, "headers": […], "columns": […], "features": "SHA-256 of the .npz"}

The first line is a SHA-256 over the cell's hash and the second line, so that neither a flipped bit nor a pack of
another cell is taken for measurements; unlike a part's, it is checked without writing the JSON again. `parts` and
`rows` are tables by column: a list per field, with an entry per part or per row. Texts and names that repeat stand
once, in `headers` and `columns`, and are pointed to by their places. Nothing is merged or left out, and a part keeps
its name: reading a pack gives the parts that went in, and what it says is checked as theirs is.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.store.checks import (
    ROWS_BYTES,
    DamagedPart,
    check_count,
    check_kind,
    check_object,
    check_texts,
    parse_object,
    read_bytes,
)
from benchmarks.store.features import read_features, write_features
from benchmarks.store.parts import new_name
from benchmarks.store.plain import (
    days,
    header_from_plain,
    header_to_plain,
    own_header,
    row_of_fields,
    row_to_plain,
)
from benchmarks.store.rows import Header, Part, Row
from casarbi.files import write_file

SUFFIX = ".pack"

_FIELDS = {"parts", "rows", "headers", "columns"}
_OF_PART = ("name", "generation", "rows", "header", "own")
_OF_ROW = ("image", "digest", "columns", "values", "size", "gt")
_SPARSE = ("failures", "findings")
"""What few rows have: by the place of the row, as JSON has no keys but texts."""
_OWN = ("when", "rows", "seconds", "memory_bytes")
"""Fields of a header that differ from part to part; the others are shared by thousands."""


def write_pack(folder: Path, cell: str, parts: Sequence[Part], newest: str = "") -> bool:
    """Write parts, with their features, as one pack of the cell with this hash; False if it would be too large to read.

    Its name is newer than `newest`, that of another pack, even if that was written by a clock that is ahead.

    Raises:
        OSError: if the disk refuses; no half of a pack is left.
    """
    path = folder / f"{new_name(newest)}{SUFFIX}"
    rows = [row for part in parts for row in part.rows]
    body = _tables(parts, rows)
    if len(json.dumps(body)) > ROWS_BYTES - 1000:  # the hashes come on top
        return False
    if any(row.features for row in rows):
        body["features"] = write_features(path.with_suffix(".npz"), rows)
    content = json.dumps(body, allow_nan=False).encode()
    write_file(path, b"%s\n%s" % (_seal(cell, content), content))
    return True


def _seal(cell: str, content: bytes) -> bytes:
    return hashlib.sha256(b"%s\n%s" % (cell.encode(), content)).hexdigest().encode()


def _tables(parts: Sequence[Part], rows: Sequence[Row]) -> dict[str, Any]:
    headers, columns = _Places(), _Places()
    of_parts: dict[str, list[Any]] = {name: [] for name in _OF_PART}
    for part in parts:
        header = header_to_plain(part.header)
        own = {name: header.pop(name) for name in _OWN}
        line = (part.name, part.generation, len(part.rows), headers.of(header), own)
        for name, value in zip(_OF_PART, line, strict=True):
            of_parts[name].append(value)
    of_rows: dict[str, Any] = {name: [] for name in _OF_ROW} | {name: {} for name in _SPARSE}
    for place, row in enumerate(map(row_to_plain, rows)):
        values = row["values"]
        row |= {"columns": columns.of(list(values)), "values": list(values.values())}
        for name in _OF_ROW:
            of_rows[name].append(row[name])
        for name in _SPARSE:
            if row.get(name):
                of_rows[name][str(place)] = row[name]
    return {"parts": of_parts, "rows": of_rows, "headers": headers.values, "columns": columns.values}


class _Places:
    """Values that repeat, each kept once and known by its place."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def of(self, value: Any) -> int:
        place = self._places.setdefault(json.dumps(value), len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


def read_pack(path: Path, cell: str, with_features: bool = True) -> list[Part]:
    """Read the parts of a pack and check them; without features, a row has an empty vector for each feature column.

    Raises:
        DamagedPart: if anything in it is not as `write_pack` writes it.
        OSError: if the system refuses.
    """
    try:
        seal, _, content = read_bytes(path, ROWS_BYTES).partition(b"\n")
        if seal != _seal(cell, content):
            raise DamagedPart("its SHA-256 does not match: it was changed, or is of another cell")
        body = parse_object(content)
        if not _FIELDS <= body.keys() <= _FIELDS | {"features"}:
            raise DamagedPart("it does not hold parts and rows alone")
        parts = list(_parts(body))
    except (RecursionError, MemoryError):
        raise DamagedPart("it is nested too deeply, or too large") from None
    if "features" in body:
        rows = [row for part in parts for row in part.rows]
        read_features(path.with_suffix(".npz"), rows, check_kind(str, body["features"], "features"), with_features)
    return parts


def _parts(body: Mapping[str, Any]) -> Iterator[Part]:
    rows = iter(_rows(body))
    left = len(body["rows"]["image"])
    headers = [
        header_from_plain(check_object(plain, "a header")) for plain in check_kind(list, body["headers"], "headers")
    ]
    for name, generation, count, header, own in _table(body["parts"], _OF_PART):
        if not check_kind(str, name, "a name").endswith(".json"):
            raise DamagedPart("a part has a name that no part has")
        whole = _header(_at(headers, header), own)
        dates = days(whole)
        left -= check_count(count, "rows")
        if left < 0:
            raise DamagedPart("its parts have more rows than there are")
        taken = tuple(itertools.islice(rows, count))
        for row in taken:
            row.dates = dates
        yield Part(name, whole, taken, check_count(generation, "generation"))
    if left:
        raise DamagedPart("it has rows of no part")


def _header(shared: Header, own: Any) -> Header:
    if check_object(own, "a header").keys() != set(_OWN):
        raise DamagedPart("a header lacks a field, or has one too many")
    return own_header(shared, **own)


def _rows(body: Mapping[str, Any]) -> list[Row]:
    """All rows, without their dates and features."""
    columns = [
        [check_kind(str, name, "a column") for name in check_kind(list, names, "columns")]
        for names in check_kind(list, body["columns"], "columns")
    ]
    table = check_object(body["rows"], "rows")
    rows = [
        row_of_fields(image, digest, _at(columns, having), values, size, gt)
        for image, digest, having, values, size, gt in _table(table, _OF_ROW, _SPARSE)
    ]
    places = {str(place): row for place, row in enumerate(rows)}
    for name in _SPARSE:
        for place, texts in check_object(table[name], name).items():
            if place not in places:
                raise DamagedPart(f"it has {name} of no row")
            setattr(places[place], name, check_texts(texts, name))
    return rows


def _table(plain: Any, fields: Sequence[str], beside: Sequence[str] = ()) -> Iterator[tuple[Any, ...]]:
    """The lines of a table that is stored by column."""
    table = check_object(plain, "a table")
    if table.keys() != {*fields, *beside}:
        raise DamagedPart("a table lacks a field, or has one too many")
    lists = [check_kind(list, table[name], name) for name in fields]
    if len({len(column) for column in lists}) > 1:
        raise DamagedPart("the columns of a table differ in length")
    return zip(*lists, strict=True)


def _at(values: Sequence[Any], place: Any) -> Any:
    if check_count(place, "a place") >= len(values):
        raise DamagedPart("it points to a place that is not there")
    return values[place]
