"""Kim's training tasks: first stage, denoiser and alignment; items, losses, validation and files."""

import dataclasses

import numpy as np
import pytest
import torch
from kim_toys import CONFIG, network, published_state
from scenes import scene
from training_runs import learn

from baselines.kim.files import load_first_stage, save_kim
from baselines.kim.first_stage_training import first_stage_task
from baselines.kim.losses import first_stage_loss
from baselines.kim.model import kim
from baselines.kim.training import kim_task
from baselines.training_target import training_target
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.pictures.resize import resize
from casarbi.settings import as_json
from casarbi.training.batches import Batches
from casarbi.training.presets import Preset, load_preset
from casarbi.training.progress import SilentReporter
from casarbi.training.run import Workspace
from casarbi.training.session import Start, train
from casarbi.training.validation import mean_psnr, validation_pairs

TINY = as_json(CONFIG)
IMAGES = [to_uint8(scene(24, 24, seed)) for seed in range(3)]


def first_stage(**training):
    sides = {"hr_side": 16, "sizes": [4, 16], "validation_sides": [8, 16]}
    return first_stage_task({"first_stage": TINY["first_stage"], "training": sides | training})


def denoiser(**training):
    return kim_task(TINY | {"training": {"validation_scales": [2.0, 4.0], "validation_batches": 1} | training})


@pytest.fixture
def first_stage_file(tmp_path):
    torch.manual_seed(0)
    task = first_stage(target="antialiased")
    learn(task, IMAGES, 5)
    path = tmp_path / "first.safetensors"
    task.save(path, task.network, {})
    return path


def test_first_stage_items_are_one_picture_at_two_sizes():
    recipe = first_stage(target="antialiased").recipe
    sides = {recipe.draw(np.random.default_rng(i)) for i in range(300)}
    assert sides == set(range(4, 16))  # 16, the largest, is never drawn
    batch = Batches(IMAGES, recipe, 0, 3)[2]
    side = batch["target"].shape[-1]
    for hr, target in zip(batch["hr"], batch["target"], strict=True):
        pairs = [(resize(image, (16, 16)), resize(image, (side, side))) for image in IMAGES]
        assert any(torch.equal(hr, a) and torch.equal(target, b) for a, b in pairs)
    mirrored = first_stage(mirror=True).recipe
    made = [mirrored.item(IMAGES[0], 8, np.random.default_rng(i))["hr"] for i in range(20)]
    assert 0 < sum(torch.equal(image, resize(IMAGES[0], (16, 16))) for image in made) < 20


def test_first_stage_patches_stay_inside():
    task = first_stage(whole=False)
    batch = Batches([to_uint8(scene(17, 30))], task.recipe, 0, 8)[0]
    assert batch["hr"].shape == (8, 3, 16, 16) and task.least_side == 16 and first_stage().least_side == 0


def test_some_pixels_give_the_loss_of_all_on_average():
    """All pixels as scattered queries are the whole picture; few of them estimate it."""
    torch.manual_seed(0)
    net, hr = network().first_stage, torch.rand(2, 3, 16, 16) * 2 - 1
    target = training_target(hr, (11, 11))
    with torch.no_grad():
        whole = first_stage_loss(net, hr, target, None).item()
        order = torch.randperm(121)
        assert first_stage_loss(net, hr, target, None, order).item() == pytest.approx(whole, rel=1e-5)
        parts = [first_stage_loss(net, hr, target, None, part).item() * len(part) for part in order.split(20)]
    assert sum(parts) / 121 == pytest.approx(whole, rel=1e-5)


def test_queries_bound_what_the_loss_sees():
    seen = []
    task = first_stage(queries=10, target="antialiased")
    task.network.decoder.inr.imnet.layers[-1].register_forward_hook(lambda _, __, output: seen.append(output.shape))
    task.loss(Batches(IMAGES, task.recipe, 0, 3)[2], torch.Generator())
    assert {shape[:-1].numel() for shape in seen} == {30}


def test_training_the_first_stage_beats_its_beginning(tmp_path):
    torch.manual_seed(0)
    task = first_stage(target="antialiased", queries=64)
    before = task.validate(task.network.eval(), IMAGES).metrics
    learn(task, IMAGES, 60)
    with torch.no_grad():
        found = task.validate(task.network.eval(), IMAGES)
    assert found.metrics["psnr"] > before["psnr"] + 3 and set(found.metrics) == {"psnr", "psnr_8", "psnr_16"}
    assert [image.shape[-1] for image in found.sheet.rows[0]] == [16, 16, 16]
    path = tmp_path / "first.safetensors"
    task.save(path, task.network, {})
    loaded = load_first_stage(path)
    assert equal(loaded, task.network)


def test_denoiser_takes_the_first_stage_and_scales_its_latents(first_stage_file):
    task = denoiser(first_stage=str(first_stage_file))
    batches = Batches(IMAGES, task.recipe, 0, 3)
    batch = batches[0]
    assert task.network.scale_factor.isnan()
    task.begin(lambda: batches[0])
    net, given = task.network, load_first_stage(first_stage_file)
    assert equal(net.first_stage, given)
    latent = net.latent(from_uint8(batch["hr"]) * 2 - 1, torch.randn(3, 2, 8, 8))
    assert latent.std().item() == pytest.approx(1, abs=0.1)
    assert not any(p.requires_grad for p in net.first_stage.parameters())
    assert all(p.requires_grad for p in net.unet.parameters())


def test_a_whole_model_keeps_its_first_stage(first_stage_file, tmp_path):
    save_kim(tmp_path / "whole.safetensors", network(), {})
    task = denoiser(first_stage=str(first_stage_file))
    task.load(tmp_path / "whole.safetensors")
    task.begin(lambda: Batches(IMAGES, task.recipe, 0, 3)[0])
    assert equal(task.network, network()) and task.network.scale_factor.item() == pytest.approx(0.8)


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_training_lowers_the_validation_loss_and_the_file_is_a_model(first_stage_file, tmp_path):
    torch.manual_seed(0)
    task = denoiser(first_stage=str(first_stage_file))
    task.begin(lambda: Batches(IMAGES, task.recipe, 0, 3)[0])
    with torch.no_grad():
        first = task.validate(task.network.eval(), IMAGES).metrics
    learn(task, IMAGES, 40)
    with torch.no_grad():
        found = task.validate(task.network.eval(), IMAGES).metrics
    assert found["loss"] < 0.9 * first["loss"] and set(found) == {"loss", "psnr", "psnr_x2", "psnr_x4"}
    path = tmp_path / "kim.safetensors"
    task.save(path, task.network, {"training": "{}", "licence": "MIT"})
    model = kim(str(path))
    assert model.info.licence == "MIT" and model.config == dataclasses.replace(CONFIG)
    lr, gt = validation_pairs(IMAGES, 4, 2.0, whole=True)
    made = model.upscale(lr, (8, 8), [0, 1, 2])
    assert mean_psnr(made, gt) == pytest.approx(found["psnr_x2"], abs=1e-3)


def toy_preset(**training) -> Preset:
    preset = load_preset("mini-kim-face", ["run.iterations=4", "run.batch=2"])
    data = dataclasses.replace(preset.data, train="training_toys:scenes", validation="", held_out=1, side=0)
    settings = TINY | {"training": {"validation_scales": [2.0], "validation_batches": 1} | training}
    return dataclasses.replace(preset, data=data, settings=settings)


def run(preset, folder, steps=None, **start):
    run_settings = dataclasses.replace(preset.run, snapshot_every=2)
    place = Workspace(folder, workers=0, minutes=None if steps is None else 0.0, tensorboard=False)
    return train(dataclasses.replace(preset, run=run_settings), place, Start(device="cpu", **start), SilentReporter())


def test_a_resumed_run_needs_no_first_stage_and_alignment_fine_tunes_the_denoiser_alone(first_stage_file, tmp_path):
    preset = toy_preset(first_stage=str(first_stage_file))
    assert run(preset, tmp_path / "whole").weights
    stopped = run(preset, tmp_path / "parts", steps=0)
    assert stopped.weights is None and 0 < stopped.step < 4
    first_stage_file.unlink()
    made = run(preset, tmp_path / "parts", resume=True).weights
    whole = kim(str(tmp_path / "whole" / "mini-kim-face.safetensors")).network.state_dict()
    resumed = kim(str(made)).network.state_dict()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)

    aligned = run(toy_preset(loss="alignment"), tmp_path / "aligned", weights=made).weights
    after = kim(str(aligned)).network.state_dict()
    changed = {key.split(".")[0] for key in after if not torch.equal(after[key], resumed[key])}
    assert changed == {"model"}


def test_alignment_begins_from_a_checkpoint_of_the_published_code(tmp_path):
    made, path, task = network(), tmp_path / "last.ckpt", denoiser(loss="alignment")
    torch.save({"state_dict": published_state(made)}, path)
    task.load(path)
    assert equal(task.network, made)
    other = kim_task(TINY | {"diffusion": TINY["diffusion"] | {"linear_end": 0.01}})
    with pytest.raises(CasarbiError, match="was trained with Diffusion"):
        other.load(path)


def test_a_first_stage_begins_from_that_of_a_whole_model(first_stage_file, tmp_path):
    made, task = network(), first_stage()
    save_kim(tmp_path / "kim.safetensors", made, {})
    task.load(tmp_path / "kim.safetensors")
    assert equal(task.network, made.first_stage)
    task.load(first_stage_file)  # and from one of its own
    assert equal(task.network, load_first_stage(first_stage_file))
    other = first_stage_task({"first_stage": TINY["first_stage"] | {"latent": 3}})
    with pytest.raises(CasarbiError, match=r"kim\.safetensors does not fit"):
        other.load(tmp_path / "kim.safetensors")


def test_alignment_reports_both_terms(tmp_path):
    path = tmp_path / "kim.safetensors"
    save_kim(path, network(), {})
    task = denoiser(loss="alignment")
    task.network.load_state_dict(kim(str(path)).network.state_dict())
    batches = Batches(IMAGES, task.recipe, 0, 3)
    batch = batches[0]
    task.begin(lambda: batches[0])
    assert task.network.scale_factor.item() == pytest.approx(0.8)  # that of the model, not of this batch
    losses = task.loss(batch, torch.Generator().manual_seed(0))
    assert losses["loss"].item() == pytest.approx(losses["latent"].item() + losses["image"].item(), rel=1e-6)
    losses["loss"].backward()
    assert all(p.grad is not None for p in task.network.unet.parameters())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: denoiser(loss="l1"), "noise or alignment"),
        (lambda: denoiser(validation_scales=[]), "validation_scales"),
        (lambda: denoiser(validation_scales=[-1.0]), "numbers above 0"),
        (lambda: kim_task(TINY | {"sampling": {"steps": 0}}), "steps=0 gives no chain"),
        (lambda: kim_task(TINY | {"sampling": {"start": 5000}}), "start=5000 is no step"),
        (lambda: first_stage(hr_side=15), "multiple of 2"),
        (lambda: first_stage_task({"unet": {}}), "no setting unet"),
        (lambda: first_stage(target="sharp"), "antialiased or published"),
        (lambda: first_stage(queries=-1), "queries"),
        (lambda: first_stage(querys=1), "did you mean queries"),
        (lambda: denoiser().begin(dict), "first stage, and none was given: train one"),
        (lambda: denoiser(first_stage="no.safetensors").begin(dict), "no.safetensors is no file"),
        (lambda: denoiser(loss="alignment").begin(dict), "--init FILE"),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(CasarbiError, match=words):
        make()


def test_a_first_stage_of_another_layout_is_refused(first_stage_file):
    other = dataclasses.replace(CONFIG, first_stage=dataclasses.replace(CONFIG.first_stage, hidden=(8, 8, 8)))
    task = kim_task(as_json(other) | {"training": {"first_stage": str(first_stage_file)}})
    with pytest.raises(CasarbiError, match=r"hidden=\(8, 8\).*expected.*hidden=\(8, 8, 8\)"):
        task.begin(dict)
