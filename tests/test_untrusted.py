"""No text of a file decides which code runs: every string of every preset, declaration and header is tried."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.experiments import FOLDER as EXPERIMENTS
from benchmarks.experiments import load_experiment
from casarbi.errors import CasarbiError
from casarbi.training.presets import FOLDER as PRESETS
from casarbi.training.presets import load_preset
from casarbi.training.tables import read_toml
from casarbi.training.task import build_task

TRAP = "casarbi_test_trap"


@pytest.fixture
def hostile(tmp_path, monkeypatch) -> Iterator[list[str]]:
    """References to code; after the test, none of it may have been imported or called."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / f"{TRAP}.py").write_text("def record(*_, **__):\n    raise SystemExit('called')\nrecord()\n")
    monkeypatch.syspath_prepend(tmp_path / "code")
    made = tmp_path / "made"
    yield [f"{TRAP}:record", f"os:mkdir:{made}", f"liif:{TRAP}:record", f"{TRAP}.sub:record?a=1"]
    assert TRAP not in sys.modules and not made.exists()


def strings(tree: Any, path: tuple = ()) -> Iterator[tuple]:
    """Paths of all texts in a tree of tables and lists, however deep."""
    if isinstance(tree, str):
        yield path
    elif isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from strings(value, (*path, key))


def put(tree: Any, path: tuple, value: Any) -> Any:
    """The tree with another value at a path."""
    if not path:
        return value
    copy = tree.copy()
    copy[path[0]] = put(tree[path[0]], path[1:], value)
    return copy


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def write_toml(path: Path, tables: dict[str, Any]) -> Path:
    path.write_text("".join(f"{key} = {toml(value)}\n" for key, value in tables.items()))
    return path


def preset_fields() -> dict[tuple, tuple[dict, tuple]]:
    """A preset and a path for every text field, once for each task; a small preset where there is one."""
    fields = {}
    for file in sorted(PRESETS.glob("*.toml"), reverse=True):
        tables = read_toml(file)
        for path in strings(tables):
            fields[tables["task"], tuple("*" if isinstance(key, int) else key for key in path)] = (tables, path)
    return fields


@pytest.mark.parametrize("field", preset_fields(), ids=lambda field: f"{field[0]}-{'.'.join(field[1])}")
def test_texts_of_presets_run_nothing(tmp_path, hostile, field):
    tables, path = preset_fields()[field]
    refused = 0
    for text in hostile:
        try:
            preset = load_preset(str(write_toml(tmp_path / "p.toml", put(tables, path, text))))
            assert not f"{preset.data.train} {preset.data.validation}".startswith((TRAP, "os"))
            with torch.device("meta"):
                build_task(preset.task, preset.settings, 0)
        except CasarbiError as error:
            refused += 1
            assert len(str(error)) < 600
    assert refused == len(hostile) or path != ("task",)


@pytest.mark.parametrize("file", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda file: file.stem)
def test_texts_of_declarations_run_nothing(tmp_path, hostile, file):
    tables = read_toml(file)
    fields = {tuple("*" if isinstance(key, int) else key for key in path): path for path in strings(tables)}
    for path in fields.values():
        for text in hostile:
            changed = write_toml(tmp_path / "t.toml", put(tables, path, text))
            for preset in tables["presets"]:
                try:
                    experiment = load_experiment(str(changed), preset)
                except CasarbiError as error:
                    assert len(str(error)) < 600
                    continue
                jobs = [experiment.job(panel, "cpu") for panel in experiment.panels]
                named = [name for job in jobs for name in (job.data, *job.models, *job.metrics)]
                code = [name for name in named if name.startswith((TRAP, "os"))]
                assert code == [], f"{path} names code in {preset}"


def test_what_is_typed_may_name_code(tmp_path, monkeypatch, hostile):
    tables = read_toml(PRESETS / "mini-liif-face.toml")
    del tables["task"]
    changes = [f"data.train={hostile[0]}"]
    assert load_preset(str(write_toml(tmp_path / "p.toml", tables)), changes).data.train == hostile[0]
