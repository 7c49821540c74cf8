import pytest
import torch
from scenes import scene

from casarbi.errors import CasarbiError
from casarbi.method.guidance import GuidanceConfig, consistency_gradient, consistency_step, guide
from casarbi.method.residuals import ResidualConfig, stage_inputs
from casarbi.pictures.resize import resize


def pair(size=(37, 48), small=(16, 24)):
    """A sharp picture and a reference it does not shrink to."""
    return scene(*size)[None] * 2 - 1, resize(scene(*size, seed=1)[None], small) * 2 - 1


def residual(image, reference):
    return (resize(image, reference.shape[-2:]) - reference).norm().item()


@pytest.mark.parametrize("size", [(17, 25), (32, 48), (37, 48), (64, 64), (128, 100)])
def test_consistency_residual_falls_for_small_gamma_at_any_factor(size):
    image, reference = pair(size)
    norms = [residual(consistency_step(image, reference, gamma), reference) for gamma in (0, 0.25, 0.5, 1)]
    assert norms[0] > norms[1] > norms[2] > norms[3] and norms[3] < 0.6 * norms[0]


def test_gamma_one_is_nearly_a_projection_and_gamma_ten_diverges():
    """r² D Dᵀ is near the identity for what a shrunk picture can hold."""
    image, _ = pair((64, 96))
    reference = resize(image, (32, 48)) + 0.2
    before = residual(image, reference)
    assert residual(consistency_step(image, reference, 1.0), reference) < 0.05 * before
    assert residual(consistency_step(image, reference, 10.0), reference) > 5 * before


@pytest.mark.parametrize(("n", "m"), [(16, 19), (16, 32), (32, 85), (16, 128)])
def test_one_gamma_serves_every_factor(n, m):
    """The norm of r² D Dᵀ, by power iteration: near 1 at any factor, so gamma must stay below 2."""
    v, nothing = torch.rand(1, 1, n, n, dtype=torch.float64), torch.zeros(1, 1, m, m, dtype=torch.float64)
    for _ in range(30):
        v = v / v.norm()
        v = resize(consistency_step(nothing, v, 1.0), (n, n))
    assert v.norm() == pytest.approx(1, abs=0.03)


def test_gamma_zero_changes_no_bit():
    image, reference = pair()
    assert consistency_step(image, reference, 0.0) is image


def test_gradient_is_that_of_eq_8():
    """Against autograd on the loss as it is written."""
    image, reference = (x.double() for x in pair((9, 7), (4, 5)))
    leaf = image.clone().requires_grad_()
    (resize(leaf, (4, 5)) - reference).square().sum().backward()
    torch.testing.assert_close(2 * consistency_gradient(image, reference), leaf.grad)


def test_gradient_is_the_adjoint_of_shrinking():
    """<D a, b> = <a, Dᵀ b>."""
    a, b = torch.rand(1, 3, 13, 9, dtype=torch.float64), torch.rand(1, 3, 6, 7, dtype=torch.float64)
    adjoint = consistency_gradient(torch.zeros_like(a), -b)
    assert (resize(a, (6, 7)) * b).sum() == pytest.approx((a * adjoint).sum().item())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_no_gradient_reaches_what_made_the_image(mode):
    weight = torch.ones((), requires_grad=True)
    image, reference = pair()
    with mode():
        made = consistency_step(image * weight, reference, 0.5)
    assert not made.requires_grad and weight.grad is None
    torch.testing.assert_close(made, consistency_step(image, reference, 0.5))


def test_nothing_is_changed_where_the_image_is_consistent():
    image, _ = pair()
    torch.testing.assert_close(consistency_step(image, resize(image, (16, 24)), 1.0), image)


def test_strength_by_stage():
    config = GuidanceConfig(gamma=(1.0, 0.5))
    assert [config.strength(i) for i in range(4)] == [1.0, 0.5, 0.5, 0.5]
    assert GuidanceConfig(scg="none").strength(0) == 0


@pytest.mark.parametrize("changes", [{"scg": "first"}, {"gamma": ()}, {"gamma": (-1.0,)}, {"gamma": (float("nan"),)}])
def test_impossible_guidance_is_refused(changes):
    with pytest.raises(CasarbiError):
        GuidanceConfig(**changes)


@pytest.mark.parametrize("clamp", [True, False])
def test_a_guided_prediction_is_the_residual_of_the_guided_image(clamp):
    inputs = stage_inputs(torch.rand(1, 3, 4, 4) * 2 - 1, (8, 8), 2.0, ResidualConfig(residual_gain=2.0))
    x0 = torch.full((1, 3, 8, 8), 3.0)
    image = inputs.compose(x0, clamp=clamp)
    guided = consistency_step(image, inputs.u_prev, 0.5)
    expected = inputs.residual(guided.clamp(-1, 1) if clamp else guided)
    assert torch.equal(guide(x0, inputs, inputs.u_prev, 0.5, clamp=clamp), expected)


def test_without_guidance_and_clamping_a_prediction_is_kept_to_the_bit():
    inputs = stage_inputs(torch.rand(1, 3, 4, 4), (8, 8), 2.0, ResidualConfig())
    x0 = torch.rand(1, 3, 8, 8)
    assert guide(x0, inputs, inputs.u_prev, 0.0, clamp=False) is x0
