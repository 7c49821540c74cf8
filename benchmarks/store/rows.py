"""What the store keeps: rows of measured images, the header of a part, and how rows of several parts become one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=True)


def hash_json(value: Any) -> str:
    """SHA-256 of a plain JSON value, independent of the order of keys."""
    return hashlib.sha256(plain_text(value).encode()).hexdigest()


def plain_text(value: Any) -> str:
    """A plain JSON value as the text that is hashed."""
    return _ENCODER.encode(value)


class ListHash:
    """`hash_json` of lists that begin alike, such as with what a whole cell is of."""

    def __init__(self, *first: Any) -> None:
        self._begun = hashlib.sha256(f"[{', '.join(map(plain_text, first))}".encode())

    def of(self, last: Any) -> str:
        """Hash of the list that ends in this value."""
        whole = self._begun.copy()
        whole.update(f", {plain_text(last)}]".encode())
        return whole.hexdigest()


def column_name(metric: str, identity: Mapping[str, Any]) -> str:
    """Name of a stored column: the metric and what decides it, so that a changed backbone never passes unseen."""
    return f"{metric}#{hash_json(identity)[:8]}"


@dataclass(slots=True)
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
        others: fields that have no meaning here.
    """

    when: str = ""
    device: str = ""
    commit: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    memory_bytes: int = 0
    others: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A part that was read and found whole.

    Attributes:
        name: of its file, which no other part has; it begins with the time, and stays when the part is packed.
        header: what it was made with.
        rows: its rows.
        generation: 0, or one more than that of the parts it replaces (`--again`).
    """

    name: str
    header: Header
    rows: tuple[Row, ...]
    generation: int

    @property
    def has_features(self) -> bool:
        """Whether any of its rows has features."""
        return any(row.features for row in self.rows)


def merge_rows(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """Rows of one generation by (image, digest): the first that has a value wins, success over failure."""
    merged: dict[tuple[str, str], Row] = {}
    for row in rows:
        known = merged.get((row.image, row.digest))
        merged[row.image, row.digest] = (
            row if known is None else _joined(known, row, {**known.failures, **row.failures})
        )
    # A success settles a failure: that of its column, and that of the whole image once anything succeeded.
    for key, row in merged.items():
        if not row.failures:
            continue
        settled = row.values.keys() | row.features.keys()
        failures = {c: why for c, why in row.failures.items() if c not in settled and (c or not settled)}
        merged[key] = replace(row, failures=failures)
    return merged


def fill_up(newer: Row, older: Row) -> Row:
    """A row of a newer generation, and from the older one what the newer says nothing of."""
    # A whole image that failed again hides its older values, which were to be replaced.
    if "" in newer.failures:
        return newer
    values = {column: value for column, value in older.values.items() if not newer.has(column)}
    features = {column: vector for column, vector in older.features.items() if not newer.has(column)}
    failures = {column: why for column, why in older.failures.items() if column and not newer.has(column)}
    if not (values or features or failures):
        return newer
    return _joined(newer, replace(older, values=values, features=features, findings={}), {**failures, **newer.failures})


def _joined(first: Row, second: Row, failures: dict[str, str]) -> Row:
    return replace(
        first,
        values={**second.values, **first.values},
        features={**second.features, **first.features},
        failures=failures,
        size=first.size or second.size,
        gt=first.gt or second.gt,
        findings={**second.findings, **first.findings},
        dates=first.dates | second.dates,
    )
