import json
from dataclasses import replace

import pytest
import torch
from kim_toys import CONFIG, lightning, network, published_state, with_sampling
from scenes import scene

from baselines.ddpm import ddim
from baselines.kim.config import (
    PAPER_DIV2K,
    PAPER_FACE,
    DiffusionConfig,
    FirstStageConfig,
    KimSampling,
    UNetConfig,
)
from baselines.kim.costs import kim_cost
from baselines.kim.diffusion import alpha_bars, plan_steps
from baselines.kim.files import save_kim
from baselines.kim.losses import alignment_terms, first_stage_loss, noise_loss, scale_of
from baselines.kim.model import Kim, pad_to_multiple
from baselines.training_target import training_target
from casarbi.errors import CasarbiError
from casarbi.sampling import Noise, image_noise
from casarbi.sr import create_model
from casarbi.tiles import blend, cut_up

SIZES = [(21, 17), (28, 23), (64, 51), (7, 6)]


@pytest.fixture(scope="module")
def model() -> Kim:
    return Kim(network())


@pytest.fixture
def lr() -> torch.Tensor:
    return torch.stack([scene(7, 6, seed) for seed in range(3)])


def noise(images: torch.Tensor) -> Noise:
    """As `Kim.enlarge` draws it."""
    shape = (CONFIG.first_stage.latent, *CONFIG.latent_size((images.shape[-2], images.shape[-1])))
    return image_noise("kim", range(len(images)), shape)


def test_image_does_not_depend_on_its_batch(model, lr):
    together = model.upscale(lr, (28, 23), [5, 6, 7])
    for i in (2, 0, 1):
        assert torch.equal(together[i], model.upscale(lr[i : i + 1], (28, 23), [5 + i])[0])


def test_a_batch_at_once_is_the_same_but_for_rounding(lr, monkeypatch):
    """As on a GPU, up to rounding."""
    alone, shares = Kim(network()).upscale(lr, (28, 23), [5, 6, 7]), []
    monkeypatch.setattr(Kim, "images_at_once", 3)
    made = Kim(network())
    made.progress = shares.append
    torch.testing.assert_close(made.upscale(lr, (28, 23), [5, 6, 7]), alone, rtol=0, atol=1e-4)
    assert sum(shares) == pytest.approx(3)


def test_many_sizes_equal_each_alone_and_share_one_chain(model, lr, monkeypatch):
    alone = [model.upscale(lr, size, [0, 1, 2]) for size in SIZES]
    chains, latent = [], Kim.latent
    monkeypatch.setattr(Kim, "latent", lambda *args: chains.append(1) or latent(*args))
    for size, made, expected in zip(SIZES, model.upscale_many(lr, SIZES, [0, 1, 2]), alone, strict=True):
        assert made.shape == (3, 3, *size) and torch.equal(made, expected)
    assert len(chains) == len(lr)


def test_seed_decides_the_noise(model, lr):
    same_image = lr[:1].expand(3, -1, -1, -1)
    made = model.upscale(same_image, (28, 23), [3, 4, 3])
    assert torch.equal(made[0], made[2]) and not torch.equal(made[0], made[1])
    assert made.min() >= 0 and made.max() <= 1


@pytest.mark.parametrize("size", [(4, 4), (7, 6), (9, 4), (1, 3)])
def test_padding_leaves_the_sides_that_were_asked(model, size):
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    z = model.latent(image, noise(image))
    assert z.shape == (1, 2, 2 * size[0], 2 * size[1])
    assert model.upscale(image, (3 * size[0] + 1, 2 * size[1]), [0]).isfinite().all()


def test_transposed_image_has_its_own_shape(model):
    """Height and width are never exchanged."""
    image = scene(11, 6, 0)[None]
    assert model.upscale(image, (33, 18), [0]).shape == (1, 3, 33, 18)
    assert model.upscale(image.transpose(-1, -2), (18, 33), [0]).shape == (1, 3, 18, 33)


def test_published_side_is_one_tile_without_padding(model, monkeypatch):
    """An LR image of the side of training goes through the networks as published, whole."""
    seen = []
    image, unet = scene(4, 4, 0)[None], model.network.unet.forward
    monkeypatch.setattr(model.network.unet, "forward", lambda x, c, t: seen.append(x.shape) or unet(x, c, t))
    model.latent(image, noise(image))
    assert set(seen) == {(1, 2, 8, 8)} and len(seen) == model.evaluations(4.0) == 3


def test_denoiser_never_sees_more_than_a_tile(model, monkeypatch):
    seen = []
    unet = model.network.unet.forward
    monkeypatch.setattr(model.network.unet, "forward", lambda x, c, t: seen.append(x.shape) or unet(x, c, t))
    z = model.latent(scene(9, 5, 0)[None], noise(scene(9, 5, 0)[None]))
    assert set(seen) == {(1, 2, 8, 8)} and z.shape == (1, 2, 18, 10)


def test_tiles_of_a_pointwise_denoiser_leave_no_trace(model, monkeypatch):
    """Tiles are cut, told their conditions and blended at the right places: what a tile sees alone decides nothing."""
    network = model.network
    monkeypatch.setattr(network.unet, "forward", lambda x, c, t: 0.3 * x + c)
    monkeypatch.setattr(type(network), "condition", lambda self, lr, noise: upsampled(lr).mean(1, keepdim=True) + noise)
    image, whole = scene(21, 10, 0)[None], Kim(network, replace(CONFIG, tile=64))
    torch.testing.assert_close(model.latent(image, noise(image)), whole.latent(image, noise(image)), rtol=0, atol=1e-5)


def upsampled(lr: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.interpolate(lr, scale_factor=2, mode="nearest")


def test_padding_repeats_the_border():
    padded = pad_to_multiple(torch.arange(6.0).view(1, 1, 2, 3), 4)
    assert padded[0, 0].tolist() == [[0, 1, 2, 2], *[[3, 4, 5, 5]] * 3]


def test_output_above_the_index_limit_and_missing_seeds_are_refused(model, lr):
    with pytest.raises(CasarbiError, match="3 channels of that size are 2.31 values"):
        model.upscale(lr, (30000, 30000), [0] * 3)
    with pytest.raises(CasarbiError, match="1 seeds for 3 images"):
        model.upscale(lr, (8, 8), [0])


@pytest.mark.parametrize("chunk", [4, 50])
def test_chunks_do_not_change_the_result(model, lr, chunk):
    made = Kim(model.network, chunk=chunk).upscale(lr, (16, 13), [0, 1, 2])
    torch.testing.assert_close(made, model.upscale(lr, (16, 13), [0, 1, 2]), rtol=0, atol=2e-6)


@pytest.fixture
def official(tmp_path):
    torch.save(lightning(published_state(network())), tmp_path / "last.ckpt")
    return f"kim:{tmp_path / 'last.ckpt'}?lr_side=4&hr_side=16&steps=4"


def opened(reference: str) -> Kim:
    """As `create_model` does, whether or not this checkout's entry points are installed."""
    return create_model(reference.replace("kim:", "baselines.kim.model:kim:", 1))


def test_published_file_by_reference(official, model, lr):
    made = opened(official)
    assert torch.equal(made.upscale(lr, (28, 23), [0, 1, 2]), model.upscale(lr, (28, 23), [0, 1, 2]))
    info = made.info
    assert info.stochastic and info.parameters == sum(p.numel() for p in model.network.parameters())
    assert info.trained_scales == (1.0, 4.0) and "raw weights" in info.weights and "SHA-256" in info.weights


def test_own_file_by_reference(tmp_path, model, lr):
    path = tmp_path / "w.safetensors"
    save_kim(path, model.network, {"licence": "MIT", "source": "a test"})
    made = opened(f"kim:{path}")
    assert torch.equal(made.upscale(lr, (28, 23), [0, 1, 2]), model.upscale(lr, (28, 23), [0, 1, 2]))
    assert (made.info.licence, made.info.source) == ("MIT", "a test")


OPTIONS = ("steps=5", "eta=0", "ema=true", "drop_noisiest=0", "last_noise=no", "last_alpha=one", "posterior=mean")
OPTIONS += ("tile=16", "overlap=3", "hr_side=32")


def test_every_option_that_changes_a_result_is_in_the_identity(official):
    base = official.removesuffix("&steps=4")
    identities = [opened(base + text).identity for text in ("", *(f"&{option}" for option in OPTIONS))]
    assert len({json.dumps(identity) for identity in identities}) == len(OPTIONS) + 1
    assert opened(f"{base}&chunk=64").identity == identities[0]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_the_result(official, option):
    image = scene(9, 9, 0)[None]
    plain, changed = (opened(official + text) for text in ("", f"&{option}"))
    assert not torch.equal(plain.upscale(image, (20, 20), [0]), changed.upscale(image, (20, 20), [0]))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("eta=2", "eta=2.0 must be from 0"),
        ("last_alpha=two", "last_alpha = 'two' is unknown: known: first, one"),
        ("posterior=none", "posterior = 'none' is unknown: known: mean, sample"),
        ("tile=5", "Tiles of 5 latent cells.*tile must be a multiple of 2"),
        ("overlap=7", "share 7 cannot be.*overlap at most half"),
        ("chunk=1", "chunk=1 must be at least 4"),
        ("step=3", "no option 'step'.*did you mean steps"),
    ],
)
def test_wrong_options_are_refused(official, option, words):
    with pytest.raises(CasarbiError, match=words):
        opened(f"{official}&{option}")


@pytest.mark.parametrize(("steps", "nearest"), [(0, 2), (1, 2), (1001, 1000)])
def test_steps_that_give_no_chain_are_refused(steps, nearest):
    with pytest.raises(CasarbiError, match=f"steps={steps} gives no chain within 1000 steps.*: steps={nearest} does"):
        plan_steps(DiffusionConfig(), KimSampling(steps=steps))


@pytest.mark.parametrize(("steps", "calls", "first"), [(200, 199, 991), (4, 3, 501), (7, 7, 853), (1000, 999, 999)])
def test_noisiest_step_is_dropped_as_published(steps, calls, first):
    plan = plan_steps(DiffusionConfig(), KimSampling(steps=steps))
    assert (len(plan), plan[0].t, plan[-1].t) == (calls, first, 1)


def test_kept_noisiest_step_must_exist():
    whole = KimSampling(steps=200, drop_noisiest=False)
    assert plan_steps(DiffusionConfig(), whole)[0].t == 996
    with pytest.raises(CasarbiError, match="gives no chain"):
        plan_steps(DiffusionConfig(), replace(whole, steps=3))


def test_start_is_the_lrs_latent_with_the_first_steps_noise():
    """In one tile and in several, whose conditions are joined; no noisier state is ever asked for."""
    sampling = KimSampling(steps=4, drop_noisiest=False, start=400)
    for side in (CONFIG.lr_side, CONFIG.lr_side + 3):
        made, image = Kim(network(), replace(CONFIG, sampling=sampling)), scene(side, side, 0)[None]
        assert [step.t for step in made.steps] == [301, 201, 101, 1]
        states: list[torch.Tensor] = []
        made.network.unet.register_forward_hook(lambda module, inputs, output, seen=states: seen.append(inputs[0]))
        made.latent(image, noise(image))
        draw, a = noise(image), made.steps[0].alpha_bar
        padded = pad_to_multiple(image, CONFIG.multiple // CONFIG.cells)
        shape = (1, CONFIG.first_stage.latent, *(length * CONFIG.cells for length in padded.shape[-2:]))
        tiles = cut_up(shape[-2:], CONFIG.tile_side, CONFIG.shared, CONFIG.multiple)
        posterior = draw()
        conditions = [made.network.condition(t.cut(padded, CONFIG.cells), t.cut(posterior)) for t in tiles]
        whole = blend(tiles, shape[-2:], conditions.__getitem__)
        expected = a**0.5 * whole + (1 - a) ** 0.5 * draw()
        assert (len(tiles) > 1) == (side > CONFIG.lr_side)
        torch.testing.assert_close(states[0], tiles[0].cut(expected), rtol=0, atol=1e-5)


def test_start_that_is_no_step_is_refused():
    with pytest.raises(CasarbiError, match="start=1001 is no step of 1000"):
        plan_steps(DiffusionConfig(), KimSampling(start=1001))


def test_perfect_denoiser_leaves_only_the_last_noise():
    """With the true noise as prediction the chain ends at the latent itself, but for what official code adds."""
    config, expected = DiffusionConfig(), torch.rand(1, 2, 3, 3)
    table = alpha_bars(config)

    def predict(x, step):
        return (x - table[step.t].sqrt() * expected) / (1 - table[step.t]).sqrt()

    x, ones = torch.randn(1, 2, 3, 3), torch.ones(1, 2, 3, 3)
    exact = plan_steps(config, KimSampling(steps=10, last_alpha="one", last_noise=False))
    torch.testing.assert_close(ddim(x, predict, exact, lambda: torch.randn_like(x)), expected, rtol=0, atol=1e-5)
    noisy = ddim(x, predict, plan_steps(config, KimSampling(10)), lambda: ones)
    assert 0.005 < (noisy - expected).abs().mean() < 0.05


def test_losses_reach_the_parts_that_they_train():
    net, hr = network().requires_grad_(True), torch.rand(2, 3, 16, 16) * 2 - 1
    first_stage_loss(net.first_stage, hr, training_target(hr, (11, 11)), torch.randn(2, 2, 8, 8)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.first_stage.parameters())
    net.first_stage.requires_grad_(False)
    with torch.no_grad():
        z, condition = net.latent(hr), net.condition(hr[..., ::4, ::4])
    t, table = torch.tensor([3, 700]), alpha_bars(CONFIG.diffusion)
    arguments = (z, condition, hr, t, torch.randn_like(z), table)
    loss = noise_loss(net.unet, z, condition, t, torch.randn_like(z), table) + sum(alignment_terms(net, *arguments))
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.unet.parameters())


def test_weighting_an_image_by_its_own_step_is_another_loss():
    net, hr = network(), torch.rand(2, 3, 16, 16)
    z, condition, noise = net.latent(hr), net.condition(hr[..., ::4, ::4]), torch.randn(2, 2, 8, 8)
    table, t = alpha_bars(CONFIG.diffusion), torch.tensor([3, 700])
    pooled, own = (
        alignment_terms(net, z, condition, hr, t, noise, table, per_image=per_image) for per_image in (False, True)
    )
    one = [alignment_terms(net, *(value[i : i + 1] for value in (z, condition, hr, t, noise)), table) for i in range(2)]
    for term in range(2):
        torch.testing.assert_close(own[term], (one[0][term] + one[1][term]) / 2)
        assert not torch.allclose(pooled[term], own[term])


def test_scale_brings_latents_to_deviation_1():
    latents = 3 * torch.randn(4, 2, 8, 8)
    assert (latents * scale_of(latents)).std().item() == pytest.approx(1)


@pytest.mark.parametrize(("config", "step", "convolutions"), [(PAPER_FACE, 81.7, 144.3), (PAPER_DIV2K, 45.2, 334.7)])
def test_costs_are_the_published_ones(config, step, convolutions):
    """docs/kim.md §10, in GFLOP; the implicit function comes on top, at most as dear as its published order."""
    sides = (config.lr_side,) * 2, (config.hr_side,) * 2
    cost = kim_cost(config, *sides)
    assert cost.step / 1e9 == pytest.approx(step, abs=0.06)
    assert 0 < cost.once / 1e9 - convolutions < 1.85e-3 * config.hr_side**2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: FirstStageConfig(channels=100), "channels that are a multiple of groups.*channels = 100, groups = 32"),
        (lambda: FirstStageConfig(hidden=()), "hidden of at least 1"),
        (lambda: UNetConfig(head_channels=48), "widths that head_channels = 48 divides"),
        (lambda: DiffusionConfig(linear_start=0.0), "0 < linear_start"),
        (lambda: replace(PAPER_FACE, hr_side=32), "never covers more than an LR pixel"),
        (lambda: replace(PAPER_FACE, lr_side=15, hr_side=120), "must be a multiple of 8"),
        (lambda: replace(PAPER_FACE, sizes=(9, 3)), "smallest and largest"),
        (lambda: with_sampling(eta=-1.0), "eta=-1.0"),
    ],
)
def test_impossible_configurations_are_refused(wrong, words):
    with pytest.raises(CasarbiError, match=words):
        wrong()
