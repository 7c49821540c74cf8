import numpy as np
import pytest
import torch

from casarbi.data.drawn.procedural import SPLITS, Procedural
from casarbi.errors import CasarbiError


def noise(seed, size):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def build(version="1", **options):
    return Procedural("noise", version, noise, **{"n": 3, "size": 40} | options)


def test_image_is_what_was_drawn_for_its_seed():
    data = build()
    assert data.ids == ("test-00000", "test-00001", "test-00002")
    expected = torch.from_numpy(noise(SPLITS["test"][0] + 2, 40)).permute(2, 0, 1).float() / 255
    assert torch.equal(data.image("test-00002"), expected)


def test_splits_never_meet():
    seeds = [range(start, start + count) for start, count in SPLITS.values()]
    ordered = sorted(seeds, key=lambda r: r.start)
    assert all(a.stop <= b.start for a, b in zip(ordered[:-1], ordered[1:], strict=True))


@pytest.mark.parametrize("other", [{"version": "2"}, {"size": 41}, {"split": "val"}, {"n": 2}])
def test_fingerprint_tells_versions_sizes_and_splits_apart(other):
    assert build().fingerprint == build().fingerprint != build(**other).fingerprint


def test_more_images_do_not_change_the_first():
    assert build(n=5).digest("test-00001") == build().digest("test-00001")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"split": "testing"}, "choose train, val, test"),
        ({"n": 0}, "n=0"),
        ({"n": 2**20 + 1}, "1 to 1,048,576 images"),
        ({"size": 31}, "32 to 512 px, but size=31"),
    ],
)
def test_bad_options_are_named(options, sentence):
    with pytest.raises(CasarbiError, match=sentence):
        build(**options)


@pytest.mark.parametrize("image_id", ["test-00003", "val-00001", "test-1", "test-000001", "", "test-x"])
def test_unknown_ids_are_refused(image_id):
    with pytest.raises(CasarbiError, match="test-00000 to test-00002"):
        build().image(image_id)
