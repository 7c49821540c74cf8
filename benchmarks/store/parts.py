"""One part of a cell: rows of a batch as JSON, and their feature vectors as NPZ, written whole and checked when read.

    {"header": {…}, "rows": […], "generation": 1, "features": "SHA-256 of the .npz", "sha256": "…"}

`generation` is left out if it is 0, `features` if there are none. The last field is a SHA-256 over the rest and over
the cell's own hash, so that neither a flipped bit nor a part of another cell is taken for a measurement. Parts written
before there was such a field hold `header` and `rows` alone and stay valid. What a file says is checked before it is
used, and reading it never takes more memory than a few times its size.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.store.checks import DamagedPart, check_count, check_kind, check_object, read_object
from benchmarks.store.features import read_features, write_features
from benchmarks.store.plain import days, header_from_plain, row_from_plain, row_to_plain, seal
from benchmarks.store.rows import Part, Row
from casarbi.files import write_file

_FIELDS = {"header", "rows", "generation", "features", "sha256"}


def new_name(newest: str = "") -> str:
    """A name that no other file of any store has, without a suffix; it comes after all earlier ones, and `newest`."""
    after = int(newest[:20]) + 1 if newest[:20].isdecimal() else 0
    return f"{max(time.time_ns(), after):020d}-{uuid.uuid4().hex[:8]}"


def write_part(folder: Path, cell: str, rows: Sequence[Row], header: Mapping[str, Any], generation: int) -> None:
    """Write one part of the cell with this hash under a new name.

    The header holds fields of a `Header`, and any others worth keeping; for the generation see `Part`.

    Raises:
        OSError: if the disk refuses; no half of a part is left.
    """
    path = folder / f"{new_name()}.json"
    body: dict[str, Any] = {"header": dict(header), "rows": [row_to_plain(row) for row in rows]}
    if generation:
        body["generation"] = generation
    if any(row.features for row in rows):
        body["features"] = write_features(path.with_suffix(".npz"), rows)
    body["sha256"] = seal(cell, body)
    # The JSON goes last: a part without it does not exist.
    write_file(path, json.dumps(body, allow_nan=False).encode())


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
    header = header_from_plain(check_object(body["header"], "the header"))
    dates = days(header)
    rows = tuple(row_from_plain(check_object(row, "a row"), dates) for row in check_kind(list, body["rows"], "rows"))
    generation = check_count(body.get("generation", 0), "generation")
    # Last, because the seal says nothing of a part that an older version wrote.
    if sealed and body.pop("sha256") != seal(cell, body):
        raise DamagedPart("its SHA-256 does not match: it was changed, or is of another cell")
    features = path.with_suffix(".npz")
    if "features" in body if sealed else os.path.lexists(features):
        read_features(features, rows, body.get("features"), with_features)
    return Part(path.name, header, rows, generation)
