"""The LIIF task: items, loss, validation and files."""

import numpy as np
import pytest
import torch
from scenes import scene

from baselines.liif.model import liif
from baselines.liif.training import LIIFRecipe, LIIFSettings, liif_task
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.training.validation import mean_psnr, validation_pairs

TINY = {"blocks": 1, "features": 8, "hidden": [16], "lr_side": 12, "scales": [1, 4], "queries": 64}


def batch_of(task, image, count=2, seed=0):
    items = [task.recipe.item(image, None, np.random.default_rng([seed, i])) for i in range(count)]
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


@pytest.mark.parametrize("whole", [True, False])
def test_pixels_lie_where_the_coordinates_say(whole):
    """A picture whose red and green are its row and column: colours must follow the coordinates, mirrored or not."""
    ramp = torch.arange(96, dtype=torch.float32).repeat(96, 1)
    image = torch.stack((ramp.T, ramp, ramp)).mul(2).to(torch.uint8)
    recipe = LIIFRecipe(LIIFSettings(**TINY | {"scales": (1.0, 8.0), "whole": whole, "hidden": (16,)}))
    for seed in range(12):
        item = recipe.item(image, None, np.random.default_rng(seed))
        colours = item["rgb"].float()
        fits = [abs(np.corrcoef(item["coord"][:, 0], colours[:, channel])[0, 1]) for channel in (0, 1)]
        assert max(fits) > 0.995 and item["lr"].shape == (3, 12, 12)
        side = round(2 / item["cell"][0].item())
        assert 12 <= side <= 96 and len({tuple(c) for c in item["coord"].tolist()}) == 64
        # LR and HR are mirrored alike.
        down = item["lr"][0 if fits[0] > fits[1] else 1].float()
        slope = np.polyfit(item["coord"][:, 0], colours[:, 0 if fits[0] > fits[1] else 1], 1)[0]
        assert (down[-1].mean() > down[0].mean()) == (slope > 0)


def test_scales_cover_their_range():
    recipe = LIIFRecipe(LIIFSettings(**TINY | {"hidden": (16,)}))
    image = to_uint8(scene(64, 64))
    sides = [round(2 / recipe.item(image, None, np.random.default_rng(i))["cell"][0].item()) for i in range(200)]
    assert min(sides) <= 13 and max(sides) >= 47 and np.histogram(sides, 4, (12, 48))[0].min() > 30


def test_loss_is_the_mean_error_in_the_normalised_space():
    task = liif_task(TINY)
    batch = batch_of(task, to_uint8(scene(64, 64)))
    loss = task.loss(batch, torch.Generator())["loss"]
    answers = task.network.query(
        task.network.encoder(from_uint8(batch["lr"]) * 2 - 1), batch["coord"], batch["cell"][:, None].expand(-1, 64, -1)
    )
    assert loss.item() == pytest.approx((answers - (from_uint8(batch["rgb"]) * 2 - 1)).abs().mean().item(), rel=1e-5)


def test_training_beats_its_beginning_and_the_file_is_a_model(tmp_path):
    torch.manual_seed(0)
    task = liif_task(TINY | {"validation_scales": [2.0, 3.5]})
    images = [to_uint8(scene(64, 64, seed)) for seed in range(2)]
    first = task.validate(task.network, images)
    optimizer = torch.optim.Adam(task.network.parameters(), 3e-3)
    for step in range(60):
        optimizer.zero_grad()
        task.loss(batch_of(task, images[step % 2], 4, step), torch.Generator())["loss"].backward()
        optimizer.step()
    found = task.validate(task.network, images)
    assert found.metrics["psnr"] > first.metrics["psnr"] + 5 and set(found.metrics) == {"psnr", "psnr_x2", "psnr_x3.5"}
    path = tmp_path / "liif.safetensors"
    task.save(path, task.network, {"training": "{}", "licence": "MIT"})
    model = liif(str(path))
    assert model.info.trained_scales == (1.0, 4.0) and model.info.licence == "MIT"
    lr, gt = validation_pairs(images, 12, 2.0, whole=False)
    made = model.upscale(lr, (24, 24), [0, 0])
    assert mean_psnr(made, gt) == pytest.approx(found.metrics["psnr_x2"], abs=1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"queries": 145}, "at most the 144 pixels"),
        ({"scales": [4]}, "smallest and largest"),
        ({"scales": [4, 1]}, "smallest and largest"),
        ({"blocks": 0}, "at least 1"),
        ({"blokcs": 1}, "did you mean blocks"),
    ],
)
def test_impossible_settings_are_sentences(change, words):
    with pytest.raises(CasarbiError, match=words):
        liif_task(TINY | change)


def test_pictures_smaller_than_the_patches_are_left_out():
    assert liif_task({"whole": True}).least_side == 0
    assert liif_task({"validation_scales": [2.5, 6.03]}).least_side == 289  # of scale 6.03; items need 192
