"""One part of a cell: rows of a batch as JSON, and their feature vectors as NPZ, written whole and checked when read.

    {"header": {…}, "rows": […], "generation": 1, "features": "SHA-256 of the .npz", "sha256": "…"}

`generation` is left out if it is 0, `features` if there are none. The last field is a SHA-256 over the rest and over
the cell's own hash, so that neither a flipped bit nor a part of another cell is taken for a measurement. Parts written
before there was such a field hold `header` and `rows` alone and stay valid. What a file says is checked before it is
used, and reading it never takes more memory than a few times its size.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.store.checks import (
    DamagedPart,
    check_count,
    check_kind,
    check_number,
    check_object,
    check_texts,
    read_object,
)
from benchmarks.store.features import read_features, write_features
from benchmarks.store.rows import Header, Part, Row, hash_json
from casarbi.files import write_file

_FIELDS = {"header", "rows", "generation", "features", "sha256"}


def write_part(folder: Path, cell: str, rows: Sequence[Row], header: Mapping[str, Any], generation: int) -> None:
    """Write one part of the cell with this hash under a new name.

    The header holds fields of a `Header`, and any others worth keeping; for the generation see `Part`.

    Raises:
        OSError: if the disk refuses; no half of a part is left.
    """
    path = folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.json"
    body: dict[str, Any] = {"header": dict(header), "rows": [_plain_row(row) for row in rows]}
    if generation:
        body["generation"] = generation
    if any(row.features for row in rows):
        body["features"] = write_features(path.with_suffix(".npz"), rows)
    body["sha256"] = seal(cell, body)
    # The JSON goes last: a part without it does not exist.
    write_file(path, json.dumps(body, allow_nan=False).encode())


def seal(cell: str, body: Mapping[str, Any]) -> str:
    """SHA-256 over the other fields of a part and the hash of the cell that it belongs to."""
    return hash_json({"cell": cell, "body": body})


def _plain_row(row: Row) -> dict[str, Any]:
    # JSON knows no infinity: spell it, so that other readers do not stumble.
    values = {c: v if math.isfinite(v) else ("inf" if v > 0 else "-inf") for c, v in row.values.items()}
    plain: dict[str, Any] = {"image": row.image, "digest": row.digest, "values": values, "failures": row.failures}
    return plain | {"size": row.size, "gt": row.gt} | ({"findings": row.findings} if row.findings else {})


def read_part(path: Path, cell: str, with_features: bool = True) -> Part:
    """Read a part and check it; without features, a row has an empty vector for each feature column.

    Raises:
        DamagedPart: if anything in it is not as `write_part` writes it.
        OSError: if the system refuses.
    """
    try:
        return _read_part(path, cell, with_features)
    except (RecursionError, MemoryError):
        raise DamagedPart("it is nested too deeply, or too large") from None


def _read_part(path: Path, cell: str, with_features: bool) -> Part:
    body = read_object(path)
    sealed = "sha256" in body
    if not ({"header", "rows"} <= body.keys() <= (_FIELDS if sealed else {"header", "rows"})):
        raise DamagedPart("it does not hold a header and rows alone")
    header = _header(check_object(body["header"], "the header"))
    day = frozenset({header.when[:10]} if header.when else ())
    rows = tuple(_row(check_object(row, "a row"), day) for row in check_kind(list, body["rows"], "rows"))
    generation = check_count(body.get("generation", 0), "generation")
    # Last, because the seal says nothing of a part that an older version wrote.
    if sealed and body.pop("sha256") != seal(cell, body):
        raise DamagedPart("its SHA-256 does not match: it was changed, or is of another cell")
    features = path.with_suffix(".npz")
    has_features = "features" in body if sealed else os.path.lexists(features)
    if has_features:
        read_features(features, rows, body.get("features"), with_features)
    return Part(header, rows, generation, has_features)


def _header(plain: Mapping[str, Any]) -> Header:
    # Fields that this version does not know are left alone: a later one may write more.
    known = {f.name: plain[f.name] for f in dataclasses.fields(Header) if f.name in plain}
    for name in {"when", "device", "commit"} & known.keys():
        check_kind(str, known[name], name)
    for name in {"rows", "memory_bytes"} & known.keys():
        check_count(known[name], name)
    check_texts(known.get("versions", {}), "versions")
    for seconds in check_object(known.get("seconds", {}), "seconds").values():
        if check_number(seconds, "seconds") < 0:
            raise DamagedPart("seconds are negative")
    return Header(**known)


def _row(plain: Mapping[str, Any], dates: frozenset[str]) -> Row:
    if plain.keys() - {"findings"} != {"image", "digest", "values", "failures", "size", "gt"}:
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
