import pytest
import torch
from scenes import scene

from casarbi.errors import CasarbiError
from casarbi.method.residuals import ResidualConfig, coordinate_map, stage_inputs
from casarbi.pictures.resize import resize
from casarbi.signed import from_signed, to_signed


def darker(images, size):
    """Stands in for LIIF: tells apart what was enlarged, and by whom."""
    return 0.5 * resize(images, size)


@pytest.fixture
def lr():
    return to_signed(torch.stack([scene(9, 12, seed) for seed in (0, 1)]))


@pytest.mark.parametrize("residual_base", ["none", "bicubic", "liif_initial", "liif_stage"])
@pytest.mark.parametrize("lr_up", ["bicubic", "liif"])
def test_chain_ends_on_the_image_whatever_the_residual(residual_base, lr_up, lr):
    hr = to_signed(torch.stack([scene(18, 22, seed) for seed in (0, 1)]))
    config = ResidualConfig(residual_base, lr_up, residual_gain=4.0)
    inputs = stage_inputs(lr, (18, 22), 2.0, config, u_0=lr[..., ::2, ::2], regressor=darker)
    x0 = inputs.residual(hr)
    torch.testing.assert_close(inputs.compose(x0), hr)
    # e_0 = gain · (Up - HR), whatever the base (docs/method.md §3).
    up = darker(lr, (18, 22)) if lr_up == "liif" else resize(lr, (18, 22))
    torch.testing.assert_close(inputs.y - x0, 4 * (up - hr))


def test_bases(lr):
    def base(kind):
        config = ResidualConfig(kind)
        return stage_inputs(lr, (18, 24), 2.0, config, u_0=lr[..., ::2, ::2], regressor=darker).base

    assert not base("none").any()
    assert torch.equal(base("bicubic"), resize(lr, (18, 24)))
    assert torch.equal(base("liif_stage"), darker(lr, (18, 24)))
    assert torch.equal(base("liif_initial"), darker(lr[..., ::2, ::2], (18, 24)))


def test_y_is_zero_where_base_and_up_are_the_same(lr):
    for kind, up in (("bicubic", "bicubic"), ("liif_stage", "liif")):
        assert not stage_inputs(lr, (18, 24), 2.0, ResidualConfig(kind, up), regressor=darker).y.any()


def test_the_image_is_clamped_and_never_the_residual(lr):
    inputs = stage_inputs(lr, (18, 24), 2.0, ResidualConfig(residual_gain=4.0))
    x0 = torch.full_like(inputs.up, 40.0)
    assert inputs.compose(x0).unique().tolist() == [1.0]
    assert inputs.compose(x0, clamp=False).min() > 8
    assert inputs.residual(inputs.base + 10).min() == pytest.approx(40, abs=1e-3)


def test_coordinates_are_pixel_centres():
    whole = coordinate_map((4, 2))
    assert whole[0, 0, :, 0].tolist() == [-0.75, -0.25, 0.25, 0.75] and whole[0, 1, 0].tolist() == [-0.5, 0.5]


def test_scale_and_range(lr):
    inputs = stage_inputs(lr, (12, 16), 1.325, ResidualConfig())
    assert inputs.scale.tolist() == pytest.approx([1.325] * 2) and inputs.coordinates.shape == (1, 2, 12, 16)
    torch.testing.assert_close(from_signed(to_signed(lr)), lr)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ResidualConfig("liif_stage"), "residual_base=liif_stage with lr_up=bicubic needs a LIIF"),
        (ResidualConfig(lr_up="liif"), "needs a LIIF"),
    ],
)
def test_a_liif_that_is_missing_is_asked_for(lr, config, words):
    with pytest.raises(CasarbiError, match=words):
        stage_inputs(lr, (18, 24), 2.0, config)


def test_the_initial_image_is_asked_for(lr):
    with pytest.raises(CasarbiError, match="original LR image"):
        stage_inputs(lr, (18, 24), 2.0, ResidualConfig("liif_initial"), regressor=darker)


@pytest.mark.parametrize("changes", [{"residual_base": "lanczos"}, {"lr_up": "nearest"}, {"residual_gain": 0.0}])
def test_unknown_residuals_are_refused(changes):
    with pytest.raises(CasarbiError):
        ResidualConfig(**changes)


@pytest.mark.parametrize("liif", ["os:system:touch x", "their_module:make", "casarbi:w.safetensors", "lif:mini-face"])
def test_the_base_is_a_registered_model_but_not_casarbi(liif):
    with pytest.raises(CasarbiError, match="must be a registered model other than casarbi: (known|did you mean)"):
        ResidualConfig("liif_stage", liif=liif)
