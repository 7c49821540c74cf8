import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_network import TINY, denoiser, inputs

from casarbi.costs import StageCost
from casarbi.errors import CasarbiError
from casarbi.method import tiling
from casarbi.method.tiling import Crop, TileConfig, TiledStage, resize_rows, tiled_flops
from casarbi.pictures.resize import resize
from casarbi.tiles import blend_weights, cut_up, spans


@settings(deadline=None, max_examples=400)
@example(33, 32, 0, 2)
@example(42, 32, 100, 8)
@given(st.integers(1, 5000), st.integers(32, 600), st.integers(0, 100), st.sampled_from([1, 2, 8]))
def test_spans_cover_overlap_and_begin_on_the_grid(length, tile, share, multiple):
    overlap = tile * share // 200
    loose, tight = (spans(length, tile, overlap, multiple, tight=tight) for tight in (False, True))
    check_spans(loose, length, tile, overlap, multiple)
    check_spans(tight, length, tile, overlap, multiple)
    assert len(tight) <= len(loose) and max(b - a for a, b in tight) <= max(b - a for a, b in loose) + multiple


def check_spans(pieces, length, tile, overlap, multiple):
    assert pieces[0][0] == 0 and pieces[-1][1] == length
    for (start, stop), (after, end) in zip(pieces, pieces[1:], strict=False):
        assert start < after <= stop - overlap and stop < end
        assert after % multiple == 0
    assert all(stop - start < tile + multiple for start, stop in pieces)


@settings(deadline=None)
@given(st.integers(40, 3000), st.integers(32, 600), st.integers(0, 100))
def test_blend_weights_add_up_to_one(length, tile, share):
    overlap = tile * share // 200
    pieces = spans(length, tile, overlap, 4)
    total = torch.zeros(length)
    for (start, stop), weights in zip(pieces, blend_weights(pieces, overlap), strict=True):
        assert weights.min() >= 0
        total[start:stop] += weights
    torch.testing.assert_close(total, torch.ones(length))


@pytest.mark.parametrize(("n", "length"), [(16, 32), (16, 21), (7, 40), (9, 9), (1, 5), (40, 13)])
def test_rows_are_those_of_resize(n, length):
    whole = resize(torch.eye(n)[None], (length, n))[0]
    for window in ((0, length), (length // 3, length // 3 + 2), (length - 1, length)):
        (low, high), weights = resize_rows(n, length, window)
        torch.testing.assert_close(weights, whole[slice(*window), low:high], rtol=0, atol=1e-6)
        assert whole[slice(*window)].abs().sum() == pytest.approx(weights.abs().sum().item(), abs=1e-4)


@pytest.mark.parametrize("window", [((0, 24), (0, 24)), ((12, 36), (20, 47)), ((30, 50), (23, 47))])
def test_a_crop_makes_the_same_context_as_the_whole(window):
    """Within what the convolution after the upsampling loses at the cut: one pixel."""
    network, given = denoiser(), inputs((50, 47), (20, 19))
    y, x = window
    with torch.no_grad():
        crop = Crop.of(given, y, x, network.lr_encoder.reach)
        part = network.encode(crop.inputs, crop.upsample).context
        whole = network.encode(given).context[..., slice(*y), slice(*x)]
    torch.testing.assert_close(part[..., 1:-1, 1:-1], whole[..., 1:-1, 1:-1], rtol=0, atol=1e-5)


def test_tiles_blend_into_what_the_whole_would_be():
    network, given, t = denoiser(), inputs((150, 141), (75, 71)), torch.tensor([2])
    x_t = torch.randn(given.up.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = network(x_t, t, network.encode(given))
        tiled = TiledStage(network, given, TileConfig(96, 40)).predict(x_t, t)
    assert (tiled - whole).abs().max() < 0.01 * whole.abs().max()


def test_tiles_with_a_wide_overlap_are_exact_in_their_middle():
    """Far from every cut a tile sees all that the whole sees: the grid of its levels is the whole's."""
    network, given, t = denoiser(), inputs((200, 16), (100, 8)), torch.tensor([2])
    x_t = torch.randn(given.up.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = network(x_t, t, network.encode(given))
        tiled = TiledStage(network, given, TileConfig(128, 0)).predict(x_t, t)
    torch.testing.assert_close(tiled[..., :60, :], whole[..., :60, :], rtol=0, atol=1e-5)
    torch.testing.assert_close(tiled[..., -60:, :], whole[..., -60:, :], rtol=0, atol=1e-5)


def test_tight_spans_share_little_more_than_they_must():
    assert spans(640, 512, 64, 8) == [(0, 512), (128, 640)]
    assert spans(640, 512, 64, 8, tight=True) == [(0, 360), (280, 640)]


def test_features_of_tiles_are_made_once_unless_there_are_many(monkeypatch):
    """They are a fifth of an evaluation, and the same at every step."""
    network, given, made = denoiser(), inputs((150, 141), (75, 71)), []
    encode = network.encode
    monkeypatch.setattr(network, "encode", lambda *args: made.append(1) or encode(*args))
    x_t = torch.randn(given.up.shape, generator=torch.Generator().manual_seed(0))
    results = []
    for kept, count in ((tiling.KEPT_TILES, 6), (3, 6 + 3), (0, 6 + 6)):
        monkeypatch.setattr(tiling, "KEPT_TILES", kept)
        stage, _ = TiledStage(network, given, TileConfig(96, 40)), made.clear()
        with torch.no_grad():
            results.append([stage.predict(x_t, torch.tensor([t])) for t in (2, 1)])
        assert len(made) == count
    for others in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], others, strict=True))


def test_work_counts_what_tiles_share_and_make_again():
    cost, size = StageCost(parameters=1, once=100_000, step=1_000_000), (100, 100)
    whole, halves = (cut_up(size, side, 0) for side in (100, 50))
    assert tiled_flops(cost, 3, whole, size) == tiled_flops(cost, 3, halves, size) == cost.flops(3)
    many = cut_up(size, 20, 0)  # 25 tiles, of which 12 keep their features
    assert tiled_flops(cost, 3, many, size) == 3_000_000 + 100_000 * (12 + 3 * 13) // 25
    shared = cut_up(size, 80, 20)
    assert tiled_flops(cost, 3, shared, size) == cost.flops(3) * sum(tile.cells for tile in shared) // 10_000


def test_only_large_outputs_are_cut():
    config = TileConfig(tile=64, overlap=8)
    assert not config.needed((64, 64)) and not config.needed((4096, 1)) and config.needed((65, 64))
    assert TINY.multiple == 4


@pytest.mark.parametrize(("tile", "overlap"), [(16, 0), (64, 33), (64, -1)])
def test_impossible_tiles_are_refused(tile, overlap):
    with pytest.raises(CasarbiError, match="tile="):
        TileConfig(tile, overlap)


def test_tiles_that_cannot_advance_are_refused():
    with pytest.raises(CasarbiError, match="less than the 32 pixels"):
        spans(200, 40, 16, 32)
