import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from casarbi.checkpoints import halved, load_strict, read_checkpoint, read_state, write_checkpoint
from casarbi.checkpoints.pickles import Inert
from casarbi.errors import CasarbiError
from casarbi.weights import sha256_file


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"weight": torch.randn(2, 3, generator=generator), "bias": torch.randn(2, generator=generator)}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(CasarbiError) as caught:
        read_state(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("prefix", ["", "module.", "module.module."])
def test_wrapper_prefixes_are_stripped_and_said(tmp_path, prefix):
    state = read_state(saved(tmp_path / "w.pth", {prefix + key: value for key, value in weights().items()}))
    assert torch.equal(state.tensors["weight"], weights()["weight"]) and set(state.tensors) == {"weight", "bias"}
    said = {"": (), "module.": ("prefix 'module.' stripped",)}.get(prefix, ("prefix 'module.' stripped 2 times",))
    assert state.notes == said


def test_half_prefixed_keys_are_refused_with_examples(tmp_path):
    mixed = {"module.weight": weights()["weight"], "bias": weights()["bias"]}
    assert "module.weight but bias" in refusal(saved(tmp_path / "w.pth", mixed))


@pytest.mark.parametrize(
    ("keys", "note"),
    [(("params", "params_ema"), "averaged weights (params_ema)"), (("params",), "plain weights (params)")],
)
def test_averaged_weights_are_preferred(tmp_path, keys, note):
    content = {key: {"weight": torch.full((1,), float(i))} for i, key in enumerate(keys)}
    state = read_state(saved(tmp_path / "w.pth", content))
    assert state.notes == (note,)
    assert state.tensors["weight"].item() == len(keys) - 1


def test_file_from_a_gpu_is_read_onto_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:3")
    path = saved(tmp_path / "w.pth", weights())
    monkeypatch.undo()
    assert read_state(path).tensors["weight"].device.type == "cpu"


@pytest.mark.parametrize("legacy", [False, True])
def test_cut_off_file_is_damaged(tmp_path, legacy):
    path = tmp_path / "w.pth"
    torch.save({"weight": torch.zeros(1000)}, path, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert ("damaged" if legacy else "cut off") in refusal(path)
    assert f"{path.stat().st_size:,} bytes" in refusal(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty (0 bytes)"),
        (b"  <!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git-LFS pointer"),
        (b"PK\x03\x04 and then nothing", "cut off"),
        (b"\x80\x02nonsense", "damaged"),
        (b"GIF89a and so on", "not a checkpoint"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".ckpt"])
def test_what_is_no_checkpoint_gets_one_sentence(tmp_path, content, words, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    assert words in refusal(path)


def test_missing_file_folder_and_broken_safetensors(tmp_path):
    assert "There is no weights file" in refusal(tmp_path / "none.pth")
    assert "cannot be read" in refusal(tmp_path)
    broken = tmp_path / "w.safetensors"
    broken.write_bytes(b"\x10\0\0\0\0\0\0\0{")
    assert "damaged" in refusal(broken)


class MakesFolder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("way", ["zip", "legacy", "pickle"])
def test_pickle_that_runs_code_is_refused_unrun(tmp_path, way):
    path, folder = tmp_path / "w.pth", tmp_path / "made"
    content = {"weight": weights()["weight"] if way != "pickle" else 0, "x": MakesFolder(folder)}
    if way == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=way == "zip")
    message = refusal(path)
    assert "nothing in it was run" in message and "mkdir" in message
    assert not folder.exists()


def test_content_without_tensors_is_refused(tmp_path):
    assert "epoch" in refusal(saved(tmp_path / "w.pth", {"epoch": 3}))
    assert "holds a list" in refusal(saved(tmp_path / "v.pth", [1, 2]))


def test_load_strict_names_every_fault_and_changes_nothing():
    module = nn.Linear(3, 2)
    before = module.weight.clone()
    wrong = {"weight": torch.zeros(2, 4), "extra": torch.full((1,), float("nan"))}
    with pytest.raises(CasarbiError) as caught:
        load_strict(module, wrong, Path("w.pth"))
    for words in ("1 missing (bias)", "1 unexpected (extra)", "weight 2x4 for 2x3", "NaN or infinite values (extra)"):
        assert words in str(caught.value)
    assert torch.equal(module.weight, before)


def test_safetensors_round_trip_with_header(tmp_path):
    path = tmp_path / "deep" / "w.safetensors"
    write_checkpoint(path, weights(), {"spec": "{}"})
    checkpoint = read_checkpoint(path)
    assert checkpoint.metadata == {"spec": "{}"} and list(path.parent.iterdir()) == [path]
    module = nn.Linear(3, 2)
    load_strict(module, read_state(path).tensors, path)
    assert torch.equal(module.weight, weights()["weight"])


def test_weights_may_be_read_by_whom_new_files_may(tmp_path):
    write_checkpoint(tmp_path / "w.safetensors", weights(), {})
    (tmp_path / "new").touch()
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "new").stat().st_mode


def test_hash_notices_new_content_under_old_size_and_time(tmp_path):
    path = tmp_path / "w"
    path.write_bytes(b"abc")
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    times = path.stat().st_mtime_ns
    path.write_bytes(b"abd")
    os.utime(path, ns=(times, times))
    assert sha256_file(path) == "a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9"


@pytest.fixture
def trainer_class(monkeypatch):
    """Makes classes of packages that are not installed, to be pickled; `gone` takes the packages away again."""

    def make(module: str, name: str) -> type:
        kind = type(name, (), {"__module__": module})
        for end in [i for i, letter in enumerate(module + ".") if letter == "."]:
            monkeypatch.setitem(sys.modules, module[:end], types.ModuleType(module[:end]))
        setattr(sys.modules[module], name, kind)
        return kind

    return make


def gone(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        monkeypatch.delitem(sys.modules, name)


def test_trainers_classes_and_objects_are_read_as_inert(tmp_path, trainer_class, monkeypatch):
    callback = trainer_class("pytorch_lightning.callbacks", "ModelCheckpoint")
    settings = trainer_class("omegaconf.dictconfig", "DictConfig")()
    settings.kinds = [dict, Any]
    content = {"state_dict": weights(), "callbacks": {callback: {"best": 0.5}}, "hyper_parameters": settings}
    path = saved(tmp_path / "w.ckpt", content)
    gone(monkeypatch, "pytorch_lightning", "omegaconf")
    read = read_checkpoint(path).content
    assert torch.equal(read["state_dict"]["weight"], weights()["weight"]) and read["callbacks"] == {
        Inert: {"best": 0.5}
    }
    assert vars(read["hyper_parameters"]) == {} and "pytorch_lightning" not in sys.modules


@pytest.mark.parametrize("package", ["lightning_mimic", "pytorch_lightningx"])
def test_classes_of_anything_else_are_refused(tmp_path, trainer_class, monkeypatch, package):
    path = saved(tmp_path / "w.ckpt", {"state_dict": weights(), "x": trainer_class(f"{package}.a", "Thing")})
    gone(monkeypatch, package)
    assert f"{package}.a.Thing" in refusal(path)


def test_weights_too_large_for_float16_are_not_halved():
    network = torch.nn.Linear(2, 1)
    assert all(tensor.dtype == torch.float16 for tensor in halved(network).state_dict().values())
    network.weight.data[0, 0] = 70000
    with pytest.raises(CasarbiError, match="too large for float16: set weights.precision=float32"):
        halved(network)
