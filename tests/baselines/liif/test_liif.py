import json
import os
from pathlib import Path

import pytest
import torch

from baselines.liif.files import build_network, save_liif
from baselines.liif.grid import Axis, centres, nearest
from baselines.liif.model import LIIF, liif
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import from_uint8, to_uint8
from casarbi.pictures.reading import read_image
from casarbi.pictures.resize import resize
from casarbi.sr import create_model
from casarbi.weights import CATALOGUE


def spec(**changes) -> dict:
    """Spec of a small network, laid out as yinboc/liif saves it."""
    args = {
        "encoder_spec": {
            "name": "edsr-baseline",
            "args": {"no_upsampling": True, "n_resblocks": 2, "n_feats": 8},
        },
        "imnet_spec": {"name": "mlp", "args": {"out_dim": 3, "hidden_list": [16, 16]}},
    }
    return {"name": "liif", "args": {**args, **changes}}


def network():
    torch.manual_seed(0)
    return build_network(spec(), Path("test"))


@pytest.fixture
def official(tmp_path) -> Path:
    """A small network in the layout of the official files, optimizer state and all."""
    content = {"model": {**spec(), "sd": network().state_dict()}, "optimizer": {"name": "adam"}, "epoch": 3}
    torch.save(content, tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.fixture
def model(official):
    return liif(str(official))


@pytest.fixture
def lr() -> torch.Tensor:
    return torch.rand(3, 3, 9, 7, generator=torch.Generator().manual_seed(0))


def same(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=2e-6)


def test_image_does_not_depend_on_its_batch(model, lr):
    together = model.upscale(lr, (48, 37), [0, 1, 2])
    for i in range(3):
        assert torch.equal(together[i], model.upscale(lr[i : i + 1], (48, 37), [9])[0])


def test_a_batch_at_once_is_the_same_but_for_rounding(official, lr, monkeypatch):
    """As on a GPU, up to rounding."""
    alone, shares = liif(str(official)).upscale(lr, (48, 37), [5, 6, 7]), []
    monkeypatch.setattr(LIIF, "images_at_once", 3)
    made = liif(str(official))
    made.progress = shares.append
    torch.testing.assert_close(made.upscale(lr, (48, 37), [5, 6, 7]), alone, rtol=0, atol=1e-4)
    assert sum(shares) == pytest.approx(3)


def test_many_sizes_equal_each_alone(model, lr):
    sizes = [(48, 37), (63, 49), (4, 30), (9, 7)]
    for size, made in zip(sizes, model.upscale_many(lr, sizes, [0] * 3), strict=True):
        assert made.shape == (3, 3, *size)
        assert torch.equal(made, model.upscale(lr, size, [0] * 3))


@pytest.mark.parametrize("chunk", [4, 30, 10**6])
def test_chunks_do_not_change_the_result(official, model, lr, chunk):
    same(
        create_model(f"liif:{official}?chunk={chunk}").upscale(lr, (19, 15), [0] * 3),
        model.upscale(lr, (19, 15), [0] * 3),
    )


@pytest.mark.parametrize("size", [(140, 161), (60, 46), (50, 23), (17, 40)])
@pytest.mark.parametrize("region", [1, 7, 16])
def test_pieces_leave_no_seam(region, size):
    """A large picture is encoded in pieces, and nothing of it shows."""
    image = torch.rand(3, 20, 23, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        whole, pieces = (network().render(image, [size], 500, r)[0] for r in (None, region))
    same(pieces, whole)


@pytest.mark.parametrize("scale", [1, 2, 3, 5.3, 7])
@pytest.mark.parametrize("local_ensemble", [True, False])
def test_grid_answers_as_scattered_queries_do(scale, local_ensemble):
    """At odd scales the last row and column too, which rounding decides (docs/liif.md §9, trap 1)."""
    torch.manual_seed(0)
    net = build_network(spec(local_ensemble=local_ensemble), Path("test")).requires_grad_(False)
    image = torch.rand(3, 16, 11) * 2 - 1
    height, width = round(16 * scale), round(11 * scale)
    coord = torch.stack(torch.meshgrid(centres(height), centres(width), indexing="ij"), dim=-1).view(1, -1, 2)
    cell = torch.tensor([2 / height, 2 / width]).expand_as(coord)
    expected = net.query(net.encoder(image[None]), coord, cell).view(height, width, 3).permute(2, 0, 1)
    same(net.render(image, [(height, width)], 300)[0], expected)


def test_queries_are_differentiable():
    net, coord = network(), torch.rand(1, 5, 2) * 2 - 1
    net.query(net.encoder(torch.rand(1, 3, 6, 5)), coord, torch.full_like(coord, 0.1)).sum().backward()
    used = {name: p.grad for name, p in net.named_parameters() if p.requires_grad}
    assert all(grad is not None and grad.abs().sum() > 0 for grad in used.values())


@pytest.mark.parametrize(("m", "n"), [(112, 16), (85, 16), (20293, 3000), (7, 30), (5, 1)])
def test_axis_asks_within_two_features_and_in_order(m, n):
    index = Axis.of(m, n, local_ensemble=True).index
    apart = index[:, 1] - index[:, 0]
    assert apart.min() >= 0 and apart.max() <= 2
    assert (index[1:, 0] >= index[:-1, 0]).all() and index.min() >= 0 and index.max() < n


def test_axis_shares_questions_at_borders_and_on_centres():
    axis = Axis.of(112, 16, local_ensemble=True)
    plain, sparing = (axis.questions(skip) for skip in (False, True))
    # One neighbour only: the 3 queries before the first centre, the 3 after the last, and the one on it.
    assert len(plain.feature) == 2 * 112 - 7
    assert len(plain.feature) - len(sparing.feature) == 15
    assert torch.equal(plain.feature[plain.slots], axis.index)


def test_nearest_without_shift_is_the_own_feature():
    assert nearest(centres(12), 4, 0).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_output_above_the_index_limit_is_refused(model, lr):
    """Above 2^31 values the nearest resize of a GPU gives wrong numbers without an error (pytorch/pytorch#141831)."""
    with pytest.raises(CasarbiError, match="3 channels of that size are 2.31 values"):
        model.upscale(lr, (30000, 30000), [0] * 3)


def test_safetensors_with_the_spec_in_its_header(tmp_path, model, lr):
    path = tmp_path / "w.safetensors"
    save_liif(path, network(), spec(), {"trained_scales": "[1, 8]", "licence": "MIT", "source": "a test"})
    ours = create_model(f"liif:{path}")
    assert torch.equal(ours.upscale(lr, (20, 20), [0] * 3), model.upscale(lr, (20, 20), [0] * 3))
    assert (ours.info.trained_scales, ours.info.licence, ours.info.source) == ((1.0, 8.0), "MIT", "a test")


def test_identity_is_the_content_of_the_weights(official, model, tmp_path):
    (tmp_path / "copy.pth").write_bytes(official.read_bytes())
    assert liif(str(tmp_path / "copy.pth"), chunk=64).identity == model.identity
    assert json.loads(json.dumps(model.identity)) == model.identity
    save_liif(tmp_path / "other.safetensors", network(), spec(), {})
    assert liif(str(tmp_path / "other.safetensors")).identity != model.identity


@pytest.mark.parametrize("text", ["x1 to x8", "[1]", '["a", "b"]'])
def test_unreadable_trained_scales_are_refused(tmp_path, text):
    save_liif(tmp_path / "w.safetensors", network(), spec(), {"trained_scales": text})
    with pytest.raises(CasarbiError, match="trained_scales"):
        liif(str(tmp_path / "w.safetensors"))


def encoder(**args) -> dict:
    return {"encoder_spec": {"name": "edsr-baseline", "args": {"no_upsampling": True, "n_feats": 8, **args}}}


@pytest.mark.parametrize(
    ("model_entry", "words"),
    [
        (None, "not a LIIF checkpoint: it holds model"),
        ({"name": "metasr", "args": {}}, "model. is 'metasr', unknown here: expected liif"),
        (
            spec(encoder_spec={"name": "swinir", "args": {}}),
            "encoder_spec. is 'swinir', unknown here: expected edsr-baseline or rdn",
        ),
        (spec(**encoder(no_upsampling=False)), "expected one with no_upsampling"),
        (spec(**encoder(scale=2)), "encoder_spec.args. has no setting 'scale'"),
        (spec(**encoder(n_resblocks="many")), "n_resblocks = 'many' is not a whole number"),
        (spec(**encoder(n_resblocks=0)), "impossible size"),
        (spec(imnet_spec={"name": "mlp", "args": {"out_dim": 1, "hidden_list": [16]}}), "unknown decoder"),
        (spec(imnet_spec={"name": "siren", "args": {}}), "imnet_spec. is 'siren', unknown here: expected mlp"),
        (spec(pos_encode=True), "has no setting 'pos_encode'"),
        (spec(cell_decode=False), "1 of another shape .imnet.layers.0.weight 16x76 for 16x74"),
        (spec(**encoder(n_resblocks=3)), "6 missing .*encoder.body.2.*; 2 unexpected"),
    ],
)
def test_other_layouts_are_refused_in_one_sentence(tmp_path, model_entry, words):
    path = tmp_path / "w.pth"
    torch.save({"model": model_entry and {**model_entry, "sd": network().state_dict()}}, path)
    with pytest.raises(CasarbiError, match=words) as caught:
        liif(str(path))
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_wrong_options_are_refused(official):
    with pytest.raises(CasarbiError, match="chunk=1 must be at least 4"):
        create_model(f"liif:{official}?chunk=1")
    with pytest.raises(CasarbiError, match="no option 'chunks'.*did you mean chunk"):
        create_model(f"liif:{official}?chunks=1")
    with pytest.raises(CasarbiError, match="did you mean edsr-baseline-div2k"):
        create_model("liif:edsr-baseline-div2")


@pytest.mark.skipif(not CATALOGUE["edsr-baseline-div2k"].path.is_file(), reason="official weights are not fetched")
def test_facts_of_the_official_weights():
    info = create_model("liif").info
    assert info.parameters == 1_220_416 + 346_883
    assert info.trained_scales == (1.0, 4.0) and not info.stochastic
    assert info.licence == "BSD-3-Clause" and CATALOGUE["edsr-baseline-div2k"].sha256 in info.weights


SET5 = os.environ.get("CASARBI_SET5", "")
Y_WEIGHTS = torch.tensor([65.738, 129.057, 25.064], dtype=torch.float64)[:, None, None] / 256


@pytest.mark.slow
@pytest.mark.skipif(not SET5, reason="CASARBI_SET5 names no folder with HR/ and LR_bicubic/X2/ …")
@pytest.mark.parametrize(("scale", "published"), [(2, 37.988), (3, 34.400), (4, 32.238), (6, 28.955), (8, 26.982)])
def test_set5_figures_of_the_official_weights(scale, published):
    """Mean Y-PSNR by the published protocol (docs/liif.md §6, §7)."""
    values = []
    for path in sorted(Path(SET5, "HR").iterdir()):
        hr = read_image(path)
        height, width = (int(side / scale + 1e-9) for side in hr.shape[-2:])
        hr = hr[:, : height * scale, : width * scale]
        if scale <= 4:
            lr = read_image(Path(SET5, "LR_bicubic", f"X{scale}", f"{path.stem}x{scale}.png"))
        else:
            lr = from_uint8(resize(to_uint8(hr), (height, width)))
        error = ((create_model("liif").upscale(lr[None], hr.shape[-2:], [0])[0] - hr) * Y_WEIGHTS).sum(dim=0)
        values.append(-10 * error[scale:-scale, scale:-scale].square().mean().log10().item())
    assert sum(values) / len(values) == pytest.approx(published, abs=1e-3)
