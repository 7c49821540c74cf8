"""LIIF against figures of the published code (tests/golden/liif.json; rule and tolerance in its README's words:
parameters and inputs are drawn from their names, figures hold to 1e-4 of the output's std)."""

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.liif.encoders import RDN, EDSRBaseline
from baselines.liif.grid import centres
from baselines.liif.model import liif
from baselines.liif.network import LIIFNetwork
from casarbi.weights import CATALOGUE

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "liif.json").read_text())
CASES = {case["name"]: case for case in GOLDEN["cases"] + GOLDEN["rounding_sensitive_cases"]["cases"]}
OFFICIAL = [name for name, case in CASES.items() if "weights" in case["config"]]
FLAGS = ("local_ensemble", "feat_unfold", "cell_decode")
ON_A_GRID = [n for n, c in CASES.items() if "out_size" in c["config"] and n not in (*OFFICIAL, "C2.scale12.cellx3")]


def drawn(name: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(name.encode()))


def inputs(case: dict) -> dict[str, torch.Tensor]:
    made = {}
    for key, wanted in case["inputs"].items():
        unit = drawn("input:" + wanted["name"]).random_sample(wanted["shape"]).astype(np.float32)
        low, high = wanted["range"]
        made[key] = torch.from_numpy(np.float32(low) + np.float32(high - low) * unit)
    return made


def parameter(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    w = drawn(key).standard_normal(shape)
    vector = 1 + 0.1 * w if key.endswith("weight") else 0.1 * w
    return torch.from_numpy((w / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else vector).astype(np.float32))


def network(case: dict) -> LIIFNetwork:
    config = case["config"]
    if "weights" in config:
        if not CATALOGUE["edsr-baseline-div2k"].path.is_file():
            pytest.skip("the official weights are not fetched: casarbi-bench weights fetch edsr-baseline-div2k")
        return liif().network
    encoder = RDN() if config["encoder"].startswith("rdn") else EDSRBaseline()
    flags = {flag: config.get(flag, True) for flag in FLAGS}
    made = LIIFNetwork(encoder, config.get("hidden_list", [256] * 4), **flags).requires_grad_(False)
    made.load_state_dict({key: parameter(key, value.shape) for key, value in made.state_dict().items()})
    return made


def wanted_part(case: dict, grid: torch.Tensor) -> torch.Tensor:
    """Cut (B, H, W, 3) to the rows and columns that a case keeps, as (B, Q, 3)."""
    rows, columns = re.findall(r"\[0:(\d+)\]", case["config"]["coord"]) or grid.shape[1:3]
    return grid[:, : int(rows), : int(columns)].flatten(1, 2)


def check(case: dict, output: torch.Tensor) -> None:
    assert list(output.shape) == case["output_shape"]
    flat = output.detach().double().flatten()
    where, values = zip(*case["samples"], strict=True)
    found = torch.tensor([flat.mean(), flat.std(unbiased=False), *flat[list(where)]], dtype=torch.float64)
    expected = torch.tensor([case["mean"], case["std"], *values], dtype=torch.float64)
    assert (found - expected).abs().max() <= 1e-4 * case["std"]


@pytest.mark.parametrize("name", [*ON_A_GRID, *OFFICIAL[:2]])
def test_whole_grid(name):
    case = CASES[name]
    model = network(case)
    made = [model.render(image, [tuple(case["config"]["out_size"])], chunk=1000)[0] for image in inputs(case)["lr"]]
    check(case, wanted_part(case, torch.stack(made).permute(0, 2, 3, 1)))


@pytest.mark.parametrize("name", [*ON_A_GRID, *OFFICIAL[:2], "C2.scale12.cellx3"])
def test_the_same_as_scattered_queries(name):
    case = CASES[name]
    model, (height, width) = network(case), case["config"]["out_size"]
    features = model.encoder(inputs(case)["lr"])
    grid = torch.stack(torch.meshgrid(centres(height), centres(width), indexing="ij"), dim=-1)
    coord = grid.flatten(0, 1).expand(len(features), -1, 2)
    cell = torch.tensor(case["config"]["cell"], dtype=torch.float32).expand_as(coord)
    check(case, wanted_part(case, model.query(features, coord, cell).unflatten(1, (height, width))))


def test_scattered_points_each_with_its_own_cell():
    case = CASES["J.scattered"]
    model, made = network(case), inputs(case)
    check(case, model.query(model.encoder(made["lr"]), made["coord"], made["cell"]))


def test_encoder():
    case = CASES["K.encoder"]
    check(case, network(case).encoder(inputs(case)["lr"]))


def test_end_to_end_with_the_official_weights():
    case = CASES["D3.official.5.3.end_to_end"]
    network(case)
    check(case, liif().upscale(inputs(case)["img"], tuple(case["config"]["out_size"]), [0]))


@pytest.mark.parametrize(("name", "encoder"), [("state_dict", EDSRBaseline), ("rdn_state_dict", RDN)])
def test_parameters_bear_the_published_names(name, encoder):
    with torch.device("meta"):
        found = LIIFNetwork(encoder()).state_dict()
    assert {key: list(value.shape) for key, value in found.items()} == GOLDEN[name]


def test_official_tensors_are_the_published_ones():
    state = network(CASES["D.official.x4"]).state_dict()
    for key, expected in GOLDEN["official_checkpoint"]["parameter_mean_and_population_std"].items():
        found = state[key].double()
        assert [found.mean().item(), found.std(unbiased=False).item()] == pytest.approx(expected, rel=1e-4, abs=1e-7)
