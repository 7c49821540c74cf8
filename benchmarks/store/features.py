"""Feature vectors of a part, as NPZ: written as they are, and read without trusting what the file says of itself.

columns     names of the feature columns
rowsI       which rows of the part have the column number I
featuresI   their vectors, one per row
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.store.checks import DamagedPart, read_bytes
from benchmarks.store.rows import Row
from casarbi.files import replacing
from casarbi.references import describe

FEATURES_BYTES = 2**28
"""Size that no file of features reaches: a row takes about 8 KB."""


def write_features(path: Path, rows: Sequence[Row]) -> str:
    """Write the features of rows, and return the SHA-256 of the file."""
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


def read_features(path: Path, rows: Sequence[Row], sha256: str | None, with_vectors: bool) -> None:
    """Put the features of a file into the rows they are of.

    Args:
        path: the file.
        rows: the rows of the part, in order.
        sha256: hash that the file has to have; None for a part of before there were hashes.
        with_vectors: whether to keep the vectors; otherwise a row gets an empty one for each of its columns.

    Raises:
        DamagedPart: if the file is not as `write_features` writes it.
        OSError: if the system refuses.
    """
    content = read_bytes(path, FEATURES_BYTES)
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
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if packed or sum(member.file_size for member in members) > len(content):
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
