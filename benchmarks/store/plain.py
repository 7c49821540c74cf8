"""Rows and headers as plain JSON, and back: what a file says is checked before it is used."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from benchmarks.store.checks import (
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
    size = plain["size"]
    if size is not None and len([check_count(side, "size") for side in check_kind(list, size, "size")]) != 2:
        raise DamagedPart("a size is not height and width")
    values = check_object(plain["values"], "values")
    return Row(
        image=check_kind(str, plain["image"], "image"),
        digest=check_kind(str, plain["digest"], "digest"),
        values={column: _value(value) for column, value in values.items()},
        failures=check_texts(plain["failures"], "failures"),
        size=(size[0], size[1]) if size else None,
        gt=None if plain["gt"] is None else check_kind(str, plain["gt"], "gt"),
        findings=check_texts(plain.get("findings", {}), "findings"),
        dates=dates,
    )


def _value(plain: Any) -> float:
    return float(plain) if plain in ("inf", "-inf") else check_number(plain, "a value")


def days(header: Header) -> frozenset[str]:
    """The day on which the rows of a header were measured, if it says so."""
    return frozenset({header.when[:10]} if header.when else ())


def header_to_plain(header: Header) -> dict[str, Any]:
    """A header with whatever other fields its file had."""
    return {**header.others, **{name: getattr(header, name) for name in _FIELDS}}


def header_from_plain(plain: Mapping[str, Any]) -> Header:
    """The header; raises DamagedPart if a field that is known here is not as it has to be."""
    known = {name: plain[name] for name in _FIELDS & plain.keys()}
    for name in ("when", "device", "commit"):
        check_kind(str, known.get(name, ""), name)
    for name in ("rows", "memory_bytes"):
        check_count(known.get(name, 0), name)
    check_texts(known.get("versions", {}), "versions")
    for seconds in check_object(known.get("seconds", {}), "seconds").values():
        if check_number(seconds, "seconds") < 0:
            raise DamagedPart("seconds are negative")
    # Fields that this version does not know are left alone: a later one may write more.
    return Header(**known, others={name: plain[name] for name in plain.keys() - _FIELDS})
