"""Times in the store: one small JSON file for each method, size and machine, `timings/<key>.json`."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.store.checks import DamagedPart, read_object
from benchmarks.store.place import prepare_folder
from benchmarks.store.rows import hash_json
from benchmarks.timing.noise import disturbances
from casarbi.errors import CasarbiError
from casarbi.files import sweep_drafts, write_json
from casarbi.settings import build

FORMAT = 1
"""Raised when stored times come to mean something else; older ones are then measured again."""
RECORD_BYTES = 2**20
"""Size that no record reaches."""


@dataclass(frozen=True)
class TimingKey:
    """What a record stands for; `hash` names its file.

    Attributes:
        model: the model's identity (`benchmarks.untrained` makes that of random weights).
        lr: (h, w) of the LR image.
        size: (H, W) of the output.
        device: name of the device.
        kind: type of the device, such as "cpu".
        threads: of torch, on a CPU.
        torch: its version.
        format: see `FORMAT`.
    """

    model: Mapping[str, Any]
    lr: tuple[int, ...]
    size: tuple[int, ...]
    device: str
    kind: str
    threads: int
    torch: str
    format: int = FORMAT

    @property
    def hash(self) -> str:
        """First 20 hex digits of the key's SHA-256."""
        return hash_json(asdict(self))[:20]

    @property
    def machine(self) -> str:
        """The device, with its threads if it is a CPU."""
        return f"{self.device}, {self.threads} thread{'s' * (self.threads != 1)}" if self.kind == "cpu" else self.device


@dataclass(frozen=True)
class TimedStage:
    """A stage: (H, W) of its result, evaluations, operations, and seconds in each run if it is one of several."""

    size: tuple[int, ...]
    evaluations: int
    flops: int
    seconds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Record:
    """A measurement, with what it was made of.

    Attributes:
        key: what was measured, where.
        parameters: of the method.
        evaluations: of its networks, for one image.
        flops: operations for one image; None if the method does not say.
        stages: of a method that says what it does.
        seconds: of each run.
        cpu_seconds: that the process computed in each run.
        warmups: runs before those.
        others: cores that other processes kept busy meanwhile; None if unknown.
        cores: of the machine.
        clocks: what the machine told of its clock rates.
        when: ISO 8601.
        commit, versions: what measured it.
    """

    key: TimingKey
    parameters: int
    evaluations: int
    flops: int | None
    stages: tuple[TimedStage, ...]
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    warmups: int
    others: float | None
    cores: int
    clocks: str
    when: str
    commit: str
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        """Refuse what no measurement gives; raises CasarbiError."""
        times = [self.seconds, *(stage.seconds for stage in self.stages if stage.seconds)]
        if not self.seconds or {len(runs) for runs in (*times, self.cpu_seconds)} != {len(self.seconds)}:
            raise CasarbiError("its seconds are not all of the same runs")
        if not all(0 < second < math.inf for runs in times for second in runs):
            raise CasarbiError("its seconds are not all above 0")
        if not all(0 <= second < math.inf for second in self.cpu_seconds):
            raise CasarbiError("its processor seconds are not all at least 0")

    @property
    def disturbances(self) -> tuple[str, ...]:
        """What speaks against its seconds."""
        share = sum(self.cpu_seconds) / sum(self.seconds) if self.key.kind == "cpu" else math.nan
        return tuple(disturbances(self.seconds, share, self._others, self.cores))

    @property
    def cpu_disturbances(self) -> tuple[str, ...]:
        """What speaks against its processor seconds, in which a wait for a core does not count."""
        return tuple(disturbances(self.cpu_seconds, 1.0, self._others, self.cores))

    @property
    def _others(self) -> float:
        return math.nan if self.others is None else self.others


class Timings:
    """The records of a store.

    Attributes:
        folder: where they are.
        damaged: files found damaged so far, each with what is wrong with it.
    """

    def __init__(self, store: Path | str) -> None:
        self.folder = Path(store) / "timings"
        self.damaged: dict[Path, str] = {}

    def get(self, key: TimingKey) -> Record | None:
        """The record of a key, if it is there and whole."""
        path = self._path(key)
        return self._read(path) if path.exists() else None

    def all(self) -> list[Record]:
        """All records that are whole, the newest first."""
        try:
            names = sorted(name for name in os.listdir(self.folder) if name.endswith(".json") and name[0] != ".")
        except OSError:
            return []
        found = [record for name in names if (record := self._read(self.folder / name))]
        return sorted(found, key=lambda record: record.when, reverse=True)

    def prepare(self) -> None:
        """Find out whether records can be kept, and remove what killed processes left half written.

        Raises:
            CasarbiError: if nothing can be kept there.
        """
        prepare_folder(self.folder, "Times")
        sweep_drafts(self.folder)

    def add(self, record: Record) -> None:
        """Keep a record, in place of an earlier one of the same key.

        Raises:
            CasarbiError: if the disk is full or refuses.
        """
        body = asdict(record)
        path = self._path(record.key)
        try:
            write_json(path, body | {"sha256": hash_json(body)})
        except OSError as error:
            raise CasarbiError(
                f"Times cannot be kept in {self.folder}: {error.strerror}; mend that and run the same command again, "
                "what was measured before is kept."
            ) from None
        self.damaged.pop(path, None)

    def _path(self, key: TimingKey) -> Path:
        return self.folder / f"{key.hash}.json"

    def _read(self, path: Path) -> Record | None:
        """A record, or None if it is of another format, or damaged, which is noted."""
        try:
            body = read_object(path, RECORD_BYTES)
            if body.pop("sha256", None) != hash_json(body):
                raise DamagedPart("it is not as it was written")
            record = build(Record, body, "the record")
            if record.key.hash != path.stem:
                raise DamagedPart("it is of another key than its name says")
        except DamagedPart as damage:
            self.damaged[path] = str(damage)
        except CasarbiError as error:
            self.damaged[path] = str(error).rstrip(".")
        except OSError as error:
            self.damaged[path] = error.strerror or type(error).__name__
        else:
            return record if record.key.format == FORMAT else None
        return None
