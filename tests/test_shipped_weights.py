"""The weights that come with the project: what their headers say, and that they do what they are shipped for."""

import json

import pytest
import torch

from benchmarks.metrics import create_metric
from casarbi.checkpoints import read_checkpoint
from casarbi.data import create_dataset
from casarbi.data.protocol import PROTOCOLS
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.sr import create_model
from casarbi.training.header import KEY, thin_out
from casarbi.training.presets import load_preset
from casarbi.weights import packaged_names, packaged_weights

SHIPPED = [(method, name) for method in ("casarbi", "liif", "idm", "kim") for name in packaged_names(method)]


@pytest.mark.parametrize(("method", "name"), SHIPPED)
def test_every_file_says_how_it_was_made_and_is_a_model(method, name):
    path = packaged_weights(method, name)
    assert path.stat().st_size <= 8e6
    facts = json.loads(read_checkpoint(path).metadata[KEY])
    preset = load_preset(facts["preset"]["name"])
    assert facts["iterations"] == preset.run.iterations and facts["command"].startswith("casarbi train")
    assert facts["preset"]["task"] == preset.task and facts["preset"]["run"]["batch"] == preset.run.batch
    assert facts["pictures"]["train"]["fingerprint"]
    # The whole run is on record, thinned as every header's curves are.
    for curve, every in (("curve", "log_every"), ("validation_curve", "validate_every")):
        planned = thin_out([{}] * (facts["iterations"] // facts["preset"]["run"][every]))
        assert len(facts[curve]) >= len(planned) and facts[curve][-1]["step"] == facts["iterations"]
    model = create_model(f"{method}:{name}")
    made = model.upscale(torch.rand(1, 3, 16, 16), (37, 37), [0])
    assert made.shape == (1, 3, 37, 37) and 0 <= made.min() < made.max() <= 1
    assert (
        model.info.licence == preset.weights.licence != ""
        and 1 <= model.info.trained_scales[0] < 4 <= model.info.trained_scales[1]
    )


@pytest.fixture(scope="module")
def scores():
    """PSNR and ST-LPIPS over three portraits of the test split at 8x, by method; both read 8-bit images."""
    try:
        metrics = [create_metric(name) for name in ("psnr", "st-lpips-alex")]
    except CasarbiError as error:
        pytest.skip(str(error))
    dataset, found = create_dataset("portraits?split=test&n=8"), {}
    pairs = [PROTOCOLS["face"].pairs(dataset, image_id, [8.0])[0] for image_id in dataset.ids[:3]]
    lr, gt = (torch.stack([getattr(pair, name) for pair in pairs]) for name in ("lr", "gt"))
    for reference in ("bicubic", "liif:mini-face", "idm:mini-face", "kim:mini-face", "casarbi:mini-face"):
        made = from_uint8(to_uint8(create_model(reference).upscale(lr, (128, 128), range(3))))
        found[reference] = [sum(metric.scores(made, gt)) / 3 for metric in metrics]
    return found


def test_regression_is_nearest_and_diffusion_looks_nearest(scores):
    """LIIF has the highest PSNR; CasArbi is within 3 dB of it and has by far the lowest perceptual distance."""
    psnr, distance = ({name: values[i] for name, values in scores.items()} for i in (0, 1))
    assert psnr["liif:mini-face"] > psnr["casarbi:mini-face"] > max(psnr["bicubic"], psnr["liif:mini-face"] - 3)
    assert distance["bicubic"] > 1.3 * distance["liif:mini-face"] > 1.3 * 1.1 * distance["casarbi:mini-face"]


def test_idm_looks_nearer_than_regression(scores):
    """Its colours are right too: they were not where the chain began at noise, at 9 dB less."""
    (psnr, distance), bicubic = scores["idm:mini-face"], scores["bicubic"]
    assert distance < scores["liif:mini-face"][1] and psnr > bicubic[0] - 1


def test_kim_looks_nearer_than_regression(scores):
    (psnr, distance), bicubic = scores["kim:mini-face"], scores["bicubic"]
    assert distance < scores["liif:mini-face"][1] and psnr > bicubic[0]
