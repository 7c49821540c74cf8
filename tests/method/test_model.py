import json
from dataclasses import replace

import pytest
import torch
from scenes import scene
from test_config import CONFIG
from test_network import denoiser

from casarbi.errors import CasarbiError
from casarbi.method import sampler
from casarbi.method.config import SamplingConfig, save_weights
from casarbi.method.diffusion import ShiftConfig
from casarbi.method.guidance import GuidanceConfig
from casarbi.method.model import CasArbi, base_warning, casarbi
from casarbi.method.residuals import ResidualConfig
from casarbi.method.strategies import STRATEGIES
from casarbi.method.tiling import TileConfig
from casarbi.pictures.resize import resize
from casarbi.sr import ModelInfo, SRModel, create_model

SIZES = [(53, 42), (70, 56), (80, 64), (107, 86), (20, 16)]


def model(**changes) -> CasArbi:
    config = replace(CONFIG, **{"sampling": SamplingConfig(), **changes})
    return CasArbi(denoiser(), config)


class Dim(SRModel):
    """Stands in for LIIF."""

    info = ModelInfo(7, None, False, "none", "MIT", "tests")
    identity = {"method": "dim"}

    def upscale(self, lr, size, seeds):
        return 0.9 * resize(lr, size).clamp(0, 1)


@pytest.fixture
def lr():
    return torch.stack([scene(10, 8, seed) for seed in range(3)])


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, denoiser(), CONFIG, {"licence": "MIT", "source": "a test"})
    return path


def test_image_does_not_depend_on_its_batch_or_order(lr):
    ours = model()
    together = ours.upscale(lr, (53, 42), [5, 6, 7])
    assert together.shape == (3, 3, 53, 42) and together.min() >= 0 and together.max() <= 1
    backwards = ours.upscale(lr.flip(0), (53, 42), [7, 6, 5]).flip(0)
    assert torch.equal(together, backwards)
    for i in range(3):
        assert torch.equal(together[i], ours.upscale(lr[i : i + 1], (53, 42), [5 + i])[0])


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_many_sizes_equal_each_alone(lr, strategy):
    ours = model(cascade=replace(CONFIG.cascade, strategy=strategy))
    for size, made in zip(SIZES, ours.upscale_many(lr[:2], SIZES, [1, 2]), strict=True):
        assert torch.equal(made, ours.upscale(lr[:2], size, [1, 2]))


def test_many_sizes_share_the_stages_they_have_in_common(lr, monkeypatch):
    ours, ran = model(), []
    inputs = sampler.stage_inputs
    monkeypatch.setattr(sampler, "stage_inputs", lambda u, size, *a, **k: ran.append(size) or inputs(u, size, *a, **k))
    ours.upscale_many(lr[:1], SIZES, [0])
    assert ran == [(20, 16), (40, 32), (53, 42), (70, 56), (80, 64), (107, 86)]


def test_shared_stages_are_the_same_images_at_every_size(lr):
    ours = model()
    small, large = (
        {tuple(u.shape[-2:]): u for u in ours.stages(lr, size, [1, 2, 3])} for size in ((53, 42), (107, 86))
    )
    assert list(large) == [(20, 16), (40, 32), (80, 64), (107, 86)]
    for size in ((20, 16), (40, 32)):
        assert torch.equal(small[size], large[size])
    assert torch.equal(large[107, 86], ours.upscale(lr, (107, 86), [1, 2, 3]))


def test_seeds_decide(lr):
    ours = model()
    a, b, again = (ours.upscale(lr[:1], (20, 16), [seed]) for seed in (1, 2, 1))
    assert torch.equal(a, again) and (a - b).abs().max() > 1e-3
    with pytest.raises(CasarbiError, match="2 seeds for 3 images"):
        ours.upscale(lr, (20, 16), [1, 2])


def test_noise_differs_between_stages(lr):
    """The first two stages of a square cascade would repeat themselves with one generator a seed."""
    drawn = []
    ours = model(process=ShiftConfig(T=1))
    randn = torch.randn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn", lambda *a, **k: drawn.append(randn(*a, **k)) or drawn[-1])
        ours.upscale(lr[:1], (40, 32), [1])
    assert [tuple(noise.shape[-2:]) for noise in drawn] == [(20, 16), (40, 32)]
    assert not torch.equal(drawn[0].flatten()[:50], drawn[1].flatten()[:50])


def test_guidance_of_strength_zero_is_no_guidance(lr):
    plain = model(guidance=GuidanceConfig("none"))
    off = model(guidance=GuidanceConfig("previous", (0.0,)))
    assert torch.equal(plain.upscale(lr, (53, 42), [1, 2, 3]), off.upscale(lr, (53, 42), [1, 2, 3]))
    assert plain.identity != off.identity


@pytest.mark.parametrize(("scg", "stage"), [("previous", -2), ("initial", None)])
def test_guidance_brings_the_result_to_its_reference(lr, scg, stage):
    def deviation(kind):
        steps = model(guidance=GuidanceConfig(kind, (1.0,))).stages(lr, (53, 42), [1, 2, 3])
        reference = lr if stage is None else steps[stage]
        return (resize(steps[-1], reference.shape[-2:]) - reference).norm()

    assert deviation(scg) < 0.8 * deviation("none")


def test_fewer_steps_and_evaluations():
    assert [model().evaluations(s) for s in (1, 2, 5.3, 8)] == [0, 3, 9, 9]
    assert [model(sampling=SamplingConfig(steps=2)).evaluations(s) for s in (2, 5.3)] == [2, 6]
    with pytest.raises(CasarbiError, match="steps=4 must be from 1 to the 3"):
        model(sampling=SamplingConfig(steps=4))


def test_a_new_network_gives_the_base_image(lr):
    """Its x̂_0 is zero, so the cascade is bicubic stage by stage, whatever the seed: nothing else is added."""
    network = denoiser()
    torch.nn.init.zeros_(network.out.weight), torch.nn.init.zeros_(network.out.bias)
    ours = CasArbi(network, replace(CONFIG, guidance=GuidanceConfig("none")))
    expected = resize(resize(lr, (20, 16)).clamp(0, 1), (40, 32)).clamp(0, 1)
    torch.testing.assert_close(ours.upscale(lr, (40, 32), [1, 2, 3]), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", [(10, 8), (5, 6), (10, 3)])
def test_sizes_that_enlarge_nothing_are_bicubic(lr, size):
    torch.testing.assert_close(model().upscale(lr, size, [0] * 3), resize(lr, size).clamp(0, 1))
    (only,) = model().stages(lr, size, [0] * 3)
    assert torch.equal(only, model().upscale(lr, size, [0] * 3))


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 9)])
def test_smallest_images(shape):
    made = model().upscale(torch.rand(1, 3, *shape), (7, 11), [0])
    assert made.shape == (1, 3, 7, 11) and made.isfinite().all()


def test_large_images_in_tiles_are_close_to_the_whole_and_have_no_seams():
    lr = scene(40, 36)[None]
    whole = model().upscale(lr, (160, 144), [3])
    tiled = model(tiles=TileConfig(64, 24)).upscale(lr, (160, 144), [3])
    assert not torch.equal(whole, tiled)
    assert (whole - tiled).abs().max() < 0.05
    # A seam would be a row or a column whose steps to the next deviate more than elsewhere.
    steps = (tiled - whole).diff(dim=-2).abs().mean(dim=(0, 1, 3))
    assert steps.max() < 0.01


@pytest.mark.parametrize("tiles", [TileConfig(), TileConfig(32, 4)], ids=["whole", "tiles"])
def test_many_at_once_are_those_made_one_by_one(monkeypatch, lr, tiles):
    """Up to rounding, because of which a CPU makes them one by one."""
    alone = model(tiles=tiles).upscale(lr, (50, 40), [1, 2, 3])
    monkeypatch.setattr(CasArbi, "images_at_once", 3)
    torch.testing.assert_close(model(tiles=tiles).upscale(lr, (50, 40), [1, 2, 3]), alone, rtol=0, atol=1e-4)


def test_inference_mode_gives_the_same(lr):
    with torch.inference_mode():
        inside = model().upscale(lr, (20, 16), [1, 2, 3])
    assert torch.equal(inside, model().upscale(lr, (20, 16), [1, 2, 3]))


@pytest.mark.parametrize("residual", [ResidualConfig("liif_initial"), ResidualConfig("liif_stage", "liif")])
def test_liif_bases(lr, residual):
    config = replace(CONFIG, residual=residual)
    ours = CasArbi(denoiser(), config, liif=Dim())
    made = ours.upscale(lr, (40, 32), [1, 2, 3])
    assert made.mean() < model().upscale(lr, (40, 32), [1, 2, 3]).mean()
    assert ours.identity["liif"] == {"method": "dim"} and ours.info.parameters == model().info.parameters + 7
    for identity, warned in ((Dim().identity, False), ({"method": "dimmer"}, True)):
        warning = base_warning({"liif": json.dumps(identity)}, Dim())
        assert ("not the one that it was trained on" in warning) == warned
    assert not base_warning({}, Dim()) and not base_warning({"liif": "{}"}, None)
    with pytest.raises(CasarbiError, match="needs a base model"):
        CasArbi(denoiser(), config)


def test_reference_options_change_what_they_name(weights):
    plain = create_model(f"casarbi:{weights}")
    assert plain.config == CONFIG and plain.info.licence == "MIT" and plain.info.trained_scales == (1.0, 4.0)
    assert plain.info.stochastic and plain.weights.sha256 in plain.info.weights
    options = "schedule=rf&scg=0&gamma=0.5,1&steps=1&residual_base=none&tile=64&overlap=8&precision=bfloat16&clamp=last"
    changed = create_model(f"casarbi:{weights}?{options}")
    identity = changed.identity
    assert json.loads(json.dumps(identity)) == identity
    assert identity["cascade"]["strategy"] == "rf" and identity["guidance"] == {"scg": "none", "gamma": [0.5, 1.0]}
    assert identity["timesteps"] == [3] and identity["residual"]["residual_base"] == "none"
    assert identity["tiles"] == {"tile": 64, "overlap": 8} and identity["clamp"] == "last"


def test_identity_is_the_content_of_the_weights(weights, tmp_path):
    (tmp_path / "copy.safetensors").write_bytes(weights.read_bytes())
    assert casarbi(str(tmp_path / "copy.safetensors")).identity == casarbi(str(weights)).identity
    save_weights(tmp_path / "other.safetensors", denoiser(seed=1), CONFIG, {})
    assert casarbi(str(tmp_path / "other.safetensors")).identity != casarbi(str(weights)).identity


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("schedule=lr", "schedule = 'lr' is unknown: did you mean r[lf]"),
        ("scg=next", "scg = 'next' is unknown: did you mean none"),
        ("gamma=much", "gamma = 'much' is not a number"),
        ("steps=9", "steps=9 must be from 1 to the 3"),
        ("precision=half", "precision = 'half' is unknown: known: bfloat16, bfloat16-emulated, float32, tf32"),
        ("tile=4", "tile=4 must be"),
        ("kappa=1", "no option 'kappa'"),
    ],
)
def test_wrong_options_are_refused(weights, option, words):
    with pytest.raises(CasarbiError, match=words):
        create_model(f"casarbi:{weights}?{option}")


def test_options_from_python_are_those_of_references(weights):
    by_name = casarbi(str(weights), schedule="rf", gamma=(1.0,), steps=2)
    assert by_name.identity == create_model(f"casarbi:{weights}?schedule=rf&gamma=1&steps=2").identity
    with pytest.raises(CasarbiError, match="no option 'stepz': did you mean steps"):
        casarbi(str(weights), stepz=2)


def test_unknown_weights_are_refused():
    with pytest.raises(CasarbiError, match="no CasArbi weights 'mini-fase'"):
        casarbi("mini-fase")
    with pytest.raises(CasarbiError, match="no weights file 'nowhere.safetensors'"):
        casarbi("nowhere.safetensors")
