"""Kim against figures of the published code (tests/golden/kim.json; rule and tolerance in its README's words:
parameters, inputs and noise are drawn from their names, figures hold to 1e-4 of the output's std)."""

import dataclasses
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from baselines.ddpm import ddpm_tables
from baselines.kim.config import PUBLISHED, KimConfig
from baselines.kim.diffusion import alpha_bars, plan_steps
from baselines.kim.first_stage import FirstStage
from baselines.kim.losses import alignment_terms, first_stage_loss, noise_loss
from baselines.kim.model import Kim
from baselines.kim.network import KimNetwork
from baselines.kim.unet import UNet
from baselines.training_target import training_target
from benchmarks.metrics.psnr import psnr_pooled
from casarbi.pictures.resize import resize, resize_bytes

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "kim.json").read_text())
CASES = {case["name"]: case for case in GOLDEN["cases"]}
MODELS: dict[str, FirstStage | KimNetwork] = {}
MADE: dict[str, torch.Tensor] = {}
"""What several cases share: feature maps and sampled latents by model."""


def cases(*parts: str) -> pytest.MarkDecorator:
    """Cases whose names hold one of the parts.

    On whole diffusion models (464 million parameters), and with outputs of 384 px and more (over 100,000 queries
    of the MLP each), they are slow; outputs of up to 254 px go the same way.
    """
    large = ("384", "576", "816")
    slow = {name for name in CASES if str(CASES[name]["model"]).startswith("ldm") or name.endswith(large)}
    chosen = [
        pytest.param(CASES[name]["model"], name, id=name, marks=[pytest.mark.slow] if name in slow else [])
        for name in CASES
        if any(part in name for part in parts)
    ]
    return pytest.mark.parametrize(("model", "name"), chosen, indirect=["model"])


@pytest.fixture(scope="module", autouse=True)
def freed() -> Iterator[None]:
    """Nothing made here outlives this file's tests."""
    yield
    MODELS.clear()
    MADE.clear()


@pytest.fixture
def model(request) -> FirstStage | KimNetwork:
    """The model of a case, filled by the rule."""
    if request.param not in MODELS:
        if request.param.startswith("ldm"):
            MODELS.clear()  # that of FFHQ takes 1.9 GB
        MODELS[request.param] = make(request.param)
    return MODELS[request.param]


def make(name: str) -> FirstStage | KimNetwork:
    config = configuration(name)
    with torch.device("meta"):
        made = FirstStage(config.first_stage) if name.startswith("first_stage") else KimNetwork(config)
    if isinstance(made, KimNetwork):
        made.scale_factor = torch.tensor(0.8)
    return filled(made)


def drawn(name: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(name.encode()))


def given(name: str, *keys: str) -> list[torch.Tensor]:
    """Inputs and noises of a case."""
    made = []
    for key in keys:
        if key in CASES[name]["noises"]:
            value = drawn(f"noise:{key}").standard_normal(CASES[name]["noises"][key]["shape"])
        else:
            wanted = CASES[name]["inputs"][key]
            low, high = wanted["range"]
            unit = drawn(f"input:{key}").random_sample(wanted["shape"]).astype(np.float32)
            value = np.float32(low) + np.float32(high - low) * unit
        made.append(torch.from_numpy(value.astype(np.float32)))
    return made


def posterior(name: str, key: str) -> torch.Tensor | None:
    return given(name, key)[0] if key in CASES[name]["noises"] else None


def parameter(key: str, shape: torch.Size) -> torch.Tensor:
    w = drawn(key).standard_normal(tuple(shape)).astype(np.float64)
    vector = 1 + 0.1 * w if key.endswith("weight") else 0.1 * w
    return torch.from_numpy((w / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else vector).astype(np.float32))


def configuration(model: str) -> KimConfig:
    return PUBLISHED[model.split("_")[-1].upper()]


def filled(module: nn.Module) -> nn.Module:
    """Parameters of a module on the meta device by the rule; buffers must be set by hand."""
    for key, value in list(module.named_parameters()):
        owner = module.get_submodule(key.rpartition(".")[0])
        made = nn.Parameter(parameter(key, value.shape), requires_grad=False)
        setattr(owner, key.rpartition(".")[2], made)
    return module.eval()


def features(model: FirstStage, name: str) -> torch.Tensor:
    """Features that all decode cases of a first stage share."""
    key = CASES[name]["model"]
    if key not in MADE:
        MADE[key] = model.features(*given(name, "z"))
    return MADE[key]


def check(name: str, output: torch.Tensor) -> None:
    case = CASES[name]
    assert list(output.shape) == case["output_shape"]
    flat = output.detach().double().flatten()
    where, values = zip(*case["samples"], strict=True)
    found = torch.tensor([flat.mean(), flat.std(unbiased=False), *flat[list(where)]], dtype=torch.float64)
    expected = torch.tensor([case["mean"], case["std"], *values], dtype=torch.float64)
    size = abs(case["mean"]) if case.get("tolerance_relative_to") == "value" else case["std"]
    assert (found - expected).abs().max() <= case.get("tolerance", 1e-4) * size


@pytest.mark.parametrize("data", PUBLISHED)
def test_parameters_bear_the_published_names_in_the_published_order(data):
    first, unet = (
        GOLDEN["state_dicts"][name]
        for name in (f"first_stage_{'ffhq' if data == 'FFHQ' else 'div2k'}", f"unet_{data.lower()}")
    )
    with torch.device("meta"):
        found = KimNetwork(PUBLISHED[data]).state_dict()
    expected = {"scale_factor": []}
    expected |= {f"model.diffusion_model.{key}": shape for key, shape in unet.items()}
    expected |= {f"first_stage_model.{key}": shape for key, shape in first.items()}
    assert [(key, list(value.shape)) for key, value in found.items()] == list(expected.items())


@pytest.mark.parametrize("data", PUBLISHED)
def test_parameter_counts_are_the_published_ones(data):
    with torch.device("meta"):
        network = KimNetwork(PUBLISHED[data])
    parts = {
        "all": network,
        "unet": network.unet,
        "first_stage": network.first_stage,
        "encoder": network.first_stage.encoder,
        "decoder_conv": network.first_stage.decoder.decoder,
        "implicit_mlp": network.first_stage.decoder.inr,
    }
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    first = GOLDEN["parameter_counts"][f"first_stage_{'ffhq' if data == 'FFHQ' else 'div2k'}"]
    assert counts == first | GOLDEN["parameter_counts"][f"ldm_{data.lower()}"]


@pytest.mark.parametrize("data", ["FFHQ", "DIV2K"])
def test_schedule(data):
    figures, config = GOLDEN["schedule"][f"ldm_{data.lower()}"], PUBLISHED[data].diffusion
    for table, made in (*ddpm_tables(config.betas()).items(), ("alphas_cumprod", alpha_bars(config))):
        for t, value in figures.get(table, {}).items():
            assert made[int(t)].item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("data", ["FFHQ", "DIV2K"])
@pytest.mark.parametrize("steps", [4, 50, 200])
def test_chain(data, steps):
    figures, published = GOLDEN["schedule"][f"ldm_{data.lower()}"][f"ddim_{steps}"], PUBLISHED[data]
    plan = plan_steps(published.diffusion, dataclasses.replace(published.sampling, steps=steps))[::-1]
    assert len(plan) == figures["n_unet_calls"]
    for index, wanted in figures["by_index"].items():
        step = plan[int(index)]
        assert step.t == wanted["t"]
        found = (step.alpha_bar, step.after, step.sigma)
        assert found == pytest.approx((wanted["alpha"], wanted["alpha_prev"], wanted["sigma_eta1"]), rel=1e-6)


@cases("encoder_out")
def test_encoder(model, name):
    check(name, model.encoder(*given(name, "hr")))


@cases("posterior_std")
def test_posterior(model, name):
    check(name, model.moments(*given(name, "hr"))[1])


@cases("decoder_features")
def test_features(model, name):
    check(name, features(model, name))


@cases("_decode_")
def test_decode(model, name):
    side = CASES[name]["config"]["output_size"]
    check(name, model.render(features(model, name), (side, side), chunk=4096))


@pytest.mark.parametrize("name", [name for name in CASES if "train_target" in name])
def test_training_target(name):
    side = CASES[name]["config"]["gt_size"]
    check(name, training_target(*given(name, "hr"), (side, side)))


@cases("first_stage_loss")
def test_first_stage_loss(model, name):
    (hr,), side = given(name, "hr"), CASES[name]["config"]["gt_size"]
    check(name, first_stage_loss(model, hr, training_target(hr, (side, side)), posterior(name, "posterior"))[None])


@cases("_unet_")
def test_unet(model, name):
    x, condition = given(name, *CASES[name]["noises"])
    check(name, model.unet(x, condition, torch.tensor(CASES[name]["config"]["t"])))


@cases("_cond")
def test_condition(model, name):
    check(name, model.condition(*given(name, "lr"), posterior(name, "cond_posterior")))


@cases("_hr_latent")
def test_latent(model, name):
    check(name, model.latent(*given(name, "hr"), posterior(name, "hr_posterior")))


def sampled(model: KimNetwork, name: str) -> torch.Tensor:
    """Latent that all sampler cases of a model share: the model's own code on the named noise."""
    key = CASES[name]["model"]
    if key not in MADE:
        chain = dataclasses.replace(model.config.sampling, steps=4)
        noise = iter(given(name, *CASES[name]["noises"]))
        (lr,) = given(name, "lr")
        kim = Kim(model, dataclasses.replace(model.config, sampling=chain))
        MADE[key] = kim.latent(lr, lambda: next(noise))
    return MADE[key]


@cases("_ddim4_")
def test_sampler(model, name):
    z, side = sampled(model, name), CASES[name]["config"].get("output_size")
    check(name, model.first_stage.render(Kim(model).features(z), (side, side), 4096) if side else z)


@cases("_ldm_loss")
def test_noise_loss(model, name):
    lr, hr, eps = given(name, "lr", "hr", "eps")
    z = model.latent(hr, posterior(name, "hr_posterior"))
    condition = model.condition(lr, posterior(name, "cond_posterior"))
    t = torch.tensor(CASES[name]["config"]["t"])
    check(name, noise_loss(model.unet, z, condition, t, eps, alpha_bars(model.config.diffusion))[None])


@cases("_align_terms_")
def test_alignment_terms_and_gradient(model, name):
    """In the batch of two the weight is not an image's own: official code weighs B x B."""
    lr, hr, eps = given(name, *sorted(CASES[name]["inputs"], reverse=True), *CASES[name]["noises"])
    t, tables = torch.tensor(CASES[name]["config"]["t"]), alpha_bars(model.config.diffusion)
    weight = model.unet.input_blocks[0][0].weight.requires_grad_(True)
    terms = alignment_terms(model, model.latent(hr), model.condition(lr), hr, t, eps, tables)
    (gradient,) = torch.autograd.grad(sum(terms), weight)
    weight.requires_grad_(False)
    for kind, made in (("terms", torch.stack(terms)), ("loss", sum(terms)[None]), ("grad", gradient)):
        check(name.replace("terms", kind), made)


@pytest.mark.parametrize("side", [85, 192])
def test_face_pictures(side):
    """Centre square, Pillow bicubic to the side, and LR from that: the face protocol at a side of its own."""
    (photo,) = given(f"data_hr_{side}", "photo")
    picture = resize_bytes((256 * photo).floor().to(torch.uint8).permute(2, 0, 1), (300, 260), "nearest")
    hr = resize(picture[:, 20:280], (side, side))
    for name, made in ((f"data_hr_{side}", hr), (f"data_lr_from_{side}", resize(hr, (16, 16)))):
        check(name, (made / 127.5 - 1).permute(1, 2, 0))


def test_pooled_psnr():
    (gt,) = given("metric_psnr_batch", "gt")
    prediction = (gt + torch.tensor([0.01, 0.1])[:, None, None, None]).clamp(0, 1)
    errors = (prediction - gt).double().square().mean(dim=(1, 2, 3)) * 255**2
    check("metric_psnr_batch", torch.tensor([psnr_pooled(errors.tolist())]))


def test_every_case_belongs_to_a_test():
    kinds = ("encoder_out", "posterior_std", "decoder_features", "_decode_", "_train_target_", "first_stage_loss")
    kinds += ("_unet_", "_cond", "_hr_latent", "_ddim4_", "_ldm_loss", "_align_terms_", "data_hr_")
    # Three tests take more than one case each.
    others = {"metric_psnr_batch", "data_lr_from_85", "data_lr_from_192"}
    others |= {f"div2k_align_{kind}_{items}" for kind in ("loss", "grad") for items in ("b1", "b2")}
    assert len(CASES) == 50
    assert {name for name in CASES if not any(kind in name for kind in kinds)} == others


def test_unet_without_levels_of_attention_has_it_in_the_middle():
    with torch.device("meta"):
        keys = UNet(PUBLISHED["DF2K"].unet, 3).state_dict()
    assert {key.split(".")[0] for key in keys if "qkv" in key} == {"middle_block"}
