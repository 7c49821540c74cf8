"""Damaged and hostile cells of a store, made from real parts.

A part comes in three ways: `sealed`, as it is written (a change must be noticed), `legacy`, as it was written before
parts had a hash (a change of a number cannot be noticed, all else must be), and `forged`, with a hash that fits again,
so that what lies behind the hash is reached, too. A pack is never `legacy`.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import pickle
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.store import CellKey, Store
from benchmarks.store.parts import seal
from benchmarks.store.rows import Row
from casarbi.errors import CasarbiError
from fuzz.runner import TRAP, Case

KEY = CellKey({"method": "m", "source_sha256": "0" * 64}, "folder", "abc", 2.0, 0)
OTHER = CellKey({"method": "m", "source_sha256": "1" * 64}, "folder", "abc", 2.0, 0)
HEADER = {
    "when": "2026-11-27T10:00:00+00:00",
    "device": "CPU (x)",
    "commit": "0123456789abcdef",
    "versions": {"torch": "2.14.1"},
    "rows": 3,
    "seconds": {"read": 0.5, "model": 1.25},
    "memory_bytes": 2**29,
}
WAYS = ("sealed", "legacy", "forged")
ODD = (
    None,
    True,
    0,
    -1,
    1e308,
    10**40,
    "",
    "inf",
    "é\udca4",
    [],
    {},
    [[]],
    {"a": {}},
    [1, 2, 3],
    f"{TRAP}:record",
    0.5,
)


def _rows(first: int) -> list[Row]:
    rng = np.random.default_rng(first)
    names = [f"image{index}" for index in range(first, first + 3)]
    rows = [
        Row(name, f"{i:064x}", {"psnr#1": float(rng.normal(30)), "ssim#2": 0.5}, size=(64, 48), gt="0" * 16)
        for i, name in enumerate(names)
    ]
    for row in rows[:2]:
        row.features["f#3"] = rng.normal(size=16).astype(np.float32)
    rows[2].failures["f#3"] = "needs 21 px"
    rows[1].values["psnr#1"] = float("inf")
    return rows


@functools.cache
def cells() -> dict[str, dict[str, bytes]]:
    """Files of cells, by name below the store: "one" has two parts, "packed" has two in a pack, "other" has one."""
    found = {}
    for name, key, firsts in (("one", KEY, (0, 2)), ("packed", KEY, (0, 2)), ("other", OTHER, (5,))):
        with tempfile.TemporaryDirectory() as folder:
            for first in firsts:
                Store(folder).cell(key).add(_rows(first), HEADER)
            if name == "packed":
                Store(folder).cell(key).compact()
            paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            found[name] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return found


def cases(count: int, seed: int) -> Iterator[Case]:
    """Stores with one changed file each."""
    _truth()  # made at once, in the process that is not watched
    return _cases(count, random.Random(seed))


def _cases(count: int, rng: random.Random) -> Iterator[Case]:
    for index in range(count):
        kind = rng.choice(["one", "packed"])
        files = dict(cells()[kind])
        name = rng.choice(sorted(files))
        way = rng.choice(WAYS if kind == "one" else ("sealed", "forged"))
        change, content = _change(rng, name, files, way)
        files[name] = content
        yield Case(f"{index:05d}-{way}-{change}", files)


def _change(rng: random.Random, name: str, files: dict[str, bytes], way: str) -> tuple[str, bytes]:
    if "/parts/" not in name:
        change = rng.choice([*BYTES, *TREES])
        return change.__name__, change(rng, files[name]) if change in BYTES else _dump(
            change(rng, json.loads(files[name]))
        )
    stem = name.rpartition(".")[0]
    rows_name = f"{stem}.json" if f"{stem}.json" in files else f"{stem}.pack"
    if name.endswith(".npz"):
        change = rng.choice([*BYTES, *ARRAYS])
        content = change(rng, files[name])
        if way != "sealed":
            files[rows_name] = _again(_body(rows_name, files), way, content)
        return change.__name__, content
    change = rng.choice([*BYTES, *TREES, spliced])
    if change in BYTES or change is spliced:
        return change.__name__, change(rng, files[name])
    body = _body(name, files)
    if name.endswith(".pack"):
        body = change(rng, body)
        return change.__name__, _sealed_pack(_dump(body), KEY.hash if way == "forged" else OTHER.hash)
    if way == "legacy":
        body = {"header": body["header"], "rows": body["rows"]}
    body = change(rng, body)
    if way == "forged" and isinstance(body, dict):
        return change.__name__, _again(body, way)
    return change.__name__, _dump(body)


def _body(name: str, files: dict[str, bytes]) -> Any:
    return json.loads(files[name].partition(b"\n")[2] if name.endswith(".pack") else files[name])


def _sealed_pack(content: bytes, cell: str) -> bytes:
    return hashlib.sha256(f"{cell}\n".encode() + content).hexdigest().encode() + b"\n" + content


def _again(body: dict[str, Any], way: str, features: bytes | None = None) -> bytes:
    """The JSON of a part in another way, or of a pack with other features."""
    if way == "legacy":
        return _dump({"header": body["header"], "rows": body["rows"]})
    body = {name: value for name, value in body.items() if name != "sha256"}
    if features is not None:
        body["features"] = hashlib.sha256(features).hexdigest()
    if "parts" in body:
        return _sealed_pack(_dump(body), KEY.hash)
    return _dump({**body, "sha256": seal(KEY.hash, body)})


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


# Changes of bytes.
def flipped_bit(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def cut_off(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content))]


def hole(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.randint(1, 64) :]


def zeros(rng: random.Random, content: bytes) -> bytes:
    at, length = rng.randrange(len(content)), rng.randint(1, 512)
    return content[:at] + bytes(len(content[at : at + length])) + content[at + length :]


def noise(rng: random.Random, content: bytes) -> bytes:
    return rng.choice([rng.randbytes(rng.randint(0, 2000)), content + rng.randbytes(9), b"\xef\xbb\xbf" + content])


def nested(rng: random.Random, content: bytes) -> bytes:
    depth = rng.choice([1000, 100_000, 5_000_000])
    inner = rng.choice([b"", b"]" * depth])
    return rng.choice(
        [b"[" * depth + inner, b'{"a":' * depth, b'{"header": {}, "rows": ' + b"[" * depth + inner + b"}"]
    )


def wide(rng: random.Random, content: bytes) -> bytes:
    item, count = rng.choice([b"[],", b"{},", b'"",', b'{"a":[]},', b"1e5,"]), rng.choice([1000, 500_000, 1_500_000])
    return b'{"header": {}, "rows": [' + item * count + b"0]}"


def code(rng: random.Random, content: bytes) -> bytes:
    return pickle.dumps(_Trap())


class _Trap:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return exec, (f"import {TRAP}",)


BYTES = (flipped_bit, flipped_bit, flipped_bit, cut_off, hole, zeros, noise, nested, wide, code)


# Changes of parsed JSON.
def _nodes(tree: Any) -> list[tuple[Any, Any]]:
    found = []
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        found.append((tree, key))
        if isinstance(value, (dict, list)):
            found += _nodes(value)
    return found


def other_type(rng: random.Random, tree: Any) -> Any:
    holder, key = rng.choice(_nodes(tree))
    holder[key] = rng.choice(ODD)
    return tree


def lost_key(rng: random.Random, tree: Any) -> Any:
    holder, key = rng.choice(_nodes(tree))
    del holder[key]
    return tree


def new_key(rng: random.Random, tree: Any) -> Any:
    holder, _ = rng.choice([node for node in _nodes(tree) if isinstance(node[0], dict)])
    holder[rng.choice(["x", "generation", "features", "when", "findings"])] = rng.choice(ODD)
    return tree


def not_a_number(rng: random.Random, tree: Any) -> Any:
    numbers = [(holder, key) for holder, key in _nodes(tree) if isinstance(holder[key], (int, float))]
    holder, key = rng.choice(numbers)
    holder[key] = rng.choice([float("nan"), float("inf"), -float("inf"), 1e300, 2**70, -5])
    return tree


def another_number(rng: random.Random, tree: Any) -> Any:
    numbers = [(holder, key) for holder, key in _nodes(tree) if isinstance(holder[key], (int, float))]
    holder, key = rng.choice(numbers)
    holder[key] += rng.choice([1, 0.001, -1])
    return tree


def another_top(rng: random.Random, tree: Any) -> Any:
    return rng.choice([*ODD, [tree], {"rows": tree}])


TREES = (other_type, other_type, lost_key, new_key, not_a_number, another_number, another_top)


def spliced(rng: random.Random, content: bytes) -> bytes:
    return next(content for name, content in cells()["other"].items() if "/parts/" in name and name.endswith(".json"))


# Changes of arrays.
def _arrays(content: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(content)) as arrays:
        return dict(arrays)


def _saved(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def other_array(rng: random.Random, content: bytes) -> bytes:
    arrays = _arrays(content)
    name = rng.choice(sorted(arrays))
    kinds = [
        np.array(rng.choice(ODD), dtype=object),
        np.zeros((0,)),
        np.zeros((3, 0), np.float32),
        np.full((2, 16), np.nan, np.float32),
        np.full((2, 16), np.inf),
        np.zeros((2, 16), complex),
        np.array([5, -9]),
        np.array([0, 0]),
        np.array(["f#3", "f#4"]),
        np.array([""]),
        np.array("f#3"),
        np.asfortranarray(np.ones((2, 16), np.float32)),
        np.ones((2, 16), ">f4"),
        np.zeros((2,), [("a", "f4")]),
        np.ones((2, 3, 4)),
        np.ones((2, 8), np.float32),
    ]
    arrays[name] = rng.choice(kinds)
    return _saved(arrays)


def lost_array(rng: random.Random, content: bytes) -> bytes:
    arrays = _arrays(content)
    del arrays[rng.choice(sorted(arrays))]
    return _saved(arrays)


def pickled_array(rng: random.Random, content: bytes) -> bytes:
    arrays = _arrays(content)
    arrays[rng.choice(sorted(arrays))] = np.array([_Trap(), 1], dtype=object)
    return _saved(arrays)


def _zipped(members: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


@functools.cache
def _bomb(mebibytes: int) -> bytes:
    return _zipped({"columns": bytes(mebibytes * 2**20)}, zipfile.ZIP_DEFLATED)


def zip_bomb(rng: random.Random, content: bytes) -> bytes:
    return _bomb(rng.choice([1, 300]))


def deflated(rng: random.Random, content: bytes) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **_arrays(content))
    return file.getvalue()


def huge_shape(rng: random.Random, content: bytes) -> bytes:
    shape = rng.choice(
        ["(2147483648, 4)", "(1000000, 1000000, 1000000)", "(-1, 5)", "(2, 16, 99)", "(1,) * 9", "(" * 999]
    )
    dtype = rng.choice(["<f4", "|O", "<U0", "|V0", "<U99999999", "x"])
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    version = rng.choice([b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"])
    length = (
        struct.pack("<H", len(text)) if version == b"\x01\x00" else struct.pack("<I", rng.choice([len(text), 2**31]))
    )
    array = b"\x93NUMPY" + version + length + text + bytes(128)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    members[rng.choice(sorted(members))] = array
    return _zipped(members)


ARRAYS = (other_array, other_array, lost_array, pickled_array, zip_bomb, deflated, huge_shape)


# What is done with a case.
@functools.cache
def _truth() -> list[dict[tuple[str, str], Any]]:
    """What may be read: all rows, those of one part alone, or none if a pack is damaged."""
    files = cells()["one"]
    parts = [name for name in files if "/parts/" in name and name.endswith(".json")]
    found: list[dict[tuple[str, str], Any]] = [{}]
    for left_out in (None, *parts):
        with tempfile.TemporaryDirectory() as folder:
            Case("store", {name: content for name, content in files.items() if name != left_out}).write(Path(folder))
            found.append(_plain(Store(Path(folder) / "store").cell(KEY).rows()))
    return found


def _plain(rows: dict[tuple[str, str], Row]) -> dict[tuple[str, str], Any]:
    return {
        key: (row.values, row.failures, row.size, row.gt, {c: v.tolist() for c, v in row.features.items()})
        for key, row in rows.items()
    }


def open_store(path: Path) -> None:
    """Read a store as `status`, a run and a report do.

    Raises:
        CasarbiError: naming what is damaged.
        AssertionError: if a changed value of a sealed part passes unseen.
    """
    store = Store(path)
    cell = store.cell(KEY)
    rows, light = cell.rows(), cell.rows(with_features=False)
    headers = cell.headers()
    assert cell.generation() >= 0 and sum(header.rows for header in headers) >= 0
    assert sum(sum(header.seconds.values()) for header in headers) < 1e15
    store.with_other_source(OTHER)
    assert light.keys() == rows.keys()
    assert all(light[key].features.keys() == row.features.keys() for key, row in rows.items())
    if "-sealed-" in path.name and _plain(rows) not in _truth():
        raise AssertionError("a wrong value passed unseen")
    if store.damaged:
        raise CasarbiError("; ".join(f"{file.name} is damaged: {why}" for file, why in store.damaged.items()))
