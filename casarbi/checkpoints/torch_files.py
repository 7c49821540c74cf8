"""Reads torch files, zip and legacy: sizes are checked first, and values of a zip are read when they are used."""

from __future__ import annotations

import mmap
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from casarbi.checkpoints.faults import WeightsFileError
from casarbi.checkpoints.pickles import LARGEST_CLAIM, LONGEST_PICKLE, Machine, run_pickle
from casarbi.plain import quote

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def read_torch_file(path: Path) -> Any:
    """Read what was saved; tensors are on the CPU, and those of a zip are read from the disk when they are used.

    Raises:
        UnsafeFileError: if the file holds more than tensors, plain values and a trainer's objects.
        WeightsFileError: if it is damaged, of another kind, or says of itself what cannot be.
        OSError: if the system cannot read it.
    """
    with path.open("rb") as file:
        # Copy on write: torch.frombuffer needs memory that can be written to, and the file must never change.
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return _read_zip(path, data) if data[:2] == b"PK" else _read_legacy(data)


def _read_zip(path: Path, data: mmap.mmap) -> Any:
    members = dict(_members(path, data))
    # A torch file has everything in one folder: NAME/data.pkl, NAME/data/KEY for each storage, NAME/byteorder.
    tops = [name.removesuffix("/data.pkl") for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in members):
        raise WeightsFileError("is a TorchScript program, not weights", "save the state_dict of the model")
    if len(tops) != 1:
        raise WeightsFileError(f"is a zip archive with {len(tops) or 'no'} data.pkl, so it is no torch file")
    top = tops[0]
    if data[slice(*members.get(f"{top}/byteorder", (0, 0)))] == b"big":
        raise WeightsFileError("was saved on a big-endian machine", "save it again on another one")
    opened: dict[str, Tensor] = {}

    def storage(dtype: torch.dtype, key: str, count: int) -> Tensor:
        if key not in opened:
            begin, end = members.get(f"{top}/data/{key}", (0, 0))
            if not 0 <= count * dtype.itemsize <= end - begin:
                raise WeightsFileError(
                    f"has a storage that claims {count:,} values in {end - begin:,} bytes: {quote(key)}"
                )
            opened[key] = _values(data, begin, count, dtype)
        return _as_claimed(opened[key], dtype, key, count)

    begin, end = members[f"{top}/data.pkl"]
    if end - begin > LONGEST_PICKLE:
        raise WeightsFileError(f"has a data.pkl of {end - begin:,} bytes, and weights need far fewer")
    return run_pickle(Machine(storage, LARGEST_CLAIM * len(data)), data[begin:end])[0]


def _as_claimed(opened: Tensor, dtype: torch.dtype, key: str, count: int) -> Tensor:
    """A storage that was opened before, if it is claimed again with the same type and size."""
    if opened.dtype != dtype or len(opened) != count:
        raise WeightsFileError(f"gives a storage two types or sizes: {quote(key)}")
    return opened


def _values(data: mmap.mmap, begin: int, count: int, dtype: torch.dtype) -> Tensor:
    """Values in the file as a tensor. They are read on first use, but copied now if they are not aligned."""
    if not count:
        return torch.empty(0, dtype=dtype)
    if begin % dtype.itemsize:
        return torch.frombuffer(bytearray(data[begin : begin + count * dtype.itemsize]), dtype=dtype)
    return torch.frombuffer(data, dtype=dtype, count=count, offset=begin)


def _members(path: Path, data: mmap.mmap) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name of every member and where its bytes begin and end; refuses members that are compressed or overlap."""
    try:
        with zipfile.ZipFile(path) as archive:
            listed = sorted(archive.infolist(), key=lambda member: member.header_offset)
    except Exception:  # zipfile raises many kinds on damaged directories
        raise WeightsFileError("is damaged: its zip directory cannot be read") from None
    if len({member.filename for member in listed}) < len(listed):
        raise WeightsFileError("is a zip archive with two members of one name, so it is no torch file")
    # In the order of the file: overlapping members would let a small file claim a large one's memory.
    before = 0
    for member in listed:
        # The local header has 30 bytes and ends with the lengths of the name and of the extra field, which precede the
        # bytes of the member.
        head = data[member.header_offset : member.header_offset + 30]
        lengths = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        begin = member.header_offset + 30 + lengths
        end = begin + member.file_size
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise WeightsFileError(
                f"is a compressed zip archive ({quote(member.filename)}), and torch files are not", "unpack it first"
            )
        if member.header_offset < before or head[:4] != b"PK\3\4" or end > len(data):
            raise WeightsFileError("is damaged: the members of its zip archive overlap or lie outside the file")
        before = end
        yield member.filename, (begin, end)


def _read_legacy(data: mmap.mmap) -> Any:
    """Read magic number, version, facts about the machine, the content, the keys of its storages, then their values."""
    pickles, at = data[: LONGEST_PICKLE + 2**16], 0
    # Pickles follow one another without a table of contents: each says where it ends.
    magic, at = run_pickle(Machine(None), pickles, at)
    if magic != _LEGACY_MAGIC:
        raise WeightsFileError("is a Python pickle, but not one of torch.save")
    _, at = run_pickle(Machine(None), pickles, at)
    machine_facts, at = run_pickle(Machine(None), pickles, at)
    if not isinstance(machine_facts, Mapping) or machine_facts.get("little_endian") is not True:
        raise WeightsFileError("was saved on a big-endian machine", "save it again on another one")
    opened: dict[str, Tensor] = {}
    left = len(data)

    def storage(dtype: torch.dtype, key: str, count: int) -> Tensor:
        nonlocal left
        if key not in opened:
            # The values come after the content, so storages are made empty here and filled at the end. Their claims are
            # checked against the size of the file before memory is taken.
            left -= count * dtype.itemsize
            if count < 0 or left < 0:
                raise WeightsFileError(f"has storages that claim more values than it holds: {count:,}")
            opened[key] = torch.empty(count, dtype=dtype)
        return _as_claimed(opened[key], dtype, key, count)

    content, at = run_pickle(Machine(storage, LARGEST_CLAIM * len(data)), pickles, at)
    keys, at = run_pickle(Machine(None), pickles, at)
    named = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not named or sorted(keys) != sorted(opened):
        raise WeightsFileError("is damaged: it lists other storages than its tensors use")
    for key in keys:
        at = _fill(opened[key], data, at)
    return content


def _fill(storage: Tensor, data: mmap.mmap, at: int) -> int:
    """Copy the values of a storage, which follow their number, into it; returns where the next one begins."""
    begin, size = at + 8, storage.numel() * storage.itemsize
    if int.from_bytes(data[at:begin], "little") != len(storage) or begin + size > len(data):
        raise WeightsFileError("is cut off or damaged: the values of its tensors are not all there")
    if size:
        storage.view(torch.uint8).copy_(torch.frombuffer(data, dtype=torch.uint8, count=size, offset=begin))
    return begin + size
