import json

import pytest
import torch
from test_network import TINY, denoiser

from casarbi.checkpoints import write_checkpoint
from casarbi.errors import CasarbiError
from casarbi.method.config import CasArbiConfig, SamplingConfig, load_weights, save_weights
from casarbi.method.diffusion import ShiftConfig
from casarbi.method.guidance import GuidanceConfig
from casarbi.method.strategies import CascadeConfig
from casarbi.settings import as_json, build

CONFIG = CasArbiConfig(
    network=TINY,
    process=ShiftConfig(T=3, m=0.2),
    cascade=CascadeConfig(max_scale=4.0),
    guidance=GuidanceConfig(gamma=(1.0, 0.5)),
    sampling=SamplingConfig(steps=2),
)


def test_configuration_survives_its_header(tmp_path):
    assert build(CasArbiConfig, json.loads(json.dumps(as_json(CONFIG))), "here") == CONFIG
    save_weights(tmp_path / "w.safetensors", denoiser(), CONFIG, {"licence": "MIT"})
    network, config, checkpoint = load_weights(tmp_path / "w.safetensors")
    assert config == CONFIG and checkpoint.metadata["licence"] == "MIT"
    for name, tensor in denoiser().state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_what_is_not_given_has_its_default():
    config = build(CasArbiConfig, {"process": {"kappa": 1}, "guidance": {"gamma": [1]}}, "here")
    assert config == CasArbiConfig(process=ShiftConfig(kappa=1.0), guidance=GuidanceConfig(gamma=(1.0,)))


def test_a_header_of_an_older_file_is_read():
    """Shipped files hold settings of variants that are gone, each with the value that is left."""
    old = {
        "network": {"embed_unet": False, "norm": "channel", "attention": []},
        "process": {"input_scaling": "unit_variance"},
    }
    assert build(CasArbiConfig, old, "here") == CasArbiConfig()


def test_whole_numbers_may_be_written_as_decimals():
    """As 1e1 is in a TOML file."""
    config = build(CasArbiConfig, {"process": {"T": 1e1}, "sampling": {"steps": 4.0}}, "here")
    assert repr((config.process.T, config.sampling.steps)) == "(10, 4)"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"networks": {}}, "here has no setting 'networks': did you mean network"),
        ({"process": {"kapa": 2.0}}, r"here: \[process\] has no setting 'kapa': did you mean kappa"),
        ({"process": 3}, "here: process = 3 is not a table"),
        ({"process": {"kappa": "2"}}, r"here: \[process\] kappa = '2' is not a number"),
        ({"process": {"T": 4.5}}, "T = 4.5 is not a whole number"),
        (
            {"network": {"embed_unet": True}},
            r"\[network\] embed_unet = True is no longer supported: only False is left",
        ),
        ({"network": {"levels": [1, 1.5]}}, "levels = 1.5 is not a whole number"),
        ({"sampling": {"steps": "all"}}, "steps = 'all' is not a whole number"),
        ({"guidance": {"gamma": 0.5}}, "gamma = 0.5 is not a list"),
        ({"cascade": {"strategy": "ll"}}, r"here: \[cascade\].* 'll'"),
        ({"sampling": {"precision": "float16"}}, "'float16'.*float32"),
        ({"network": {"norm": "group"}}, "norm = 'group' is no longer supported: only 'channel' is left"),
        ({"network": {"attention": [2]}}, r"attention = \[2\] is no longer supported: only \[\] is left"),
        ({"network": {"coordinates": "concat"}}, "coordinates = 'concat' is unknown: known: adapter, none"),
        ({"process": {"input_scaling": "pixel"}}, "input_scaling = 'pixel' is no longer supported"),
        ([], r"here = \[\] is not a table"),
    ],
)
def test_wrong_settings_are_named(settings, words):
    with pytest.raises(CasarbiError, match=words):
        build(CasArbiConfig, settings, "here")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({}, "holds no CasArbi weights: its header has the method None and no config"),
        ({"method": "liif", "config": "{}"}, "the method 'liif'"),
        ({"method": "casarbi", "config": "{"}, "that is a JSON table"),
        ({"method": "casarbi", "config": '{"network": {"depth": 3}}'}, "has no setting 'depth'"),
        ({"method": "casarbi", "config": "{}"}, "does not fit Denoiser"),
    ],
)
def test_other_files_are_refused_in_one_sentence(tmp_path, header, words):
    path = tmp_path / "w.safetensors"
    write_checkpoint(path, denoiser().state_dict(), header)
    with pytest.raises(CasarbiError, match=words) as caught:
        load_weights(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
