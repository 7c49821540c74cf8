import dataclasses

import pytest
import torch
from scenes import scene

from casarbi.data.base import Dataset
from casarbi.data.protocol import PROTOCOLS, Protocol, default_protocol, get_protocol
from casarbi.errors import CasarbiError
from casarbi.pictures.pixels import to_uint8
from casarbi.pictures.resize import resize
from casarbi.references import DATASETS


class OneImage(Dataset):
    name = "one"
    ids = ("a",)

    def __init__(self, image, given=None):
        self.picture, self.given = image, given

    def image(self, image_id):
        return self.picture

    def lr(self, image_id, scale):
        return self.given

    def digest(self, image_id):
        return "0"


PAPER_SCALES = (5.3, 7.0, 10.0, 10.7, 12.0)


def test_face_sizes_are_the_papers():
    pairs = PROTOCOLS["face"].pairs(OneImage(scene(256, 256)), "a", PAPER_SCALES)
    assert [pair.size for pair in pairs] == [(n, n) for n in (85, 112, 160, 171, 192)]


def test_face_has_one_lr_for_all_scales_whichever_are_asked():
    data = OneImage(scene(300, 400))
    together = PROTOCOLS["face"].pairs(data, "a", PAPER_SCALES)
    alone = PROTOCOLS["face"].pairs(data, "a", (12.0,))[0]
    assert all(pair.lr is together[0].lr for pair in together)
    assert torch.equal(alone.lr, together[0].lr) and torch.equal(alone.gt, together[-1].gt)


def test_face_lr_and_gt_come_from_the_256_px_source():
    image = scene(256, 256)
    pair = PROTOCOLS["face"].pairs(OneImage(image), "a", (7.0,))[0]
    assert torch.equal(to_uint8(pair.lr), resize(to_uint8(image), (16, 16)))
    assert torch.equal(to_uint8(pair.gt), resize(to_uint8(image), (112, 112)))


def test_kim_chain_differs_from_one_lr_by_a_level_or_so():
    data = OneImage(scene(256, 256))
    ours, kim = (PROTOCOLS[name].pairs(data, "a", (5.3,))[0].lr for name in ("face", "face-kim-chain"))
    assert 0 < (ours - kim).abs().max() <= 3 / 255


def test_large_gt_is_never_an_enlargement():
    with pytest.raises(CasarbiError, match="256 px; protocol face needs 320 px"):
        PROTOCOLS["face"].pairs(OneImage(scene(256, 256)), "a", (20.0,))
    image = scene(400, 400)
    pair = PROTOCOLS["face"].pairs(OneImage(image), "a", (20.0,))[0]
    assert torch.equal(to_uint8(pair.gt), resize(to_uint8(image), (320, 320)))


def test_patch_is_a_native_crop_and_its_place_depends_on_the_id_alone():
    image = scene(300, 260)
    first, again = (PROTOCOLS["div2k-patch"].pairs(OneImage(image), "a", (4.0,))[0] for _ in range(2))
    assert first.size == (192, 192) and torch.equal(first.gt, again.gt)
    windows = image.unfold(1, 192, 1).unfold(2, 192, 1)[0]
    assert (windows == first.gt[0]).flatten(-2).all(-1).any()
    with pytest.raises(CasarbiError, match="cuts 384 px squares"):
        PROTOCOLS["div2k-patch"].pairs(OneImage(image), "a", (8.0,))


@pytest.mark.parametrize(
    ("size", "scale", "lr", "gt"),
    [
        ((361, 250), 4.0, (90, 62), (360, 248)),
        ((100, 100), 3.0, (33, 33), (99, 99)),
        ((100, 100), 5.3, (18, 18), (95, 95)),
        ((120, 120), 120 / 88, (88, 88), (120, 120)),
    ],
)
def test_full_crops_hr_at_bottom_and_right(size, scale, lr, gt):
    image = scene(*size)
    pair = PROTOCOLS["whole"].pairs(OneImage(image), "a", (scale,))[0]
    assert (tuple(pair.lr.shape[-2:]), pair.size) == (lr, gt)
    assert torch.equal(pair.gt, image[:, : gt[0], : gt[1]])


def test_benchmark_takes_the_given_lr_and_refuses_one_of_another_scale():
    image = scene(60, 40)
    given = scene(20, 13, 1)
    pair = PROTOCOLS["sr-benchmark"].pairs(OneImage(image, given), "a", (3.0,))[0]
    assert torch.equal(pair.lr, given) and pair.size == (60, 39)
    with pytest.raises(CasarbiError, match="LR of another scale"):
        PROTOCOLS["sr-benchmark"].pairs(OneImage(image, scene(30, 20)), "a", (3.0,))


def test_too_small_an_image_is_refused():
    with pytest.raises(CasarbiError, match="LR would be empty"):
        PROTOCOLS["whole"].pairs(OneImage(scene(5, 40)), "a", (8.0,))


def test_comparing_clamps_rounds_and_cuts():
    image = torch.full((3, 20, 20), 1.3)
    image[:, 10, 10] = 0.5001
    seen = PROTOCOLS["face"].compared(image, 2.0)
    assert seen.max() == 1 and seen[0, 10, 10] == torch.tensor(128 / 255)
    assert PROTOCOLS["sr-benchmark"].compared(image, 2.5).shape == (3, 14, 14)
    assert PROTOCOLS["sr-benchmark"].compared(image, 2.0)[0, 8, 8] == torch.tensor(0.5001)
    with pytest.raises(CasarbiError, match="leaves nothing"):
        PROTOCOLS["div2k-full"].compared(image, 4.0)


def test_hash_tells_protocols_apart_but_not_their_wording():
    assert len({protocol.hash for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)
    face = PROTOCOLS["face"]
    assert dataclasses.replace(face, name="x", about="y").hash == face.hash
    assert dataclasses.replace(face, lr_side=17).hash != face.hash


def test_a_mistyped_protocol_is_answered_with_near_names():
    with pytest.raises(CasarbiError, match="did you mean .*div2k-full"):
        get_protocol("div2kfull")


@pytest.mark.parametrize("name", [*DATASETS.names(), "anything"])
def test_default_protocols_never_cut_a_border(name):
    protocol: Protocol = default_protocol(name)
    assert protocol.border == "none" and protocol.quantise


def test_a_data_set_says_which_protocol_fits_its_images():
    usual = {name: default_protocol(name).name for name in DATASETS.names()}
    assert usual["portraits"] == usual["ffhq"] == usual["celebahq"] == "face"
    assert (usual["photos"], usual["deadleaves"], usual["folder"]) == ("photo", "div2k-patch", "whole")
