"""IDM's files: the official layouts, made here with a tiny network, and ours."""

import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_idm import ABAR, CONFIG, TINY, network

import baselines.idm.files
from baselines.idm.diffusion import ScheduleConfig
from baselines.idm.files import WIDTH_KEY, save_idm
from baselines.idm.model import IDM, idm
from baselines.idm.network import PUBLISHED, IDMNetwork
from casarbi.checkpoints import write_checkpoint
from casarbi.errors import CasarbiError
from casarbi.settings import as_json
from casarbi.sr import create_model


@pytest.fixture(autouse=True)
def small_layout(monkeypatch):
    """Official files of a tiny network, so that a test need not write 467 MB."""
    monkeypatch.setattr(baselines.idm.files, "PUBLISHED", replace(TINY, unused=True))


def official(prefix: str = "", **changes) -> dict[str, torch.Tensor]:
    """The bare state dict as the published code saves it, schedule first."""
    state = CONFIG.schedule.buffers() | network(unused=True, **changes).state_dict()
    return {prefix + key: tensor for key, tensor in state.items()}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(CasarbiError) as caught:
        idm(str(path))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def lr() -> torch.Tensor:
    return torch.rand(1, 3, 6, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("cells", [False, True])
def test_official_layouts(tmp_path, lr, prefix, cells):
    path = saved(tmp_path / "face_gen.pth", official(prefix, cell_decode=cells))
    made = create_model(f"idm:{path}?sampler=ddim&steps=2")
    config = replace(CONFIG, network=replace(TINY, unused=True, cell_decode=cells), sampling=made.config.sampling)
    expected = IDM(network(unused=True, cell_decode=cells), replace(config, max_scale=4.0 if cells else 8.0))
    assert torch.equal(made.upscale(lr, (19, 16), [0]), expected.upscale(lr, (19, 16), [0]))
    info = made.info
    assert info.trained_scales == ((1, 4) if cells else (1, 8)) and "Ree1s/IDM#22" in info.warning
    assert ("cell decoding" in info.weights) == cells and ("prefix 'module.' stripped" in info.weights) == bool(prefix)
    assert "46 tensors (" in info.weights and info.parameters < sum(p.numel() for p in made.network.parameters())


def test_official_file_is_sampled_as_published(tmp_path):
    path = saved(tmp_path / "face_gen.pth", official())
    for name in (path, tmp_path / "face"):  # published commands name the prefix
        made = idm(str(name))
        assert (made.config.sampling.sampler, made.evaluations(8), made.clamp, made.at_one) == (
            "ancestral",
            2000,
            True,
            8,
        )


@pytest.mark.parametrize("name", ["face", "face_gen.pth", "mini-fac"])
def test_missing_file_is_never_random_weights(tmp_path, name):
    with pytest.raises(CasarbiError, match=f"There (are no IDM weights|is no weights file) '.*{name}'"):
        idm(str(tmp_path / ("long" * 20) / name))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {k: v for k, v in s.items() if not k.startswith("encoder.")}, "14 missing .encoder.sub_mean"),
        (lambda s: {k: v for k, v in s.items() if not k.startswith("imnet.")}, "10 missing .imnet.layers.0"),
        (lambda s: {k: v for k, v in s.items() if "imnet" not in k}, "is no IDM checkpoint: it holds encoder.sub_mean"),
        (lambda s: s | {"denoise_fn.extra": torch.zeros(1)}, "1 unexpected .denoise_fn.extra"),
        (lambda s: s | {WIDTH_KEY: s[WIDTH_KEY][:, :9]}, "1 of another shape .*6x9 for 6x10"),
        (lambda s: s | {WIDTH_KEY: s[WIDTH_KEY] * torch.nan}, "1 with NaN or infinite values"),
        (lambda s: {f"module.{k}" if i % 2 else k: v for i, (k, v) in enumerate(s.items())}, "mixes keys with"),
        (lambda s: {k: v for k, v in s.items() if k != "ddim_c1"}, "has 12 of the 13 buffers.*lacks ddim_c1"),
        (
            lambda s: s | {"alphas_cumprod": s["alphas_cumprod"] ** 2},
            "2000 betas of the noise schedule, from 1e-06 to 0.01, .* betas alphas_cumprod would have other values",
        ),
        (
            lambda s: s | {"posterior_mean_coef1": torch.full((3,), torch.nan)},
            "posterior_mean_coef1 would have other values",
        ),
        (lambda s: s | {"betas": torch.ones(5)}, "5 betas of the noise schedule, from 1 to 1"),
        (lambda s: s | {WIDTH_KEY: s[WIDTH_KEY].to(torch.int8)}, "1 of another type .*torch.int8"),
        (lambda s: s | {WIDTH_KEY: s[WIDTH_KEY].to_sparse()}, "holds no dictionary of tensors"),
        (lambda s: dict(enumerate(s.values())), "holds no dictionary of tensors: it has 0, 1"),
        (
            lambda s: {"iter": 5, "epoch": 1, "scheduler": None, "optimizer": {}},
            "state of an optimizer, not weights: name .* PREFIX_gen.pth beside PREFIX_opt.pth",
        ),
        (lambda s: {"epoch": 3}, "holds no dictionary of tensors: it has epoch"),
        (lambda s: [1, 2], "holds a list: expected a dictionary"),
    ],
)
def test_other_files_are_refused_in_one_sentence(tmp_path, change, words):
    assert re.search(words, refusal(saved(tmp_path / "w_gen.pth", change(official()))))


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {"state_dict": s, "optimizer": {}, "scheduler": None},
        lambda s: {key: tensor.half() for key, tensor in s.items()},
    ],
    ids=["beside an optimizer", "half precision"],
)
def test_weights_in_other_wrappings_load(tmp_path, change):
    assert idm(str(saved(tmp_path / "w_gen.pth", change(official())))).evaluations(8) == 2000


def test_truncated_and_foreign_files_are_refused(tmp_path):
    whole = saved(tmp_path / "w_gen.pth", official()).read_bytes()
    (tmp_path / "cut_gen.pth").write_bytes(whole[: len(whole) // 2])
    assert "cut off" in refusal(tmp_path / "cut_gen.pth")
    (tmp_path / "page_gen.pth").write_text("<!DOCTYPE html><title>Drive</title>")
    assert "is a web page" in refusal(tmp_path / "page_gen.pth")
    (tmp_path / "empty_gen.pth").touch()
    assert "is empty" in refusal(tmp_path / "empty_gen.pth")


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path(self.target),))


def test_code_in_a_file_is_not_run(tmp_path):
    evil = Malicious()
    evil.target = str(tmp_path / "ran")
    torch.save(official() | {"evil": evil}, tmp_path / "zip_gen.pth")
    (tmp_path / "old_gen.pth").write_bytes(pickle.dumps(evil))
    for name in ("zip", "old"):
        assert "nothing in it was run" in refusal(tmp_path / f"{name}_gen.pth")
    assert not (tmp_path / "ran").exists()


def test_schedule_of_another_length_is_read_from_the_file(tmp_path):
    schedule = ScheduleConfig(T=300, start=1e-5, end=5e-2)
    made = idm(str(saved(tmp_path / "w_gen.pth", official() | schedule.buffers())))
    assert made.evaluations(8) == 300 and made.steps[0].alpha_bar == pytest.approx(schedule.alpha_bar[-1], rel=1e-4)


def test_file_without_a_schedule_has_the_published_one(tmp_path):
    made = idm(str(saved(tmp_path / "w_gen.pth", network(unused=True).state_dict())))
    assert made.steps[0].alpha_bar == ABAR[-1]


def test_our_files_hold_their_configuration(tmp_path, lr):
    path = tmp_path / "w.safetensors"
    save_idm(path, network(), CONFIG, {"licence": "MIT", "source": "a test"})
    made = create_model(f"idm:{path}")
    assert made.config == CONFIG
    assert torch.equal(made.upscale(lr, (19, 16), [0]), IDM(network(), CONFIG).upscale(lr, (19, 16), [0]))
    info = made.info
    assert (info.licence, info.source, info.warning, info.trained_scales) == ("MIT", "a test", "", (1.0, 8.0))
    changed = create_model(f"idm:{path}?sampler=ddim&steps=5&clamp=on&p=relative&max_scale=12")
    assert changed.identity["weights"] == made.identity["weights"] and changed.identity != made.identity


def test_shipped_weights_are_found_by_name(tmp_path, monkeypatch):
    save_idm(tmp_path / "idm-mini-test.safetensors", network(), CONFIG, {})
    monkeypatch.setattr("casarbi.weights.packaged.files", lambda package: tmp_path)
    assert idm("mini-test").config == CONFIG
    with pytest.raises(CasarbiError, match="this package has mini-test"):
        idm("mini-tset")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (
            {"method": "casarbi", "config": "{}"},
            "holds no IDM weights: its header has the method 'casarbi' and a config",
        ),
        ({"method": "idm"}, "and no config"),
        ({"method": "idm", "config": "{"}, "no config in its header that is a JSON table"),
        ({"method": "idm", "config": '{"network": 3}'}, "network = 3 is not a table"),
        ({"method": "idm", "config": '{"network": {"chanels": [8, 8]}}'}, "did you mean channels"),
        ({"method": "idm", "config": '{"network": {"blocks": 1.5}}'}, "blocks = 1.5 is not a whole number"),
        ({"method": "idm", "config": '{"sampling": {"sampler": "dpm"}}'}, "sampler = 'dpm' is unknown"),
        ({"method": "idm", "config": '{"max_scale": 1}'}, "w.safetensors: IDM's max_scale=1 must be a number above 1"),
        ({"method": "idm", "config": '{"max_scale": Infinity}'}, "max_scale=inf must be"),
        ({"method": "idm", "config": '{"schedule": {"T": 3000000000}}'}, "at most 100,000"),
        ({"method": "idm", "config": '{"schedule": {"end": 0.9999999}}'}, "a picture left at its end"),
        (
            {"method": "idm", "config": '{"network": {"channels": [262144, 262144], "attention": [1]}}'},
            "does not fit IDMNetwork",
        ),
        ({"method": "idm", "config": "[" * 100_000}, "no config in its header that is a JSON table"),
        ({"method": "idm", "config": '{"scale": 8}'}, "has no setting 'scale': did you mean max_scale"),
        ({"method": "idm", "config": json.dumps({**as_json(CONFIG), "schedule": {"T": 0}})}, "T of at least 1"),
        (
            {"method": "idm", "config": json.dumps(as_json(replace(CONFIG, network=replace(TINY, blocks=1))))},
            "unexpected",
        ),
    ],
)
def test_wrong_headers_are_refused(tmp_path, header, words):
    write_checkpoint(tmp_path / "w.safetensors", network().state_dict(), header)
    with pytest.raises(CasarbiError, match=words):
        idm(str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sampler=dpm", "sampler = 'dpm' is unknown"),
        ("steps=2001", "steps=2001 must be from 1 to the 2000"),
        ("start=2001", "start=2001 is beyond the 2000 steps"),
        ("start=10&steps=20", "steps=20 are more than its start=10"),
        ("steps=-1", "steps=-1 must be at least 1"),
        ("clamp=yes", "clamp = 'yes' is unknown: known: off, on, published"),
        ("p=relative", "needs max_scale=N"),
        ("step=5", "did you mean steps"),
    ],
)
def test_wrong_options_are_refused(tmp_path, options, words):
    save_idm(tmp_path / "w.safetensors", network(), CONFIG, {})
    with pytest.raises(CasarbiError, match=words):
        create_model(f"idm:{tmp_path / 'w.safetensors'}?{options}")


@pytest.mark.slow
def test_official_file_of_full_size(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines.idm.files, "PUBLISHED", PUBLISHED)
    content = ScheduleConfig().buffers() | IDMNetwork(PUBLISHED).state_dict()
    assert len(content) == 537
    made = idm(str(saved(tmp_path / "face_gen.pth", content)), steps=2)
    assert made.info.parameters == 99_801_670 and "46 tensors (16,789,215 numbers)" in made.info.weights
    assert made.upscale(torch.rand(1, 3, 16, 16), (32, 32), [0]).std() > 0.01
