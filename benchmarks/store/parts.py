"""One part of a cell: rows of a batch as JSON, and their feature vectors as NPZ, written whole and checked when read.

    {"header": {…}, "rows": […], "generation": 1, "features": "SHA-256 of the .npz", "sha256": "…"}

`generation` is left out if it is 0, `features` if there are none. The last field is a SHA-256 over the rest and over
the cell's own hash, so that neither a flipped bit nor a part of another cell is taken for a measurement. Parts written
before there was such a field hold `header` and `rows` alone and stay valid. What a file says is checked before it is
used, and reading it never takes more memory than a few times its size.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import os
import stat
import time
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from casarbi.files import replacing
from casarbi.references import describe

ROWS_BYTES, FEATURES_BYTES = 2**23, 2**28
"""Sizes that no part reaches: a row takes about 500 bytes of JSON, and about 8 KB of features."""

_LARGEST = 1e12  # of any value of a metric, and of seconds
_FIELDS = {"header", "rows", "generation", "features", "sha256"}


class DamagedPart(ValueError):
    """Says what is wrong with a file, as the end of a sentence."""


@dataclass
class Row:
    """What is known of one image in a cell.

    Attributes:
        image: image id.
        digest: of the image the values were measured on.
        values: column name to value; NaN never, infinities allowed.
        failures: column name, or "" for the whole image, to the reason no value is there.
        size: (H, W) of the output.
        gt: first 16 hex digits of the SHA-256 of the GT's 8-bit pixels.
        features: column name to feature vector.
        findings: what is odd about the output, by kind (see `casarbi.pictures.inspection`).
        dates: days on which it was measured, such as 2026-11-27.
    """

    image: str
    digest: str
    values: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    gt: str | None = None
    features: dict[str, np.ndarray] = field(default_factory=dict)
    findings: dict[str, str] = field(default_factory=dict)
    dates: frozenset[str] = frozenset()

    def has(self, column: str) -> bool:
        """Whether a column needs no more work: a value, features, or a reason that will not change."""
        return column in self.values or column in self.features or column in self.failures


@dataclass(frozen=True)
class Header:
    """What a part was made with; a field that the file lacks is empty.

    Attributes:
        when: time of the batch, ISO 8601.
        device, commit, versions: what measured it.
        rows: number of rows.
        seconds: wall time of the batch by what it was spent on.
        memory_bytes: peak memory of the process.
    """

    when: str = ""
    device: str = ""
    commit: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    memory_bytes: int = 0


@dataclass(frozen=True)
class Part:
    """A part that was read and found whole.

    Attributes:
        header: what it was made with.
        rows: its rows.
        generation: 0, or one more than that of the parts it replaces (`--again`).
        has_features: whether there is an NPZ file.
    """

    header: Header
    rows: tuple[Row, ...]
    generation: int
    has_features: bool


def hash_json(value: Any) -> str:
    """SHA-256 of a plain JSON value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def write_part(folder: Path, cell: str, rows: Sequence[Row], header: Mapping[str, Any], generation: int) -> None:
    """Write one part under a new name.

    Args:
        folder: the cell's folder of parts.
        cell: the cell's hash.
        rows: what was measured.
        header: fields of a `Header`, and any others worth keeping.
        generation: see `Part`.

    Raises:
        OSError: if the disk refuses; no half of a part is left.
    """
    path = folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.json"
    body: dict[str, Any] = {"header": dict(header), "rows": [_plain_row(row) for row in rows]}
    if generation:
        body["generation"] = generation
    if any(row.features for row in rows):
        body["features"] = _write_features(path.with_suffix(".npz"), rows)
    body["sha256"] = _seal(cell, body)
    # The rows go last: a part without its JSON does not exist.
    with replacing(path) as draft:
        draft.write_text(json.dumps(body, allow_nan=False), encoding="ascii")


def _seal(cell: str, body: Mapping[str, Any]) -> str:
    return hash_json({"cell": cell, "body": body})


def _write_features(path: Path, rows: Sequence[Row]) -> str:
    columns = sorted({column for row in rows for column in row.features})
    arrays: dict[str, Any] = {"columns": np.array(columns)}
    for index, column in enumerate(columns):
        having = [i for i, row in enumerate(rows) if column in row.features]
        arrays[f"rows{index}"] = np.array(having)
        arrays[f"features{index}"] = np.stack([rows[i].features[column] for i in having])
    with replacing(path) as draft:
        with draft.open("wb") as file:
            np.savez(file, **arrays)
        return hashlib.sha256(draft.read_bytes()).hexdigest()


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


def read_object(path: Path, limit: int = ROWS_BYTES) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        DamagedPart: if it does not, or is larger than `limit` bytes.
        OSError: if the system refuses.
    """
    try:
        plain = json.loads(_read_bytes(path, limit), parse_constant=_refuse_constant)
    except DamagedPart:
        raise
    except RecursionError:
        raise DamagedPart("it is nested too deeply") from None
    except ValueError:  # JSONDecodeError, UnicodeDecodeError, and whole numbers of thousands of digits
        raise DamagedPart("it is not valid JSON") from None
    return _object(plain, "the file")


def _refuse_constant(name: str) -> None:
    raise DamagedPart(f"it holds {name}")


def _read_bytes(path: Path, limit: int) -> bytes:
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # reading a pipe would wait for ever
        raise DamagedPart("it is a folder" if stat.S_ISDIR(facts.st_mode) else "it is no regular file")
    if facts.st_size > limit:
        raise DamagedPart(f"it has {facts.st_size:,} bytes, more than the {limit:,} a part may have")
    return path.read_bytes()


def _read_part(path: Path, cell: str, with_features: bool) -> Part:
    body = read_object(path)
    sealed = "sha256" in body
    if not ({"header", "rows"} <= body.keys() <= (_FIELDS if sealed else {"header", "rows"})):
        raise DamagedPart("it does not hold a header and rows alone")
    header = _header(_object(body["header"], "the header"))
    day = frozenset({header.when[:10]} if header.when else ())
    rows = tuple(_row(_object(row, "a row"), day) for row in _of(list, body["rows"], "rows"))
    generation = _count(body.get("generation", 0), "generation")
    if sealed and body.pop("sha256") != _seal(cell, body):
        raise DamagedPart("its SHA-256 does not match: it was changed, or is of another cell")
    features = path.with_suffix(".npz")
    has_features = "features" in body if sealed else os.path.lexists(features)
    if has_features:
        _read_features(features, rows, body.get("features"), with_features)
    return Part(header, rows, generation, has_features)


def _header(plain: Mapping[str, Any]) -> Header:
    known = {f.name: plain[f.name] for f in dataclasses.fields(Header) if f.name in plain}
    for name in {"when", "device", "commit"} & known.keys():
        _of(str, known[name], name)
    for name in {"rows", "memory_bytes"} & known.keys():
        _count(known[name], name)
    _texts(known.get("versions", {}), "versions")
    for seconds in _object(known.get("seconds", {}), "seconds").values():
        if _number(seconds, "seconds") < 0:
            raise DamagedPart("seconds are negative")
    return Header(**known)


def _row(plain: Mapping[str, Any], dates: frozenset[str]) -> Row:
    if plain.keys() - {"findings"} != {"image", "digest", "values", "failures", "size", "gt"}:
        raise DamagedPart("a row lacks a field, or has one too many")
    size = plain["size"]
    if size is not None and len([_count(side, "size") for side in _of(list, size, "size")]) != 2:
        raise DamagedPart("a size is not height and width")
    values = _object(plain["values"], "values")
    return Row(
        image=_of(str, plain["image"], "image"),
        digest=_of(str, plain["digest"], "digest"),
        values={column: _value(value) for column, value in values.items()},
        failures=_texts(plain["failures"], "failures"),
        size=(size[0], size[1]) if size else None,
        gt=None if plain["gt"] is None else _of(str, plain["gt"], "gt"),
        findings=_texts(plain.get("findings", {}), "findings"),
        dates=dates,
    )


def _texts(plain: Any, what: str) -> dict[str, str]:
    return {name: _of(str, text, what) for name, text in _object(plain, what).items()}


def _value(plain: Any) -> float:
    return float(plain) if plain in ("inf", "-inf") else _number(plain, "a value")


def _number(plain: Any, what: str) -> float:
    if isinstance(plain, bool) or not isinstance(plain, (int, float)) or not abs(plain) <= _LARGEST:
        raise DamagedPart(f"{what} is no number that a measurement gives")
    return float(plain)


def _count(plain: Any, what: str) -> int:
    if isinstance(plain, bool) or not isinstance(plain, int) or not 0 <= plain < 2**63:
        raise DamagedPart(f"{what} is no count")
    return plain


def _object(plain: Any, what: str) -> dict[str, Any]:
    return _of(dict, plain, what)


def _of(kind: type, plain: Any, what: str) -> Any:
    if not isinstance(plain, kind):
        raise DamagedPart(f"{what} is not of the kind {kind.__name__}")
    return plain


def _read_features(path: Path, rows: Sequence[Row], sha256: str | None, with_vectors: bool) -> None:
    content = _read_bytes(path, FEATURES_BYTES)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise DamagedPart(f"the SHA-256 of {path.name} does not match")
    try:
        _fill_features(content, rows, with_vectors)
    except DamagedPart as damage:
        raise DamagedPart(f"{path.name} {damage}") from None
    except Exception as error:  # whatever zipfile and NumPy raise on a damaged file
        raise DamagedPart(f"{path.name} cannot be read ({describe(error)})") from None


def _fill_features(content: bytes, rows: Sequence[Row], with_vectors: bool) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # Arrays are stored as they are: a compressed member, or members that share bytes, could unfold to any size.
        members = archive.infolist()
        if any(m.compress_type != zipfile.ZIP_STORED for m in members) or sum(m.file_size for m in members) > len(
            content
        ):
            raise DamagedPart("holds more than it weighs")
        columns = _read_array(archive, "columns")
        if columns.dtype.kind != "U" or columns.ndim != 1:
            raise DamagedPart("does not name its columns")
        for index, column in enumerate(columns.tolist()):
            having = _read_array(archive, f"rows{index}")
            if having.dtype.kind != "i" or having.ndim != 1 or len(set(having.tolist())) != len(having):
                raise DamagedPart("does not say which rows its features are of")
            vectors = _read_array(archive, f"features{index}")
            if vectors.dtype.kind != "f" or vectors.ndim != 2 or len(vectors) != len(having):
                raise DamagedPart("does not hold one vector of features per row")
            if not np.isfinite(vectors).all():
                raise DamagedPart("holds features that are not numbers")
            for i, vector in zip(having.tolist(), vectors, strict=True):
                if not 0 <= i < len(rows):
                    raise DamagedPart("has features of rows that are not there")
                rows[i].features[column] = vector if with_vectors else vector[:0].copy()


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array whose declared shape is that of the bytes really there; objects, which could run code, are refused."""
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read_header(file)
        if dtype.hasobject or fortran_order or math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
            raise DamagedPart(f"holds {name} in another shape than its bytes")
        return np.frombuffer(file.read(), dtype).reshape(shape)
