import json

import pytest
import torch
from test_network import TINY, denoiser

from casarbi.checkpoints import write_checkpoint
from casarbi.errors import CasarbiError
from casarbi.method.cascade import CascadeConfig
from casarbi.method.config import CasArbiConfig, SamplingConfig, load_weights, save_weights
from casarbi.method.diffusion import ShiftConfig
from casarbi.method.guidance import GuidanceConfig

CONFIG = CasArbiConfig(
    network=TINY,
    process=ShiftConfig(T=3, m=0.2),
    cascade=CascadeConfig(max_scale=4.0),
    guidance=GuidanceConfig(gamma=(1.0, 0.5)),
    sampling=SamplingConfig(steps=2),
)


def test_configuration_survives_its_header(tmp_path):
    assert CasArbiConfig.from_json(json.loads(json.dumps(CONFIG.as_json())), "here") == CONFIG
    save_weights(tmp_path / "w.safetensors", denoiser(), CONFIG, {"licence": "MIT"})
    network, config, checkpoint = load_weights(tmp_path / "w.safetensors")
    assert config == CONFIG and checkpoint.metadata["licence"] == "MIT"
    for name, tensor in denoiser().state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_what_is_not_given_has_its_default():
    config = CasArbiConfig.from_json({"process": {"kappa": 1}, "guidance": {"gamma": [1]}}, "here")
    assert config == CasArbiConfig(process=ShiftConfig(kappa=1.0), guidance=GuidanceConfig(gamma=(1.0,)))


def test_whole_numbers_may_be_written_as_decimals():
    """As 1e1 is in a TOML file."""
    config = CasArbiConfig.from_json({"process": {"T": 1e1}, "sampling": {"steps": 4.0}}, "here")
    assert repr((config.process.T, config.sampling.steps)) == "(10, 4)"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"networks": {}}, "unknown setting networks: did you mean network"),
        ({"process": {"kapa": 2.0}}, "unknown setting process.kapa: did you mean kappa"),
        ({"process": 3}, "process = 3, wanted a table"),
        ({"process": {"kappa": "2"}}, "process.kappa = '2', wanted a value like 2.0"),
        ({"process": {"T": 4.5}}, "process.T = 4.5, wanted a value like 15"),
        ({"network": {"embed_unet": 1}}, "network.embed_unet = 1, wanted a value like false"),
        ({"network": {"levels": [1, 1.5]}}, "network.levels = .* wanted a value like"),
        ({"sampling": {"steps": "all"}}, "sampling.steps = 'all', wanted a whole number"),
        ({"guidance": {"gamma": 0.5}}, "guidance.gamma = 0.5, wanted a value like"),
        ({"cascade": {"strategy": "ll"}}, "here: There is no cascade strategy 'll'"),
        ({"sampling": {"precision": "float16"}}, "wanted float32 or bfloat16"),
        ([], "wanted a table"),
    ],
)
def test_wrong_settings_are_named(settings, words):
    with pytest.raises(CasarbiError, match=words):
        CasArbiConfig.from_json(settings, "here")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({}, "holds no CasArbi weights: its header has the method None and no config"),
        ({"method": "liif", "config": "{}"}, "the method 'liif'"),
        ({"method": "casarbi", "config": "{"}, "that is a JSON table"),
        ({"method": "casarbi", "config": '{"network": {"depth": 3}}'}, "unknown setting network.depth"),
        ({"method": "casarbi", "config": "{}"}, "does not fit Denoiser"),
    ],
)
def test_other_files_are_refused_in_one_sentence(tmp_path, header, words):
    path = tmp_path / "w.safetensors"
    write_checkpoint(path, denoiser().state_dict(), header)
    with pytest.raises(CasarbiError, match=words) as caught:
        load_weights(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
