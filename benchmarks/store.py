"""The results on disk: cells of parts, safe against kills and races.

A cell holds everything measured for one (model identity, data set name, protocol, scale, seed). It is one folder:

    cells/<key>/cell.json          what the key stands for
    cells/<key>/parts/<name>.json  rows of one batch: metrics an image, with what they were made with
    cells/<key>/parts/<name>.npz   feature vectors of the same images

Each file is written elsewhere and moved into place, so a reader never sees half of one. A row counts for an image only
while its digest matches, so an edited picture is measured anew and a larger N adds only what is new. Columns carry a
hash of what decides the metric; where two parts hold the same value, the older part wins: nothing counts twice.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from casarbi.errors import CasarbiError

FORMAT = 1
"""Raised when stored files come to mean something else; older cells are then measured anew."""


def hash_json(value: Any) -> str:
    """SHA-256 of a plain JSON value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def column_name(metric: str, identity: Mapping[str, Any]) -> str:
    """Name of a stored column: the metric and what decides it, so that a changed backbone never passes unseen."""
    return f"{metric}#{hash_json(identity)[:8]}"


@dataclass(frozen=True)
class CellKey:
    """What a cell stands for; `hash` names its folder.

    Attributes:
        model: the model's identity, or {"method": "ground-truth"}.
        dataset: the data set's short name; single images are told apart by their digests.
        protocol: the protocol's hash.
        scale: the scale factor.
        seed: the run's seed.
    """

    model: Mapping[str, Any]
    dataset: str
    protocol: str
    scale: float
    seed: int

    @property
    def plain(self) -> dict[str, Any]:
        """The key as plain JSON."""
        return {
            "format": FORMAT,
            "model": dict(self.model),
            "dataset": self.dataset,
            "protocol": self.protocol,
            "scale": self.scale,
            "seed": self.seed,
        }

    @property
    def hash(self) -> str:
        """First 20 hex digits of the key's SHA-256."""
        return hash_json(self.plain)[:20]


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
        findings: what is odd about the output, by kind (see `casarbi.inspection`).
    """

    image: str
    digest: str
    values: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    gt: str | None = None
    features: dict[str, np.ndarray] = field(default_factory=dict)
    findings: dict[str, str] = field(default_factory=dict)

    def has(self, column: str) -> bool:
        """Whether a column needs no more work: a value, features, or a reason that will not change."""
        return column in self.values or column in self.features or column in self.failures


class Store:
    """A folder of cells."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def cell(self, key: CellKey) -> Cell:
        """The cell of a key, whether or not anything is there yet."""
        return Cell(self.folder / "cells" / key.hash, key)

    def prepare(self) -> None:
        """Make the folder and write a file in it, so that a place which refuses is found before hours of work.

        Raises:
            CasarbiError: where nothing can be kept there.
        """
        probe = self.folder / f".{uuid.uuid4().hex}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"\0")
            probe.unlink()
        except OSError as error:
            raise CasarbiError(
                f"Results cannot be kept in {self.folder}: {error.strerror}; name another folder with --store."
            ) from None


class Cell:
    """One cell's folder."""

    def __init__(self, folder: Path, key: CellKey) -> None:
        self.folder, self.key = folder, key

    def rows(self, with_features: bool = True) -> dict[tuple[str, str], Row]:
        """All rows by (image, digest), parts merged: the oldest part that has a value wins, success over failure.

        Without features, a row still tells which feature columns it has, each with an empty vector.
        """
        merged: dict[tuple[str, str], Row] = {}
        for path in sorted((self.folder / "parts").glob("*.json")):
            for row in _read_part(path, with_features):
                known = merged.setdefault((row.image, row.digest), row)
                if known is row:
                    continue
                known.values = {**row.values, **known.values}
                known.features = {**row.features, **known.features}
                known.failures = {**known.failures, **row.failures}
                known.size, known.gt = known.size or row.size, known.gt or row.gt
                known.findings = {**row.findings, **known.findings}
        for row in merged.values():
            settled = row.values.keys() | row.features.keys()
            row.failures = {c: why for c, why in row.failures.items() if c not in settled and (c or not settled)}
        return merged

    def headers(self) -> list[dict[str, Any]]:
        """What each part was made with (versions, device, seconds), oldest first."""
        headers = []
        for path in sorted((self.folder / "parts").glob("*.json")):
            try:
                headers.append(json.loads(path.read_text(encoding="utf-8"))["header"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return headers

    def add(self, rows: list[Row], header: Mapping[str, Any]) -> None:
        """Add one part; on return it outlives this process.

        Raises:
            CasarbiError: where the disk is full or refuses; nothing that was there before is harmed.
        """
        try:
            self._add(rows, header)
        except OSError as error:
            raise CasarbiError(
                f"Results cannot be kept in {self.folder}: {error.strerror}; mend that and run the same command again, "
                "what was measured before is kept."
            ) from None

    def _add(self, rows: list[Row], header: Mapping[str, Any]) -> None:
        parts = self.folder / "parts"
        parts.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "cell.json").exists():
            _write_json(self.folder / "cell.json", {"key": self.key.plain})
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        columns = sorted({column for row in rows for column in row.features})
        if columns:
            arrays: dict[str, Any] = {}
            for index, column in enumerate(columns):
                having = [i for i, row in enumerate(rows) if column in row.features]
                arrays[f"rows{index}"] = np.array(having)
                arrays[f"features{index}"] = np.stack([rows[i].features[column] for i in having])
            temporary = parts / f".{name}.npz"
            with open(temporary, "wb") as file:
                np.savez(file, columns=np.array(columns), **arrays)
            os.replace(temporary, parts / f"{name}.npz")
        # The rows go last: a part without its JSON does not exist.
        _write_json(parts / f"{name}.json", {"header": dict(header), "rows": [_plain_row(row) for row in rows]})


def _plain_row(row: Row) -> dict[str, Any]:
    # JSON knows no infinity: spell it, so that other readers do not stumble.
    values = {c: v if math.isfinite(v) else ("inf" if v > 0 else "-inf") for c, v in row.values.items()}
    plain: dict[str, Any] = {"image": row.image, "digest": row.digest, "values": values, "failures": row.failures}
    return plain | {"size": row.size, "gt": row.gt} | ({"findings": row.findings} if row.findings else {})


def _read_part(path: Path, with_features: bool) -> list[Row]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))["rows"]
        rows = [
            Row(
                image=p["image"],
                digest=p["digest"],
                values={c: float(v) for c, v in p["values"].items()},
                failures=p["failures"],
                size=tuple(p["size"]) if p["size"] else None,
                gt=p["gt"],
                findings=p.get("findings", {}),
            )
            for p in plain
        ]
        features = path.with_suffix(".npz")
        if features.exists():
            with np.load(features, allow_pickle=False) as arrays:
                for index, column in enumerate(arrays["columns"]):
                    having = arrays[f"rows{index}"]
                    vectors = arrays[f"features{index}"] if with_features else np.empty((len(having), 0))
                    for i, vector in zip(having, vectors, strict=True):
                        rows[i].features[str(column)] = vector
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, zipfile.BadZipFile):
        return []  # a damaged part is measured again
    return rows


def _write_json(path: Path, value: Any) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    temporary.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    os.replace(temporary, path)
