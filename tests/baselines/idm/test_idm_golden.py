"""IDM against figures of the published code (tests/golden/idm.json; parameters and inputs are drawn from their names,
figures hold to 1e-4 of the output's std, or to a case's own absolute tolerance)."""

import json
import math
import zlib
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baselines.ddpm import Predict, ancestral, chain, ddim
from baselines.idm.diffusion import ScheduleConfig, noise_to_level, published_ddim_chain, whole_chain
from baselines.idm.network import PUBLISHED, ConditionEncoder, IDMNetwork, never_used, used_parameters
from baselines.idm.scale import scale_number
from baselines.idm.upsampling import normalised_pair
from baselines.training_target import training_target
from benchmarks.metrics.ssim import ssim
from casarbi.data.psnr import psnr
from casarbi.pictures.pixels import from_uint8, to_uint8

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "idm.json").read_text())
CASES = {case["name"]: case for case in GOLDEN["cases"]}
ABAR = ScheduleConfig().alpha_bar
LEAN = replace(PUBLISHED, unused=False)
EQUALISED = ("denoise_fn.conv_body_first", "denoise_fn.conv_body_down", "denoise_fn.condition_shift")


def drawn(name: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(name.encode()))


def given(case: dict, name: str) -> Tensor:
    wanted = case["inputs"][name]
    low, high = wanted["range"]
    unit = drawn("input:" + name).random_sample(wanted["shape"]).astype(np.float32)
    return torch.from_numpy(np.float32(high - low) * unit + np.float32(low))


def noise(case: dict, name: str) -> Tensor:
    return torch.from_numpy(drawn("noise:" + name).standard_normal(case["noise"][name]["shape"]).astype(np.float32))


def fill(module: nn.Module, prefix: str) -> nn.Module:
    """Fill the parameters of a part, whose keys in the checkpoint begin with `prefix`, by the rule."""
    state = {key: parameter(prefix + key, value.shape) for key, value in module.state_dict().items()}
    module.load_state_dict(state, assign=True)
    return module.requires_grad_(False).eval()


def parameter(key: str, shape: tuple[int, ...]) -> Tensor:
    w = drawn(key).standard_normal(shape)
    vector = 1 + 0.1 * w if key.endswith("weight") else 0.1 * w
    return torch.from_numpy((w / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else vector).astype(np.float32))


def equalise(parameters: Iterable[tuple[str, nn.Parameter]], sign: int = 1) -> None:
    """Leave out (or put back) the division of the rule where the layers divide by themselves."""
    for key, weight in parameters:
        if key.startswith(EQUALISED) and weight.dim() == 4:
            weight *= math.sqrt(math.prod(weight.shape[1:])) ** sign


@pytest.fixture(scope="module")
def network():
    """The published network without its never-used parameters (0.4 GB), filled by the rule."""
    with torch.device("meta"):
        made = IDMNetwork(LEAN)
    return fill(made, "")


@pytest.fixture
def equalised(network):
    equalise(network.named_parameters())
    yield network
    equalise(network.named_parameters(), -1)


def check(name: str, output: Tensor) -> None:
    case = CASES[name]
    assert list(output.shape) == case["output_shape"]
    flat = output.double().flatten()
    where, values = zip(*case["samples"], strict=True)
    found = torch.tensor([flat.mean(), flat.std(unbiased=False), *flat[list(where)]], dtype=torch.float64)
    expected = torch.tensor([case["mean"], case["std"], *values], dtype=torch.float64)
    tolerance = case.get("tolerance", {}).get("absolute", 1e-4 * case["std"])
    assert (found - expected).abs().max() <= tolerance


def predict_noise(network: IDMNetwork, name: str) -> Tensor:
    case = CASES[name]
    (lr,), (x,) = ([make(case, key) for key in case[kind]] for make, kind in ((given, "inputs"), (noise, "noise")))
    return network(lr, x, torch.tensor(case["values"]["noise_level"]), case["values"]["scaler"])


@pytest.mark.parametrize("side", [128, 85])
def test_encoder(side):
    encoder = fill(ConditionEncoder(16, 64, unused=False), "encoder.")
    features = encoder(given(CASES["encoder_features_16"], "lr"))
    check("encoder_features_16", features)
    check(f"encoder_16_to_{side}", encoder.render(features, (side, side)))


def part(name: str, **changes) -> nn.Module:
    """One part of the published denoiser, filled by the rule, without making the others."""
    with torch.device("meta"):
        denoiser = IDMNetwork(replace(LEAN, **changes)).denoise_fn
    return fill(denoiser.get_submodule(name), f"denoise_fn.{name}.")


def test_noise_level_embedding():
    levels = torch.tensor(CASES["noise_level_embedding"]["values"]["noise_level"])
    # The published axis more changes nothing.
    check("noise_level_embedding", part("noise_level_mlp")(levels)[:, None])


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("alpha_beta")])
def test_weights_of_features_and_condition(name):
    p = torch.tensor([CASES[name]["values"]["scaler"]])
    raw = [part(f"condition_scale{i}.4")(p) for i in (1, 2)]
    check(name, torch.stack(normalised_pair(*raw)))


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("inr_")])
def test_implicit_upsampling(name):
    case = CASES[name]
    index = name.split("_")[1].removeprefix("ups")
    block = part(f"ups.{index}", cell_decode=case["config"]["cell_decode"])
    x, shift, a, b = (given(case, key) for key in case["inputs"])
    check(name, block(x, block.prepare(a, b, shift, tuple(case["output_shape"][-2:]))))


SMALL = ["unet_16_to_32_p0.143_low_noise", "unet_batch2_16_to_48", "unet_16_to_85"]
LARGE = ["unet_16_to_128", "unet_16_to_192_p1.571"]


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_denoiser(network, name):
    check(name, predict_noise(network, name))


def test_denoiser_where_the_condition_counts(equalised):
    check("equalised_unet_16_to_85", predict_noise(equalised, "equalised_unet_16_to_85"))


@pytest.mark.slow
def test_denoiser_where_the_condition_counts_at_128(equalised):
    check("equalised_unet_16_to_128", predict_noise(equalised, "equalised_unet_16_to_128"))


@pytest.mark.slow
def test_denoiser_of_the_cell_decoding_variant():
    with torch.device("meta"):
        network = IDMNetwork(replace(LEAN, cell_decode=True))
    check("df2k_unet_40_to_160", predict_noise(fill(network, ""), "df2k_unet_40_to_160"))


@pytest.mark.parametrize(("level", "side"), [(0, 128), (1, 128), (4, 128), (4, 85)])
def test_condition_pyramid(level, side):
    name = f"equalised_condition_shift_{level}_{side}"
    with torch.device("meta"):
        denoiser = IDMNetwork(PUBLISHED).denoise_fn
    for child in ("conv_body_first", "conv_body_down", "condition_shift"):
        filled = fill(denoiser.get_submodule(child), f"denoise_fn.{child}.")
        equalise((f"denoise_fn.{child}.{key}", weight) for key, weight in filled.named_parameters())
    encoder = fill(ConditionEncoder(16, 64, unused=False), "encoder.")
    image = encoder.render(encoder(given(CASES[name], "lr")), (side, side))
    check(name, denoiser.condition_shift[str(level)](denoiser.pyramid(image)[level]))


def test_loss(network):
    case = CASES["loss_l1_sum"]
    level, eps = torch.tensor(case["values"]["noise_level"]), noise(case, "loss_noise")
    x = noise_to_level(given(case, "gt_32"), eps, level)
    found = network(given(case, "lr_b2"), x, level, case["values"]["scaler"])
    check("loss_l1_sum", (found - eps).abs().sum()[None])


@pytest.fixture(scope="module")
def predict(network) -> Predict:
    """Noise predictor of the sampler cases: 16 to 32 px."""
    case = CASES["ddim_T2000_after_i1990"]
    condition = network.condition(network.encoder(given(case, "lr")), (32, 32), case["values"]["scaler"])
    return lambda x, step: network.denoise_fn(x, torch.tensor([step.level]), condition)


def test_first_ancestral_steps(predict):
    last = CASES["ddpm_T2000_after_t1997"]
    x = noise(last, "ddpm_init")
    for t, step in zip((1999, 1998, 1997), whole_chain(ABAR), strict=False):
        x = ancestral(x, predict, [step], partial(noise, last, f"ddpm_z{t}"))
        check(f"ddpm_T2000_after_t{t}", x)


@pytest.mark.parametrize("t", [1000, 1, 0])
def test_one_ancestral_step(predict, t):
    name = f"ddpm_T2000_step_t{t}"
    x, step = noise(CASES[name], f"ddpm_x{t}"), whole_chain(ABAR)[1999 - t]
    check(name, ancestral(x, predict, [step], partial(noise, CASES[name], f"ddpm_z{t}")))


def test_ancestral_loop_of_another_schedule(predict):
    case = CASES["ddpm_T4_full_loop"]
    x, states = noise(case, "ddpm_init"), []
    draws = iter([noise(case, f"ddpm_z{t}") for t in (3, 2, 1)])
    for step in whole_chain(ScheduleConfig(T=4).alpha_bar):
        x = ancestral(x, predict, [step], lambda: next(draws))
        states.append(x)
    check("ddpm_T4_full_loop", torch.cat(states))


def test_first_ddim_steps(predict):
    x = noise(CASES["ddim_T2000_after_i1970"], "ddim_init")
    for i, step in zip((1990, 1980, 1970), published_ddim_chain(ABAR), strict=False):
        x = ddim(x, predict, [step], lambda: torch.full((), math.nan))
        check(f"ddim_T2000_after_i{i}", x)


def test_training_target():
    case = CASES["gt_resize_128_to_85_no_antialias"]
    check("gt_resize_128_to_85_no_antialias", training_target(given(case, "gt_128"), (85, 85)))


def test_published_metrics_are_the_harness_s_own():
    case = CASES["metrics_uint8_psnr_ssim"]
    a, b = given(case, "metric_a"), given(case, "metric_b")
    first, second = (to_uint8((v.clamp(-1, 1) + 1) / 2) for v in (a, a + 0.3 * b))
    values = psnr(first, second), ssim(from_uint8(first), from_uint8(second))
    check("metrics_uint8_psnr_ssim", torch.tensor(values, dtype=torch.float64))


def test_parameters_are_the_published_ones_in_the_published_order():
    with torch.device("meta"):
        network, cells = IDMNetwork(PUBLISHED), IDMNetwork(replace(PUBLISHED, cell_decode=True))
    found = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert list(found.items()) == list(GOLDEN["state_dict"].items())
    changed = {key: list(value.shape) for key, value in cells.state_dict().items() if list(value.shape) != found[key]}
    assert changed == GOLDEN["state_dict_changes_cell_decode"]
    assert list(never_used(PUBLISHED)) == GOLDEN["parameters_never_used"]


def test_parameter_counts_are_the_published_ones():
    with torch.device("meta"):
        network, cells = IDMNetwork(PUBLISHED), IDMNetwork(replace(PUBLISHED, cell_decode=True))
    wanted = GOLDEN["parameter_count"]
    for child in ("denoise_fn", "encoder", "imnet"):
        assert count(network.get_submodule(child)) == wanted[child]
    assert count(network) == wanted["total"] == 116_590_885
    assert count(cells) == wanted["total_cell_decode_variant"]
    assert used_parameters(network) == wanted["used_in_forward"] == 99_801_670


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_schedule():
    wanted = GOLDEN["schedule"]
    steps = {1999 - i: step for i, step in enumerate(whole_chain(ABAR))}
    assert [steps[t].alpha_bar for t in wanted["t"]] == pytest.approx(wanted["alphas_cumprod"], rel=1e-6)
    assert [steps[t].after for t in wanted["t"]] == pytest.approx(wanted["alphas_cumprod_prev"], rel=1e-6)
    tables = ScheduleConfig().buffers()
    assert {name: [len(table)] for name, table in tables.items()} == GOLDEN["buffers"]
    assert list(tables) == list(GOLDEN["buffers"])
    for name, table in tables.items():
        assert table[wanted["t"]].tolist() == pytest.approx(wanted[name], rel=1e-6, abs=1e-9)
    levels = wanted["sqrt_alphas_cumprod_prev_extended"]
    found = [1.0, *(step.level for step in reversed(whole_chain(ABAR)))]
    assert len(found) == levels["length"]
    assert [found[i] for i in levels["at"]] == pytest.approx(levels["values"], rel=1e-11)
    published = published_ddim_chain(ABAR)
    assert len(published) == 199 and published == chain(ABAR, range(1990, 0, -10), last=ABAR[0])


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("unet_16")])
def test_scale_number(name):
    side = CASES[name]["config"]["target"][0]
    assert scale_number((16, 16), (side, side), 8) == pytest.approx(CASES[name]["values"]["scaler"], rel=1e-12)
