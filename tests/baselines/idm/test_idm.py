"""IDM behind the common interface, with a tiny network; figures of the published code are in test_idm_golden.py."""

import json
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from baselines.ddpm import ddim
from baselines.idm.config import IDMConfig, IDMSampling
from baselines.idm.costs import idm_cost
from baselines.idm.diffusion import (
    ScheduleConfig,
    draw_levels,
    noise_to_level,
    published_ddim_chain,
    spaced_chain,
    whole_chain,
)
from baselines.idm.layers import activate
from baselines.idm.model import IDM, plan_steps
from baselines.idm.network import PUBLISHED, IDMNetwork, NetworkConfig, orthogonal_start, used_parameters
from baselines.idm.scale import p_at_one, scale_number, training_side
from baselines.idm.upsampling import ImplicitUpsampling
from baselines.liif.grid import centres, nearest
from casarbi.errors import CasarbiError
from casarbi.pictures.resize import resize
from casarbi.sr import image_seed

TINY = NetworkConfig(
    channels=(4, 8, 8, 8, 8),
    blocks=2,
    groups=2,
    hidden=6,
    encoder_blocks=1,
    encoder_features=4,
    dropout=0.5,
)
CONFIG = IDMConfig(TINY, sampling=IDMSampling(steps=3))
ABAR = CONFIG.schedule.alpha_bar
SIZES = [(43, 35), (54, 43), (80, 64), (13, 4)]


def network(**changes) -> IDMNetwork:
    torch.manual_seed(0)
    return IDMNetwork(replace(TINY, **changes))


def model(sampling: IDMSampling = CONFIG.sampling, **options) -> IDM:
    return IDM(network(), replace(CONFIG, sampling=sampling), **options)


@pytest.fixture
def lr() -> torch.Tensor:
    return torch.rand(3, 3, 10, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sampler", ["ancestral", "ddim"])
def test_image_does_not_depend_on_its_batch(lr, sampler):
    made = model(IDMSampling(sampler, steps=3))
    together = made.upscale(lr, (43, 35), [5, 6, 7])
    assert together.min() >= 0 and together.max() <= 1 and together.std() > 0.01
    for i in (2, 0, 1):
        assert torch.equal(together[i], made.upscale(lr[i : i + 1], (43, 35), [5 + i])[0])


def test_many_sizes_equal_each_alone(lr):
    for size, made in zip(SIZES, model().upscale_many(lr, SIZES, [0, 1, 2]), strict=True):
        assert made.shape == (3, 3, *size)
        assert torch.equal(made, model().upscale(lr, size, [0, 1, 2]))


def test_seed_decides_the_noise(lr):
    same, other = (model().upscale(lr[:1], (24, 20), [seed]) for seed in (1, 2))
    assert torch.equal(same, model().upscale(lr[:1], (24, 20), [1])) and not torch.equal(same, other)
    with pytest.raises(CasarbiError, match="2 seeds for 3 images"):
        model().upscale(lr, (24, 20), [1, 2])


def test_dropout_is_off_and_the_memory_layout_does_not_count(lr):
    strided = lr.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.equal(model().upscale(lr, (24, 20), [0] * 3), model().upscale(strided, (24, 20), [0] * 3))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 7), (17, 31), (86, 57)])
def test_any_size_is_made(size):
    """Also pictures that are not square, which the published network refuses, down to a single pixel."""
    image = torch.rand(1, 3, 3, 5)
    assert model().upscale(image, size, [0]).shape == (1, 3, *size)


def test_a_batch_at_once_is_the_same_but_for_rounding(lr, monkeypatch):
    """As on a GPU, up to rounding."""
    alone, shares = model().upscale(lr, (43, 35), [5, 6, 7]), []
    monkeypatch.setattr(IDM, "images_at_once", 3)
    made = model()
    made.progress = shares.append
    torch.testing.assert_close(made.upscale(lr, (43, 35), [5, 6, 7]), alone, rtol=0, atol=1e-4)
    assert sum(shares) == pytest.approx(3)


@pytest.mark.parametrize("cell_decode", [False, True])
@pytest.mark.parametrize(
    ("source", "size"), [((6, 5), (11, 10)), ((3, 8), (6, 15)), ((1, 2), (1, 3)), ((2, 1), (3, 1))]
)
def test_upsampling_is_the_published_query_of_every_pixel(cell_decode, source, size):
    """The product at low resolution against the implicit function asked pixel by pixel, the odd cells included."""
    torch.manual_seed(1)
    block = ImplicitUpsampling(4, 6, cell_decode, unused=False).requires_grad_(False)
    block.style.activate.bias.normal_()
    x, shift, a, b = torch.randn(2, 4, *source), torch.randn(2, 4, *source), torch.randn(4), torch.randn(4)
    n = 1 / (a**2 + b**2 + 1e-8).sqrt()
    h = activate((a * n)[:, None, None] * x + (b * n)[:, None, None] * shift + block.style.activate.bias[:, None, None])
    found = block(x, block.prepare(a, b, shift, size))
    for query in range(size[0] * size[1]):
        place = divmod(query, size[1])
        at = [nearest(centres(m), n, 0)[i] for m, n, i in zip(size, source, place, strict=True)]
        offset = [(centres(m)[i] - centres(n)[j]) * n for m, n, i, j in zip(size, source, place, at, strict=True)]
        cell = (2 / size[query] if query < 2 else 1) * torch.tensor(source, dtype=torch.float32)
        extra = torch.cat((torch.stack(offset), cell if cell_decode else cell[:0])).expand(2, -1)
        expected = block.imnet(torch.cat((h[:, :, at[0], at[1]], extra), dim=1))
        torch.testing.assert_close(found[:, :, place[0], place[1]], expected, rtol=1e-4, atol=1e-5)


def test_condition_of_a_batch_is_that_of_its_images(lr):
    net = network().eval().requires_grad_(False)
    x, level = torch.randn(3, 3, 21, 17), torch.tensor([0.9, 0.5, 0.1])
    together = net(lr, x, level, 0.3)
    for i in range(3):
        alone = net(lr[i : i + 1], x[i : i + 1], level[i : i + 1], 0.3)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


def test_every_parameter_is_trained_but_the_never_used_ones(lr):
    net = network(unused=True)
    net(lr, torch.randn(3, 3, 32, 32), torch.rand(3), 0.7).square().sum().backward()
    idle = {name for name, parameter in net.named_parameters() if parameter.grad is None}
    lean = network()
    assert idle == set(net.state_dict()) - set(lean.state_dict())
    assert used_parameters(net) == used_parameters(lean) == sum(p.numel() for p in lean.parameters())


def test_published_start():
    net = network(unused=True)
    kept = net.denoise_fn.ups[3].style.modulated_conv.weight.clone()
    orthogonal_start(net)
    weight = net.denoise_fn.mid[0].attn.out.weight[:, :, 0, 0]
    torch.testing.assert_close(weight @ weight.T, torch.eye(8), rtol=0, atol=1e-5)
    assert (
        net.denoise_fn.condition_scale1["4"].bias.eq(0).all()
        and net.denoise_fn.condition_shift["4"][0].bias.eq(0).all()
    )
    assert torch.equal(net.denoise_fn.ups[3].style.modulated_conv.weight, kept)
    assert network().denoise_fn.condition_scale1["4"].bias.eq(1).all()


def test_costs():
    """docs/idm.md §9 has 84.8 GFLOP; asking the implicit functions at low resolution saves 7.7 of them."""
    cost = idm_cost(PUBLISHED, (16, 16), (128, 128))
    assert cost.parameters == 99_801_670 and cost.step / 1e9 == pytest.approx(77.1, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": (4, 6, 8)}, "multiples of its groups=4"),
        ({"channels": (8,)}, "two levels or more"),
        ({"blocks": 0}, "at least 1"),
        ({"attention": (5,)}, "levels from 0 to 4"),
    ],
)
def test_impossible_networks_are_refused(changes, words):
    with pytest.raises(CasarbiError, match=words):
        replace(TINY, groups=4, **changes)


def test_published_ddim_stops_one_step_before_the_image():
    x0, x = (torch.rand(1, 3, 4, 4, dtype=torch.float64) * 2 - 1 for _ in range(2))
    made = ddim(
        x, lambda x, step: (x - step.level * x0) / math.sqrt(1 - step.level**2), published_ddim_chain(ABAR), lambda: x
    )
    assert 1e-5 < (made - x0).abs().max() < 5e-3


def test_chains():
    assert spaced_chain(ABAR, 2000) == whole_chain(ABAR)
    steps = spaced_chain(ABAR, 4)
    assert [step.alpha_bar for step in steps] == [ABAR[t] for t in (1999, 1499, 999, 499)]
    assert [step.after for step in steps] == [ABAR[1499], ABAR[999], ABAR[499], 1.0]
    assert len(published_ddim_chain(ScheduleConfig(T=400).alpha_bar)) == 199
    with pytest.raises(CasarbiError, match="at least 200 steps.*100"):
        published_ddim_chain(ScheduleConfig(T=100).alpha_bar)


@pytest.mark.parametrize(
    ("sampling", "count"),
    [(("ancestral", 0), 2000), (("ddim", 0), 199), (("ddim", 20), 20), (("ancestral", 4), 4)],
)
def test_evaluations_are_those_that_are_made(lr, sampling, count):
    made = model(IDMSampling(*sampling))
    assert made.evaluations(8) == len(plan_steps(made.config)) == count
    if count <= 20:
        calls: list[float] = []
        made.network.denoise_fn.register_forward_hook(lambda module, inputs, output: calls.append(inputs[1].item()))
        made.upscale(lr[:1], (20, 16), [0])
        assert calls == pytest.approx([step.level for step in made.steps])


def test_start_is_the_enlarged_lr_with_that_steps_noise(lr):
    """Of 2000 steps 400 are left: four of them, and no noisier state is ever asked for."""
    made = model(IDMSampling(steps=4, start=400))
    assert [step.alpha_bar for step in made.steps] == [ABAR[t] for t in (399, 299, 199, 99)]
    states: list[torch.Tensor] = []
    made.network.denoise_fn.register_forward_hook(lambda module, inputs, output: states.append(inputs[0]))
    made.upscale(lr[:1], (43, 35), [5])
    noise = torch.randn(1, 3, 43, 35, generator=torch.Generator().manual_seed(image_seed("idm", 5)))
    enlarged = 2 * resize(lr[:1], (43, 35)).clamp(0, 1) - 1
    expected = noise_to_level(enlarged, noise, torch.tensor([made.steps[0].level]))
    torch.testing.assert_close(states[0], expected, rtol=0, atol=1e-5)
    assert made.identity["start"] == 400 and model().identity["start"] == "noise"


def test_start_that_is_no_step_is_refused():
    with pytest.raises(CasarbiError, match="start=2001 is beyond the 2000 steps"):
        model(IDMSampling(steps=4, start=2001))
    with pytest.raises(CasarbiError, match="start=-1 must be at least 1"):
        IDMSampling(start=-1)


def test_clamping_is_as_published_unless_said():
    assert [model(IDMSampling(sampler)).clamp for sampler in ("ancestral", "ddim")] == [True, False]
    assert [model(IDMSampling("ddim", clamp=word)).clamp for word in ("on", "off")] == [True, False]
    x, step = torch.full((1, 3, 2, 2), 9.0), spaced_chain(ABAR, 3)[-1]
    made = ddim(x, lambda x, step: torch.zeros_like(x), [step], lambda: x, clamp=True)
    torch.testing.assert_close(made, torch.ones_like(x))


def test_condition_is_computed_once_an_image_and_size(lr):
    made, counts = model(), {"encoder": 0, "pyramid": 0}
    for name, module in (("encoder", made.network.encoder.body), ("pyramid", made.network.denoise_fn.conv_body_first)):
        module.register_forward_hook(lambda *_, name=name: counts.update({name: counts[name] + 1}))
    made.upscale_many(lr, SIZES, [0] * 3)
    assert counts == {"encoder": 3, "pyramid": 3 * len(SIZES)}


def test_scale_number_follows_the_area():
    assert scale_number((16, 16), (16, 16), 8) == 0 and scale_number((40, 40), (160, 160), 4) == 1
    assert scale_number((86, 57), (344, 228), 8) == scale_number((57, 86), (228, 344), 8) == pytest.approx(3 / 7)
    assert [training_side(16, 8, p) for p in (0, 0.5, 0.616, 1)] == [16, 72, 85, 128]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("extent", 8, None), "p=extent is unknown"),
        (("extend", 8, 12), "goes with p=relative alone"),
        (("relative", 8, None), "needs max_scale=N"),
        (("relative", 8, 1), "needs max_scale=N"),
    ],
)
def test_wrong_rules_of_p_are_refused(options, words):
    with pytest.raises(CasarbiError, match=words):
        p_at_one(*options)


def test_rule_of_p_changes_the_picture(lr):
    extend, relative = model(), model(p="relative", max_scale=12)
    assert (extend.at_one, relative.at_one) == (8, 12)
    assert not torch.equal(extend.upscale(lr[:1], (43, 35), [0]), relative.upscale(lr[:1], (43, 35), [0]))
    same = model(p="relative", max_scale=8)
    assert torch.equal(extend.upscale(lr[:1], (43, 35), [0]), same.upscale(lr[:1], (43, 35), [0]))


def test_identity_is_plain_and_tells_options_apart():
    samplings = [IDMSampling(*words) for words in (("ancestral",), ("ddim",), ("ddim", 9), ("ddim", 9, "on"))]
    models = [*map(model, samplings), model(p="relative", max_scale=12)]
    texts = {json.dumps(made.identity, allow_nan=False) for made in models}
    assert len(texts) == len(models)


def test_output_above_the_index_limit_is_refused(lr):
    """Above 2^31 values the nearest resize of a GPU gives wrong numbers without an error (pytorch/pytorch#141831)."""
    with pytest.raises(CasarbiError, match="20000x20000 px.*2.31 values"):
        model().upscale(lr, (20000, 20000), [0] * 3)


def test_training_levels():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_levels(ABAR, 8, generator) for _ in range(2000)])
    assert drawn.min() >= math.sqrt(ABAR[-1]) * (1 - 1e-6) and drawn.max() <= 1
    # One step for the batch: levels of a batch lie within one beta; steps are uniform: half lie above the middle one.
    assert (drawn.max(1).values - drawn.min(1).values).max() < 0.005
    assert (drawn[:, 0] > math.sqrt(ABAR[999])).float().mean().item() == pytest.approx(0.5, abs=0.04)
    x0, noise = torch.ones(2, 3, 1, 1), torch.full((2, 3, 1, 1), 2.0)
    assert noise_to_level(x0, noise, torch.tensor([0.6, 1.0]))[:, 0, 0, 0].tolist() == pytest.approx([2.2, 1.0])


def test_training_lowers_the_loss(lr):
    net, generator = (
        network(channels=(8, 8, 8), blocks=1, attention=(2,), dropout=0.0),
        torch.Generator().manual_seed(0),
    )
    target = F.interpolate(lr * 2 - 1, size=(20, 16), mode="bicubic")
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    losses = []
    for _ in range(80):
        noise = torch.randn(target.shape, generator=generator)
        level = draw_levels(ABAR, 3, generator)
        loss = (net(lr * 2 - 1, noise_to_level(target, noise, level), level, 1 / 7) - noise).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-15:]) < 0.7 * sum(losses[:15])
