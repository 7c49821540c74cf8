"""The IDM task: sizes, targets, loss, validation and files."""

import dataclasses

import numpy as np
import pytest
import torch
from scenes import scene
from training_runs import learn

from baselines.idm.diffusion import ScheduleConfig
from baselines.idm.model import idm
from baselines.idm.network import IDMNetwork
from baselines.idm.training import idm_task
from baselines.training_target import training_target
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.pictures.resize import resize
from casarbi.training.batches import Batches
from casarbi.training.validation import mean_psnr, validation_pairs

TINY = {
    "max_scale": 4.0,
    "training": {"lr_side": 8, "target": "antialiased", "orthogonal": False, "validation_scales": [2.0, 3.5]},
    "network": {
        **{"channels": [8, 8, 16], "blocks": 1, "attention": [2], "groups": 4, "hidden": 8},
        **{"encoder_blocks": 1, "encoder_features": 8, "dropout": 0.0},
    },
    "schedule": {"T": 100, "start": 1e-4, "end": 0.1},
    "sampling": {"steps": 4},
}
IMAGES = [to_uint8(scene(48, 48, seed)) for seed in range(3)]


def changed(**training):
    return TINY | {"training": TINY["training"] | training}


def test_sizes_are_uniform_from_the_lr_side_up():
    recipe = idm_task(TINY).recipe
    drawn = [recipe.draw(np.random.default_rng(i)) for i in range(400)]
    assert 0 <= min(drawn) < 0.02 and 0.98 < max(drawn) < 1 and np.mean(drawn) == pytest.approx(0.5, abs=0.05)
    for p in drawn[:20]:
        item = recipe.item(IMAGES[0], p, np.random.default_rng(0))
        assert item["hr"].shape == (3, int(item["side"]), int(item["side"])) and item["side"] == round(8 + 24 * p)
        assert item["lr"].shape == (3, 8, 8) and item["p"] == pytest.approx(p)


def test_items_are_one_picture_mirrored_or_not():
    batch = Batches(IMAGES, idm_task(TINY).recipe, 0, 3)[5]
    side = int(batch["side"][0])
    views = [view for image in IMAGES for view in (image, image.flip(-1))]
    for lr, hr in zip(batch["lr"], batch["hr"], strict=True):
        assert any(torch.equal(lr, resize(v, (8, 8))) and torch.equal(hr, resize(v, (side, side))) for v in views)


def test_the_published_target_is_reduced_in_the_loss_and_aliases():
    """The same noise and network, and the error of a target that was reduced without antialiasing."""
    torch.manual_seed(0)
    task = idm_task(changed(target="published"))
    batch = Batches(IMAGES, task.recipe, 0, 3)[5]
    side = int(batch["side"][0])
    assert batch["hr"].shape[-1] == 32 > side
    reduced = training_target(from_uint8(batch["hr"]) * 2 - 1, (side, side))
    seen = []
    task.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    task.loss(batch, torch.Generator().manual_seed(0))
    lr, x, level, p = seen[0]
    generator = torch.Generator().manual_seed(0)
    torch.randint(100, (1,), generator=generator), torch.rand(3, generator=generator)
    noise = torch.randn(reduced.shape, generator=generator)
    level = level.view(-1, 1, 1, 1)
    assert torch.allclose(x, level * reduced + (1 - level.square()).sqrt() * noise, atol=1e-5)
    assert p == pytest.approx((side - 8) / 24, abs=0.02) and lr.shape == (3, 3, 8, 8)


def test_patches_stay_inside():
    task = idm_task(changed(whole=False))
    batch = Batches([to_uint8(scene(33, 47))], task.recipe, 0, 8)[0]
    assert batch["lr"].shape == (8, 3, 8, 8) and task.least_side == 32 and idm_task(TINY).least_side == 0


def test_a_step_for_each_image_spreads_the_levels():
    spreads = []
    for shared in (True, False):
        task, seen = idm_task(changed(shared_step=shared)), []
        task.network.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[2]))
        task.loss(Batches(IMAGES, task.recipe, 0, 8)[0], torch.Generator().manual_seed(3))
        spreads.append((seen[0].max() - seen[0].min()).item())
    assert spreads[0] < 0.06 < 0.3 < spreads[1]


def test_training_lowers_the_validation_loss_and_the_file_is_a_model(tmp_path):
    torch.manual_seed(0)
    task = idm_task(TINY)
    first = task.validate(task.network.eval(), IMAGES).metrics
    learn(task, IMAGES, 40)
    found = task.validate(task.network.eval(), IMAGES).metrics
    assert found["loss"] < 0.9 * first["loss"] and set(found) == {"loss", "psnr", "psnr_x2", "psnr_x3.5"}
    path = tmp_path / "idm.safetensors"
    task.save(path, task.network, {"training": "{}", "licence": "MIT"})
    model = idm(str(path))
    assert model.info.trained_scales == (1.0, 4.0) and model.info.licence == "MIT" and len(model.steps) == 4
    lr, gt = validation_pairs(IMAGES, 8, 2.0, whole=True)
    assert mean_psnr(model.upscale(lr, (16, 16), [0, 1, 2]), gt) == pytest.approx(found["psnr_x2"], abs=1e-3)


def test_training_goes_on_from_an_official_file(tmp_path, monkeypatch):
    """Whose never-used parameters and schedule are no part of what is trained."""
    task = idm_task(TINY | {"network": TINY["network"] | {"blocks": 2}})
    layout = dataclasses.replace(task.config.network, unused=True)
    monkeypatch.setattr("baselines.idm.files.PUBLISHED", layout)
    official = IDMNetwork(layout).state_dict()
    torch.save(task.config.schedule.buffers() | official, tmp_path / "face_gen.pth")
    task.load(tmp_path / "face_gen.pth")
    assert all(torch.equal(tensor, official[key]) for key, tensor in task.network.state_dict().items())
    torch.save(ScheduleConfig().buffers() | official, tmp_path / "other_gen.pth")
    with pytest.raises(CasarbiError, match="was trained with ScheduleConfig"):
        task.load(tmp_path / "other_gen.pth")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (changed(target="sharp"), "antialiased or published"),
        (changed(lr_side=0), "at least 1"),
        (changed(lrside=8), "did you mean lr_side"),
        (changed(validation_scales=[float("nan")]), "numbers above 0"),
        (TINY | {"max_scale": 1.0}, "above 1"),
        (TINY | {"sampling": {"steps": 5000}}, "steps=5000 must be from 1 to the 100"),
        (TINY | {"netwrok": {}}, "netwrok"),
    ],
)
def test_mistakes_in_settings_are_named(settings, words):
    with pytest.raises(CasarbiError, match=words):
        idm_task(settings)
