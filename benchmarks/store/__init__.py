"""The results on disk: cells of parts, safe against kills and races.

A cell holds everything measured for one (model identity, data set name, protocol, scale, seed). It is one folder:

    cells/<key>/cell.json          what the key stands for
    cells/<key>/parts/<name>.json  rows of one batch: metrics per image, with what they were made with
    cells/<key>/parts/<name>.npz   feature vectors of the same images
    cells/<key>/parts/<name>.pack  many parts in one file, with an NPZ of its own

Each file is written elsewhere and moved into place, so a reader never sees half of one. A row counts for an image only
while its digest matches, so an edited picture is measured again and a larger N adds only what is new. Columns carry a
hash of what decides the metric. If two parts hold the same value, the one of the newer generation wins (`--again`
begins one), and within a generation the older part: nothing counts twice. A damaged part is left out and named. Parts
are packed, after a run or by a command, while others read and write (see `benchmarks.store.compaction`).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.store.checks import DamagedPart, read_object
from benchmarks.store.compaction import compact
from benchmarks.store.listing import is_gone, list_names, packs_of, read_parts
from benchmarks.store.parts import write_part
from benchmarks.store.place import prepare_folder
from benchmarks.store.rows import Header, Part, Row, fill_up, hash_json, merge_rows
from casarbi.errors import CasarbiError
from casarbi.files import sweep_drafts, write_json

FORMAT = 1
"""Raised when stored files come to mean something else; older cells are then measured again."""

KEY_BYTES = 2**20
"""Size that no cell.json reaches."""

_WAITS = (0.0, 0.0, 0.1, 1.0)
"""Seconds before each look at a cell that changes while it is read; a network's disk may show what was long ago."""

SOURCE = "source_sha256"
"""Field of a model's identity as stored: the hash of the source behind a typed `module:factory`."""


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
    def without_source(self) -> dict[str, Any]:
        """The key as plain JSON, but for the hash of the source behind the model."""
        return self.plain | {"model": {name: value for name, value in self.model.items() if name != SOURCE}}

    @property
    def hash(self) -> str:
        """First 20 hex digits of the key's SHA-256."""
        return hash_json(self.plain)[:20]


class Store:
    """A folder of cells.

    Attributes:
        folder: where it is.
        damaged: files found damaged so far, each with what is wrong with it.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.damaged: dict[Path, str] = {}
        # By cell and name of the file, whose content never changes; without the vectors of features.
        self.files: dict[str, dict[str, Sequence[Part]]] = {}

    def cell(self, key: CellKey) -> Cell:
        """The cell of a key, whether or not anything is there yet."""
        return Cell(self, key)

    def cells(self) -> list[Cell]:
        """Every cell there is, by what it stands for; one whose cell.json is damaged is noted, not given."""
        found = []
        for path in self.folder.glob("cells/*/cell.json"):
            key = _read_key(path)
            if key:
                found.append(self.cell(key))
            else:
                self.damaged[path] = "it does not say what the cell is of"
        return sorted(found, key=lambda cell: (cell.key.dataset, str(cell.key.model), cell.key.scale, cell.key.seed))

    def prepare(self) -> None:
        """Find out whether results can be kept, and remove what killed processes left half written.

        Raises:
            CasarbiError: if nothing can be kept there.
        """
        prepare_folder(self.folder, "Results")
        # Drafts of killed runs, in every folder that a run writes to.
        kept = (self.folder / name for name in ("samples", "pictures"))
        for folder in (*kept, *self.folder.glob("cells/*"), *self.folder.glob("cells/*/parts")):
            sweep_drafts(folder)

    def with_other_source(self, key: CellKey) -> list[Cell]:
        """Cells of the same key but for the source behind its model, if that is a typed `module:factory`."""
        if SOURCE not in key.model:
            return []
        # The source is a part of the key, so the cells of before an edit lie in other folders.
        found = []
        for path in sorted(self.folder.glob("cells/*/cell.json")):
            other = _read_key(path)
            if other and other != key and other.without_source == key.without_source:
                found.append(self.cell(other))
        return found


def _read_key(path: Path) -> CellKey | None:
    """The key in a cell.json; None unless it is the one that the folder is named after."""
    try:
        plain = read_object(path, KEY_BYTES)["key"]
        key = CellKey(**{name: plain[name] for name in ("model", "dataset", "protocol", "scale", "seed")})
        return key if key.hash == path.parent.name else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Cell:
    """One cell's folder in a store."""

    def __init__(self, store: Store, key: CellKey) -> None:
        self.store, self.key = store, key
        self.folder = store.folder / "cells" / key.hash

    def parts(self, with_features: bool = True) -> list[Part]:
        """All parts that are whole, those of the newest generation first, oldest first within one."""
        for wait in _WAITS:
            time.sleep(wait)
            names = self._names()
            files, gone = self._read(names, with_features)
            # Another process may be packing: it removes parts once their pack is there, so look again.
            if not gone and packs_of(names) == packs_of(self._names()):
                break
        # Not packed, then: a link to nothing, or a part whose features are lost.
        self.store.damaged.update(gone)
        if names and not _read_key(self.folder / "cell.json"):
            self.store.damaged[self.folder / "cell.json"] = "it does not say what the cell is of"
        # A part may be in several packs, and beside them: it counts once.
        parts = {part.name: part for read in files for part in read}
        return sorted(parts.values(), key=lambda part: (-part.generation, part.name))

    def _names(self) -> list[str]:
        try:
            return list_names(self.folder / "parts")
        except OSError as error:
            self.store.damaged[self.folder / "parts"] = error.strerror or type(error).__name__
            return []

    def _read(self, names: Sequence[str], with_features: bool) -> tuple[list[Sequence[Part]], dict[Path, str]]:
        """Parts of each file that is whole, and the files that are not there any more; damaged ones are noted."""
        # Features are large and read rarely, so only what is read without them is kept.
        before = self.store.files.get(self.key.hash, {})
        known = {name: before[name] for name in names if name in before}
        self.store.files[self.key.hash] = known
        found: list[Sequence[Part]] = []
        gone: dict[Path, str] = {}
        for name in names:
            path = self.folder / "parts" / name
            if path in self.store.damaged:
                continue
            parts = known.get(name)
            if parts is None or (with_features and any(part.has_features for part in parts)):
                try:
                    parts = read_parts(path, self.key.hash, with_features)
                except DamagedPart as damage:
                    self.store.damaged[path] = str(damage)
                    continue
                except OSError as error:
                    trouble = gone if is_gone(error) else self.store.damaged
                    trouble[path] = error.strerror or type(error).__name__
                    continue
                if not (with_features and any(part.has_features for part in parts)):
                    known[name] = parts
            found.append(parts)
        return found, gone

    def rows(self, with_features: bool = True) -> dict[tuple[str, str], Row]:
        """All rows by (image, digest), parts merged as this module's first lines say, success over failure.

        Without features, a row still tells which feature columns it has, each with an empty vector.
        """
        # Generations from the newest: an older one only fills up what the newer ones say nothing of.
        merged: dict[tuple[str, str], Row] = {}
        for _, parts in itertools.groupby(self.parts(with_features), key=lambda part: part.generation):
            for key, row in merge_rows(row for part in parts for row in part.rows).items():
                merged[key] = fill_up(merged[key], row) if key in merged else row
        return merged

    def generation(self) -> int:
        """The newest generation of its parts."""
        return max((part.generation for part in self.parts(with_features=False)), default=0)

    def headers(self) -> list[Header]:
        """What each part was made with."""
        return [part.header for part in self.parts(with_features=False)]

    def add(self, rows: Sequence[Row], header: Mapping[str, Any], generation: int = 0) -> None:
        """Add one part; on return it outlives this process.

        Raises:
            CasarbiError: if the disk is full or refuses; nothing that was there before is harmed.
        """
        try:
            # Written again if it is damaged: the folder's name is the hash of the right one.
            if not _read_key(self.folder / "cell.json"):
                write_json(self.folder / "cell.json", {"key": self.key.plain})
            write_part(self.folder / "parts", self.key.hash, rows, header, generation)
        except OSError as error:
            raise CasarbiError(
                f"Results cannot be kept in {self.folder}: {error.strerror}; mend that and run the same command again, "
                "what was measured before is kept."
            ) from None

    def files(self) -> list[Path]:
        """Every file of it that is there now."""
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def compact(self, fewest: int = 0) -> None:
        """Pack its parts into few files, if at least `fewest` are not packed; others may read and add meanwhile.

        Raises:
            CasarbiError: if the disk is full or refuses; nothing is lost.
        """
        try:
            compact(self.folder / "parts", self.key.hash, fewest)
        except OSError as error:
            raise CasarbiError(
                f"Results in {self.folder} cannot be packed: {error.strerror}; nothing is lost, mend that and run "
                "casarbi-bench store compact."
            ) from None
