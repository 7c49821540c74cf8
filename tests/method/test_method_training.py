"""The CasArbi task: stages, loss, file."""

from collections import Counter

import numpy as np
import pytest
import torch
from scenes import scene
from torch.utils.flop_counter import FlopCounterMode
from training_runs import learn

from baselines.liif.training import liif_task
from casarbi.checkpoints import read_checkpoint
from casarbi.errors import CasarbiError
from casarbi.method.costs import stage_cost
from casarbi.method.model import casarbi
from casarbi.method.residuals import ResidualConfig, stage_inputs
from casarbi.method.training import casarbi_task
from casarbi.pictures.pixels import to_uint8
from casarbi.pictures.resize import resize
from casarbi.sr import create_model
from casarbi.training.batches import Batches

TINY = {
    "items": {"lr_side": 8, "validation_scales": [3.0], "validation_batches": 1},
    "network": {"width": 8, "levels": [1, 2], "lr_blocks": 1, "hr_blocks": 1, "embedding": 8},
    "process": {"T": 2, "m": 0.2},
    "cascade": {"max_scale": 8.0, "p": 0.5},
}
IMAGES = [to_uint8(scene(64, 64, seed)) for seed in range(3)]


def test_stages_follow_equation_7():
    """Half of the batches at s_fix, inputs 8, 16 and 32 alike often, the rest spread between 1 and 2."""
    recipe = casarbi_task(TINY).recipe
    draws = [recipe.draw(np.random.default_rng(i)) for i in range(600)]
    inputs = Counter(small[0] for small, _, _ in draws)
    assert set(inputs) == {8, 16, 32} and min(inputs.values()) > 150
    scales = [scale for _, _, scale in draws]
    assert 250 < scales.count(2.0) < 350 and all(1 < scale <= 2 for scale in scales)
    assert all(large[0] == max(round(small[0] * scale), small[0] + 1) for small, large, scale in draws)


def test_items_are_the_stage_of_one_picture():
    task = casarbi_task(TINY)
    batch = Batches(IMAGES, task.recipe, 0, 3)[4]
    small, large = batch["lr"].shape[-1], batch["hr"].shape[-1]
    candidates = [view for image in IMAGES for view in (image, image.flip(-1))]
    assert any(torch.equal(batch["lr"][0], resize(view, (small, small))) for view in candidates)
    assert any(torch.equal(batch["hr"][0], resize(view, (large, large))) for view in candidates)
    assert batch["first"].shape == (3, 3, 8, 8)


def test_half_of_the_items_are_mirrored_unless_told_otherwise():
    (small, large, scale), image = ((16, 16), (32, 32), 2.0), IMAGES[0]
    for mirror, share in ((True, 100), (False, 0)):
        recipe = casarbi_task(TINY | {"items": TINY["items"] | {"mirror": mirror}}).recipe
        made = [recipe.item(image, (small, large, scale), np.random.default_rng(seed))["hr"] for seed in range(200)]
        mirrored = sum(torch.equal(item, resize(image.flip(-1), large)) for item in made)
        assert abs(mirrored - share) < 30 * bool(share) + 1


def test_patches_stay_inside():
    task = casarbi_task(TINY | {"items": TINY["items"] | {"whole": False}, "cascade": {"max_scale": 4.0}})
    batch = Batches([to_uint8(scene(33, 47))], task.recipe, 0, 8)[0]
    assert batch["first"].shape == (8, 3, 8, 8) and batch["hr"].shape[-1] <= 32
    assert task.least_side == 32 and casarbi_task(TINY).least_side == 0


def test_loss_depends_on_the_generator_alone():
    task = casarbi_task(TINY | {"items": TINY["items"] | {"noise": "ddpm_steps", "noise_amount": 3}})
    batch = Batches(IMAGES, task.recipe, 0, 3)[0]
    a, b, c = (task.loss(batch, torch.Generator().manual_seed(seed))["loss"].item() for seed in (0, 0, 1))
    assert a == b != c


def test_untrained_network_has_the_loss_of_the_mean_residual():
    """The network begins with a prediction of 0, so the loss is the mean size of x_0."""
    task = casarbi_task(TINY | {"residual": {"residual_gain": 4.0}})
    batch = Batches(IMAGES, task.recipe, 0, 3)[0]
    up = resize(batch["lr"].float() / 127.5 - 1, tuple(batch["hr"].shape[-2:]))
    expected = 4 * (batch["hr"].float() / 127.5 - 1 - up).abs().mean()
    assert task.loss(batch, torch.Generator())["loss"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_training_lowers_the_validation_loss_and_the_file_is_a_model(tmp_path):
    torch.manual_seed(0)
    task = casarbi_task(TINY)
    first = task.validate(task.network.eval(), IMAGES).metrics
    learn(task, IMAGES, 40)
    found = task.validate(task.network.eval(), IMAGES).metrics
    assert found["loss"] < 0.97 * first["loss"] and set(found) == {"loss", "psnr", "psnr_x3"}
    path = tmp_path / "casarbi.safetensors"
    task.save(path, task.network, {"training": "{}"})
    model = casarbi(str(path))
    assert model.upscale(torch.rand(1, 3, 8, 8), (24, 24), [0]).shape == (1, 3, 24, 24)
    assert model.config.process.T == 2 and read_checkpoint(path).metadata["training"] == "{}"


def test_the_file_says_which_liif_base_it_was_trained_on(tmp_path):
    base, other = (tmp_path / f"{name}.safetensors" for name in ("base", "other"))
    for path, blocks in ((base, 1), (other, 2)):
        tiny = liif_task({"blocks": blocks, "features": 8, "hidden": [8], "lr_side": 8, "queries": 16})
        tiny.save(path, tiny.network, {})
    task = casarbi_task(TINY | {"residual": {"residual_base": "liif_stage", "liif": f"liif:{base}"}})
    loss = task.loss(Batches(IMAGES, task.recipe, 0, 3)[0], torch.Generator())["loss"]
    assert loss.requires_grad and loss.item() > 0
    path = tmp_path / "casarbi.safetensors"
    task.save(path, task.network, {})
    assert not create_model(f"casarbi:{path}").info.warning
    assert "not the one" in create_model(f"casarbi:{path}?liif={other}").info.warning


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"items": {"noise": "resshift_steps", "noise_amount": 3}}, "the chain has 2 steps"),
        ({"items": {"lrside": 8}}, "did you mean lr_side"),
        ({"process": {"kapa": 2.0}}, "\\[settings.process\\] has no setting 'kapa'"),
        ({"itms": {}}, "has no setting 'itms'"),
    ],
)
def test_mistakes_in_settings_are_named(change, words):
    with pytest.raises(CasarbiError, match=words):
        casarbi_task(TINY | change)


def test_flops_are_those_that_a_run_counts():
    """Counted on hollow tensors, they equal the count of a real pass; a step at twice the side costs four times."""
    network = casarbi_task(TINY).network
    inputs = stage_inputs(torch.zeros(1, 3, 8, 8), (16, 16), 2.0, ResidualConfig())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(inputs.up, torch.tensor([1]), network.encode(inputs))
    cost = stage_cost(network.config, (8, 8), (16, 16))
    assert cost.flops(1) == counter.get_total_flops() > 0
    assert stage_cost(network.config, (16, 16), (32, 32)).step == pytest.approx(4 * cost.step, rel=0.01)
