"""Rows and headers as plain JSON, and back: what a file says is checked before it is used."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.store.checks import (
    LARGEST,
    DamagedPart,
    check_count,
    check_kind,
    check_number,
    check_object,
    check_texts,
)
from benchmarks.store.rows import Header, Row, hash_json

_FIELDS = {field.name for field in dataclasses.fields(Header)} - {"others"}
_ROW = {"image", "digest", "values", "failures", "size", "gt"}


def seal(cell: str, body: Mapping[str, Any]) -> str:
    """SHA-256 over the other fields of a file and the hash of the cell that it belongs to."""
    return hash_json({"cell": cell, "body": body})


def row_to_plain(row: Row) -> dict[str, Any]:
    """A row without its features."""
    # JSON knows no infinity: spell it, so that other readers do not stumble.
    values = {c: v if math.isfinite(v) else ("inf" if v > 0 else "-inf") for c, v in row.values.items()}
    plain: dict[str, Any] = {"image": row.image, "digest": row.digest, "values": values, "failures": row.failures}
    return plain | {"size": row.size, "gt": row.gt} | ({"findings": row.findings} if row.findings else {})


def row_from_plain(plain: Mapping[str, Any], dates: frozenset[str]) -> Row:
    """A row of these `days`; raises DamagedPart if anything in it is not as `row_to_plain` gives it."""
    if plain.keys() - {"findings"} != _ROW:
        raise DamagedPart("a row lacks a field, or has one too many")
    values = check_object(plain["values"], "values")
    row = row_of_fields(
        plain["image"], plain["digest"], list(values), list(values.values()), plain["size"], plain["gt"]
    )
    row.failures = check_texts(plain["failures"], "failures")
    row.findings = check_texts(plain.get("findings", {}), "findings")
    row.dates = dates
    return row


def row_of_fields(image: Any, digest: Any, columns: Sequence[str], values: Any, size: Any, gt: Any) -> Row:
    """A row with these values, one per column; raises DamagedPart as `row_from_plain` does."""
    # Hundreds of thousands are read for a table: what is right is found by the shortest way.
    if not (type(image) is type(digest) is str and (gt is None or type(gt) is str)):
        raise DamagedPart("an image, digest or gt is no text")
    if size is not None and len([check_count(side, "size") for side in check_kind(list, size, "size")]) != 2:
        raise DamagedPart("a size is not height and width")
    if len(check_kind(list, values, "values")) != len(columns):
        raise DamagedPart("a row has not one value per column")
    found = dict(zip(columns, map(_value, values), strict=True))
    return Row(image, digest, found, size=(size[0], size[1]) if size else None, gt=gt)


def _value(plain: Any) -> float:
    if type(plain) is float and abs(plain) <= LARGEST:
        return plain
    return float(plain) if plain in ("inf", "-inf") else check_number(plain, "a value")


def days(header: Header) -> frozenset[str]:
    """The day on which the rows of a header were measured, if it says so."""
    return frozenset({header.when[:10]} if header.when else ())


def header_to_plain(header: Header) -> dict[str, Any]:
    """A header with whatever other fields its file had."""
    return {**header.others, **{name: getattr(header, name) for name in _FIELDS}}


def header_from_plain(plain: Mapping[str, Any]) -> Header:
    """The header; raises DamagedPart if a field that is known here is not as it has to be."""
    shared = Header(
        device=check_kind(str, plain.get("device", ""), "device"),
        commit=check_kind(str, plain.get("commit", ""), "commit"),
        versions=check_texts(plain.get("versions", {}), "versions"),
        # Fields that this version does not know are left alone: a later one may write more.
        others={name: plain[name] for name in plain.keys() - _FIELDS},
    )
    when, rows = plain.get("when", ""), plain.get("rows", 0)
    return own_header(shared, when, rows, plain.get("seconds", {}), plain.get("memory_bytes", 0))


def own_header(shared: Header, when: Any, rows: Any, seconds: Any, memory_bytes: Any) -> Header:
    """The header of one part, from what it shares with others and what is its own; raises DamagedPart as above."""
    for spent in check_object(seconds, "seconds").values():
        if check_number(spent, "seconds") < 0:
            raise DamagedPart("seconds are negative")
    return Header(
        check_kind(str, when, "when"),
        shared.device,
        shared.commit,
        shared.versions,
        check_count(rows, "rows"),
        seconds,
        check_count(memory_bytes, "memory_bytes"),
        shared.others,
    )
