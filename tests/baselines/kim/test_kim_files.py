import json
import os
import sys
import types
from pathlib import Path

import pytest
import torch
from kim_toys import CONFIG, averages, lightning, network, published_state, schedule

from baselines.kim.config import PUBLISHED, KimConfig
from baselines.kim.files import load_first_stage, load_kim, save_first_stage, save_kim
from baselines.kim.layout import infer_config
from baselines.kim.model import kim
from baselines.kim.network import KimNetwork
from casarbi.checkpoints import write_checkpoint
from casarbi.errors import CasarbiError
from casarbi.settings import as_json, build

SIDES = {"lr_side": 4, "hr_side": 16}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.fixture
def official(tmp_path) -> Path:
    return saved(tmp_path / "last.ckpt", lightning(published_state(network())))


def same(found: torch.nn.Module, expected: torch.nn.Module, share: float = 1.0) -> None:
    assert list(found.state_dict()) == list(expected.state_dict())
    for key, value in found.state_dict().items():
        part = share if key.startswith("model.") else 1.0
        assert torch.equal(value, expected.state_dict()[key] * part)


def refusal(path: Path, **options) -> str:
    with pytest.raises(CasarbiError) as caught:
        load_kim(path, **{**SIDES, **options})
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_lightning_checkpoint_gives_raw_weights_and_scale_factor(official):
    loaded, info = load_kim(official, **SIDES)
    same(loaded, network())
    assert info.notes == ("raw weights",) and info.warning == ""
    assert loaded.config.diffusion == CONFIG.diffusion and loaded.config.enlargement == 4


def test_averaged_weights_are_the_denoisers_alone(official):
    loaded, info = load_kim(official, ema=True, **SIDES)
    same(loaded, network(), share=0.5)
    assert info.notes == ("averaged (EMA) weights",)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_bare_and_wrapped_states(tmp_path, prefix):
    state = {prefix + key: value for key, value in published_state(network()).items()}
    loaded, info = load_kim(saved(tmp_path / "w.pth", state), **SIDES)
    same(loaded, network())
    assert info.notes == (("prefix 'module.' stripped",) if prefix else ()) + ("raw weights",)


@pytest.fixture
def without_lightning(monkeypatch):
    """A class of Lightning's that can be pickled; the module is gone when the file is read."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    for part in ("pytorch_lightning", "pytorch_lightning.callbacks", name):
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    kind = type("ModelCheckpoint", (), {"__module__": name})
    sys.modules[name].ModelCheckpoint = kind
    yield kind
    assert name not in sys.modules


def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        monkeypatch.delitem(sys.modules, name)


def test_callbacks_keyed_by_classes_are_read_without_lightning(tmp_path, without_lightning, monkeypatch):
    content = lightning(published_state(network()))
    content["callbacks"] = {without_lightning: {"best_model_score": torch.tensor(0.1), "kept": without_lightning()}}
    path = saved(tmp_path / "last.ckpt", content)
    gone(monkeypatch)
    same(load_kim(path, **SIDES)[0], network())


class MakesFolder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_code_beside_a_lightning_class_is_refused_unrun(tmp_path, without_lightning, monkeypatch):
    content = lightning(published_state(network()))
    content["callbacks"] = {without_lightning: MakesFolder(tmp_path / "made")}
    path = saved(tmp_path / "last.ckpt", content)
    gone(monkeypatch)
    assert "nothing in it was run" in refusal(path) and not (tmp_path / "made").exists()


@pytest.mark.parametrize("layout", ["state_dict", "model sd", "whole model", "ours", "ours whole"])
def test_first_stage_out_of_every_layout(tmp_path, layout):
    made, path = network(), tmp_path / ("w.safetensors" if layout.startswith("ours") else "w.ckpt")
    state = made.first_stage.state_dict()
    if layout == "ours":
        save_first_stage(path, made.first_stage, {})
    elif layout == "ours whole":
        save_kim(path, made, {})
    else:
        contents = {"state_dict": lightning(state), "model sd": {"model": {"sd": state}}}
        saved(path, contents.get(layout, lightning(published_state(made))))
    same(load_first_stage(path), made.first_stage)


def test_ours_says_its_whole_configuration(tmp_path):
    path = tmp_path / "w.safetensors"
    save_kim(path, network(), {"licence": "MIT", "source": "a test"})
    loaded, info = load_kim(path)
    same(loaded, network())
    assert loaded.config == CONFIG and info.licence == "MIT"
    assert "one set of weights" in refusal(path, ema=True) and "its sides, 4 and 16" in refusal(path, lr_side=8)


@pytest.mark.parametrize("data", PUBLISHED)
def test_published_configurations_are_told_from_shapes(data):
    expected = PUBLISHED[data]
    with torch.device("meta"):
        state = KimNetwork(expected).state_dict()
    assert infer_config(state | schedule(expected.diffusion), Path("w")) == expected


def test_other_sides_of_a_published_layout_can_be_given():
    with torch.device("meta"):
        state = KimNetwork(PUBLISHED["FFHQ"]).state_dict()
    config = infer_config(state | schedule(PUBLISHED["FFHQ"].diffusion), Path("w"), lr_side=32)
    assert (config.lr_side, config.hr_side, config.enlargement) == (32, 128, 4)


def test_unknown_sides_are_asked_for(official):
    with pytest.raises(CasarbiError, match="sides of its training are unknown: give both"):
        load_kim(official)


def without(*parts: str) -> dict[str, torch.Tensor]:
    return {k: v for k, v in published_state(network()).items() if not any(part in k for part in parts)}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (network().first_stage.state_dict(), "holds Kim's first stage alone"),
        (without("first_stage_model"), "a latent diffusion model without first_stage_model"),
        ({"weight": torch.zeros(2)}, "keys such as weight: expected a checkpoint of Kim's diffusion"),
        (without("input_blocks"), "lacks the tensor 'model.diffusion_model.input_blocks.0.0.weight'"),
        (without("betas"), "lacks the tensor 'betas'"),
        (without("middle_block.1.proj_out"), "2 missing .model.diffusion_model.middle_block.1.proj_out.weight"),
        (without("output_blocks.3"), "missing .model.diffusion_model.output_blocks.3.0"),
        (without() | {"cond_stage_model.weight": torch.zeros(2)}, "1 unexpected .cond_stage_model.weight"),
        (without() | {"scale_factor": torch.tensor(float("nan"))}, "NaN or infinite values .scale_factor"),
        (without() | {"betas": torch.linspace(1e-4, 0.02, 1000)}, "another noise schedule"),
        (without() | {"betas": torch.zeros(0)}, "not wholly of Kim"),
        (without() | {"posterior_variance": torch.zeros(1000)}, "posterior_variance would have other values"),
        (without() | {"scale_factor": torch.tensor(0.0)}, "scale_factor 0, by which no latent"),
        (without() | {"first_stage_model.quant_conv.weight": torch.zeros(2)}, "of CompVis"),
    ],
)
def test_what_is_not_wholly_of_kim_is_refused(tmp_path, state, words):
    message = refusal(saved(tmp_path / "w.ckpt", {"state_dict": state}))
    assert words.replace(" .", " (") in message


def test_missing_averages_are_named(tmp_path):
    first = list(averages(network()))[:3]
    lacking = {key: value for key, value in published_state(network()).items() if key not in first}
    path = saved(tmp_path / "w.ckpt", {"state_dict": lacking})
    assert "lacks 3 of" in refusal(path, ema=True) and "model_ema.diffusion_model" in refusal(path, ema=True)
    same(load_kim(path, **SIDES)[0], network())


def test_file_without_scale_factor_has_1_and_says_so(tmp_path):
    loaded, info = load_kim(saved(tmp_path / "w.ckpt", {"state_dict": without("scale_factor")}), **SIDES)
    assert loaded.scale_factor == 1 and "1 was taken" in info.warning


def test_cut_off_and_missing_files(official, tmp_path):
    official.write_bytes(official.read_bytes()[: official.stat().st_size // 2])
    assert "cut off" in refusal(official)
    assert "There is no weights file" in refusal(tmp_path / "none.ckpt")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"method": "liif"}, "holds weights of 'liif'"),
        ({"method": "kim-first-stage", "config": "{}"}, "holds Kim's first stage alone"),
        ({"method": "kim"}, "no config in its header that is a JSON table"),
        ({"method": "kim", "config": "[1]"}, "no config in its header that is a JSON table"),
        ({"method": "kim", "config": '{"hr_side": 0}'}, "hr_side=0 must be lr_side=16 times"),
        ({"method": "kim", "config": '{"diffusion": {"timesteps": 1000000000}}'}, "at most 100,000"),
        ({"method": "kim", "config": '{"diffusion": {"linear_start": 0.9, "linear_end": 0.99}}'}, "leaves some"),
        ({"method": "kim", "config": '{"unet": {"chanels": 3}}'}, "did you mean channels"),
        ({"method": "kim", "config": '{"lr_side": 5}'}, "hr_side=128 must be lr_side=5 times"),
        ({"method": "kim", "config": '{"unet": 3}'}, "unet = 3 is not a table"),
        ({"method": "kim", "config": json.dumps(as_json(PUBLISHED["FFHQ"]))}, "does not fit KimNetwork"),
    ],
)
def test_wrong_headers_are_refused(tmp_path, header, words):
    path = tmp_path / "w.safetensors"
    write_checkpoint(path, network().state_dict(), header)
    assert words in refusal(path, lr_side=None, hr_side=None)


def test_configuration_survives_json():
    assert build(KimConfig, json.loads(json.dumps(as_json(CONFIG))), "here") == CONFIG


def test_names_that_are_no_weights():
    with pytest.raises(CasarbiError, match="no Kim weights 'huge-face' .this package has"):
        kim("huge-face")
    with pytest.raises(CasarbiError, match="no weights file 'none.ckpt'"):
        kim("none.ckpt")
