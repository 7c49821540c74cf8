"""No text of a file decides which code runs: every string of every preset, declaration and header is tried."""

import json
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from fuzz.runner import Case, Limits, judge
from fuzz.weights import LIIF_SPEC, METHODS, bases, open_weights, put_together, taken_apart, torch_file, zipped

from baselines.liif.files import build_network
from benchmarks.experiments import load_experiment
from benchmarks.figures.declaration import PictureFigure, load_figure
from benchmarks.kinds import TABLE, Choice, experiment_names, experiment_path
from casarbi.checkpoints import read_checkpoint
from casarbi.cli import main
from casarbi.errors import CasarbiError
from casarbi.settings import read_toml
from casarbi.training.presets import FOLDER as PRESETS
from casarbi.training.presets import load_preset
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


@pytest.mark.parametrize("file", [*map(experiment_path, experiment_names(TABLE))], ids=lambda file: file.stem)
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


@pytest.mark.parametrize("file", [*map(experiment_path, experiment_names("figure"))], ids=lambda file: file.stem)
def test_texts_of_figures_run_nothing(tmp_path, hostile, file):
    tables = read_toml(file)
    for path in {
        tuple("*" if isinstance(key, int) else key for key in path): path for path in strings(tables)
    }.values():
        for text in hostile:
            changed = write_toml(tmp_path / "t.toml", put(tables, path, text))
            for preset in tables.get("presets", ["mini"]):
                try:
                    figure = load_figure(Choice(str(changed), preset))
                except CasarbiError as error:
                    assert len(str(error)) < 600
                    continue
                panels = figure.experiment.panels if isinstance(figure, PictureFigure) else ()
                named = [name for panel in panels for name in (panel.data, *(row.model for row in panel.methods))]
                assert [name for name in named if name.startswith((TRAP, "os"))] == [], f"{path} names code in {preset}"


def test_what_is_typed_may_name_code(tmp_path, monkeypatch, hostile):
    tables = read_toml(PRESETS / "mini-liif-face.toml")
    del tables["task"]
    changes = [f"data.train={hostile[0]}"]
    assert load_preset(str(write_toml(tmp_path / "p.toml", tables)), changes).data.train == hostile[0]


HEADERS = {name: data for name, data in bases().items() if name.endswith(".safetensors")}


def header_texts(name: str) -> Iterator[tuple[str, tuple]]:
    """Every text of a header's metadata: the text itself, and those within its JSON."""
    texts = taken_apart(HEADERS[name])[0]["__metadata__"]
    for key, text in texts.items():
        yield key, ()
        tree = json.loads(text) if text.startswith(("{", "[")) else None
        yield from ((key, path) for path in strings(tree))


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_texts_of_headers_run_nothing(tmp_path, hostile, name):
    file = tmp_path / name.replace(".", "-0.", 1)
    for key, path in header_texts(name):
        for text in hostile[:2]:
            header, values = taken_apart(HEADERS[name])
            texts = header["__metadata__"]
            texts[key] = json.dumps(put(json.loads(texts[key]), path, text)) if path else text
            file.write_bytes(put_together(header, values))
            try:
                open_weights(file)
            except CasarbiError as error:
                assert len(str(error)) < 900


def test_the_walk_meets_the_base_of_casarbi():
    assert ("config", ("residual", "liif")) in list(header_texts("casarbi-liif.safetensors"))


def changed_header(name: str, setting: tuple, value: Any) -> bytes:
    header, values = taken_apart(HEADERS[name])
    texts, key = header["__metadata__"], setting[0]
    texts[key] = json.dumps(put(json.loads(texts[key]), setting[1:], value))
    return put_together(header, values)


@pytest.mark.parametrize("text", [f"{TRAP}:record", "os:system:true", "casarbi:{}"])
def test_the_base_in_a_header_is_a_registered_model_and_not_the_file_itself(tmp_path, hostile, text):
    file = tmp_path / "casarbi-0.safetensors"
    file.write_bytes(changed_header("casarbi-liif.safetensors", ("config", "residual", "liif"), text.format(file)))
    words = r"casarbi-0.safetensors: \[residual\]: liif is .* must be a registered model other than"
    with pytest.raises(CasarbiError, match=words):
        open_weights(file)


COUNTS = {
    "casarbi.safetensors": [("network", "blocks"), ("network", "lr_blocks"), ("process", "T"), ("network", "width")],
    "idm.safetensors": [("network", "blocks"), ("network", "encoder_blocks"), ("schedule", "T"), ("network", "hidden")],
    "kim.safetensors": [("unet", "blocks"), ("first_stage", "blocks"), ("diffusion", "timesteps"), ("hr_side",)],
}
SETTINGS = [(name, ("config", *path)) for name, paths in COUNTS.items() for path in paths]
SETTINGS += [("liif.safetensors", ("model", "args", "encoder_spec", "args", key)) for key in ("n_resblocks", "n_feats")]


@pytest.mark.parametrize("number", [100_000_000, 10**12, 10**400])
def test_no_count_in_a_header_asks_for_more_than_the_file_holds(tmp_path, number):
    files = [
        Case(f"{name.partition('.')[0]}-{index}.safetensors", changed_header(name, setting, number))
        for index, (name, setting) in enumerate(SETTINGS)
    ]
    counts = judge(files, open_weights, tmp_path / "judged", Limits(seconds=3, growth_bytes=2**28))
    assert counts.faults == [] and counts.refused == len(SETTINGS), counts


def dumped(value: object) -> bytes:
    """A pickled value without its frame."""
    return pickle.dumps(value, 2)[2:-1]


def pickled(code: bytes) -> bytes:
    """A torch file with this pickle, and one storage of 16 bytes."""
    return zipped({"w/data.pkl": b"\x80\x02" + code + b".", "w/data/0": b"\0" * 16, "w/byteorder": b"little"})


def tensor(size: tuple, stride: tuple, count: int = 4) -> bytes:
    storage = b"(" + dumped("storage") + b"ctorch\nFloatStorage\n" + dumped("0") + dumped("cpu") + dumped(count) + b"tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + dumped(0) + dumped(size) + dumped(stride) + b"\x89}tR"


TWICE = b"".join(b"q" + bytes([i]) + b"0(h" + bytes([i]) + b"h" + bytes([i]) + b"t" for i in range(200))
"""Makes of the tuple on top one that holds it 2^200 times."""
PICKLES = {
    "key that takes for ever to hash": (b"}" + b")" + TWICE + b"Ns", "is not a LIIF checkpoint"),
    "lists that print without end": (
        b"}" + dumped("model") + b"}(" + dumped("name") + dumped("liif") + dumped("args") + b"}" + dumped("x")
        + b"]" + TWICE.replace(b"0(", b"0](").replace(b"t", b"e") + b"sus",
        "settings of over|unknown settings|wanted",
    ),
    "memo of 16 GiB": (b"Nr" + struct.pack("<I", 2**31 - 1), "holds a NoneType"),
    "array of 100 GB": (b"cbuiltins\nbytearray\n" + dumped((10**11,)) + b"R", "holds a Inert"),
    "tensor of 4 GB": (b"ctorch\nTensor\n" + dumped((10**9,)) + b"R", "nothing in it was run"),
    "stride 0": (tensor((10**9,), (0,)), "1,000,000,000 values in a storage that holds 4"),
    "larger than its storage": (tensor((5,), (1,)), "5 values in a storage that holds 4"),
    "storage larger than the file": (tensor((4,), (1,), 10**9), "claims 1,000,000,000 values in 16 bytes"),
    "one storage ten thousand times": (
        b"}(" + b"".join(dumped(f"k{i}") + tensor((4,), (1,)) for i in range(3000)) + b"u",
        "more than 4 times the bytes of the file|is not a LIIF",
    ),
    "code": (f"c{TRAP}\nrecord\n)R".encode(), "nothing in it was run"),
    "command": (b"cos\nsystem\n" + dumped(("true",)) + b"R", "'os.system'.*nothing in it was run"),
    "very many operations": (b"}" * 300_000, "over 262,144 operations"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_costs_what_it_weighs_and_runs_nothing(tmp_path, name):
    code, words = PICKLES[name]
    case = Case("liif-0.pth", pickled(code))
    counts = judge([case], open_weights, tmp_path / "judged", Limits(seconds=3, growth_bytes=2**28))
    assert counts.faults == [] and counts.refused == 1, counts
    with pytest.raises(CasarbiError, match=words):
        open_weights(case.write(tmp_path))


def test_compressed_and_overlapping_archives_are_refused(tmp_path):
    files = {"w/data.pkl": b"]" * 100_000_000, "w/data/0": b""}
    bomb = Case("liif-0.pth", zipped(files, zipfile.ZIP_DEFLATED)).write(tmp_path)
    assert bomb.stat().st_size < 500_000
    with pytest.raises(CasarbiError, match="is a compressed zip archive .'w/data.pkl'., and torch files are not"):
        open_weights(bomb)
    whole = bytearray(pickled(b"}"))
    second = whole.index(b"PK\1\2", whole.index(b"PK\1\2") + 1)
    whole[second + 42 : second + 46] = bytes(4)  # begins where the first one does
    with pytest.raises(CasarbiError, match="members of its zip archive overlap"):
        open_weights(Case("liif-1.pth", bytes(whole)).write(tmp_path))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "content", [{"state": {0: {"step": 3}}, "param_groups": [{"lr": 1}]}, {"epoch": 1, "optimizer": {"state": {}}}]
)
def test_an_optimizers_file_is_called_one(tmp_path, method, content):
    path = Case(f"{method}-opt.pth", torch_file(content)).write(tmp_path)
    with pytest.raises(CasarbiError, match="holds the state of an optimizer, not weights: name the file of weights"):
        open_weights(path)


@pytest.mark.parametrize("method", METHODS)
def test_devices_pipes_and_long_names_are_refused_in_a_sentence(tmp_path, method):
    os.mkfifo(tmp_path / "pipe.pth")
    refusals = (
        ("/dev/zero", "device, pipe"),
        (tmp_path / "pipe.pth", "device, pipe"),
        ("x" * 5000 + ".pth", "too long"),
    )
    for path, words in refusals:
        with pytest.raises(CasarbiError, match=words):
            METHODS[method](str(path))
    with pytest.raises(CasarbiError, match="device, pipe or socket"):
        read_checkpoint(tmp_path / "pipe.pth")


def test_float8_weights_are_named_by_their_type(tmp_path):
    tensors = {
        name: value.to(torch.float8_e4m3fn) for name, value in build_network(LIIF_SPEC, tmp_path).state_dict().items()
    }
    path = Case("liif-0.pth", torch_file({"model": {**LIIF_SPEC, "sd": tensors}})).write(tmp_path)
    with pytest.raises(CasarbiError, match=r"of another type \(.*float8_e4m3fn"):
        open_weights(path)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\xff" * 8, "shorter than its header says"),
        (b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":3}', "stands there twice"),
        (b"[" * 100_000, "header is no JSON"),
        (b" " * (2**23 + 1), "has a header of 8,388,609 bytes"),
    ],
)  # fmt: skip
def test_hostile_safetensors_headers(tmp_path, head, words):
    content = head if head == b"\xff" * 8 else len(head).to_bytes(8, "little") + head
    with pytest.raises(CasarbiError, match=words):
        read_checkpoint(Case("w.safetensors", content).write(tmp_path))


@pytest.mark.parametrize("words", [["info", "{}"], ["info", "{}.safetensors"], ["info", "liif:{}"], ["train", "{}"]])
def test_long_names_are_refused_in_a_sentence(words):
    done = CliRunner().invoke(main, [word.format("x" * 300) for word in words], catch_exceptions=False)
    assert done.exit_code == 1 and "make room" not in done.output and len(done.output) < 900, done.output
