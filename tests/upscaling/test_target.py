"""Sizes as people ask for them."""

import pytest

from casarbi.errors import CasarbiError
from casarbi.upscaling.target import TargetSize


@pytest.mark.parametrize(
    ("asked", "label", "size", "target"),
    [
        ({}, "x4", (10, 20), (40, 80)),
        ({"scale": "x3.70"}, "x3.7", (100, 24), (370, 89)),
        ({"scale": "1.3636363636363635"}, "x1.363636364", (88, 88), (120, 120)),  # the product is just below 120
        ({"scale": "4,4"}, "x4", (1, 1), (4, 4)),
        ({"size": "160x64"}, "160x64", (32, 80), (64, 160)),  # width first
        ({"size": " 160 × 64 "}, "160x64", (32, 80), (64, 160)),
        ({"width": 100}, "w100", (57, 86), (66, 100)),
        ({"height": 100}, "h100", (57, 86), (100, 151)),
        ({"width": 1000}, "w1000", (1, 900), (1, 1000)),
    ],
)
def test_target(asked, label, size, target):
    wanted = TargetSize.parse(**asked)
    assert wanted.label == label and wanted.of(size) == target
    assert wanted.warning(size) is None


@pytest.mark.parametrize("scale", ["0", "-2", "0.5", "nan", "inf", "1e400", "abc", "", "4,,8", "5,3"])
def test_bad_scales(scale):
    """Zero, below one, not a number, or with a decimal comma: refused before a model is loaded."""
    with pytest.raises(CasarbiError, match="decimals take a point" if scale == "5,3" else "[Ss]cale"):
        TargetSize.parse(scale=scale)


@pytest.mark.parametrize("size", ["64,160", "64", "0x5", "5x00", "-4x4", "4x4x4", "axb", "", "4.5x9"])
def test_bad_sizes(size):
    with pytest.raises(CasarbiError, match=f"'{size}' is not a size: write WIDTHxHEIGHT"):
        TargetSize.parse(size=size)


def test_one_way_of_asking():
    with pytest.raises(CasarbiError, match="--scale and --width ask for different things"):
        TargetSize.parse(scale="2", width=100)


@pytest.mark.parametrize("scale", ["1250999896766", "5000"])
def test_huge_outputs_are_refused_with_an_estimate(scale):
    with pytest.raises(CasarbiError, match=r"14x14 px asks for \d+x\d+ px \([\d,]+ GiB"):
        TargetSize.parse(scale=scale).of((14, 14))
    with pytest.raises(CasarbiError, match="limit of 100 pixels"):
        TargetSize.parse(width=20, max_pixels=100).of((14, 14))


def test_a_smaller_size_is_refused():
    with pytest.raises(CasarbiError, match="64x160 px is smaller .* did you mean 160x64?"):
        TargetSize.parse(size="64x160").of((32, 80))
    with pytest.raises(CasarbiError, match="40x16 px is smaller than the picture's 80x32 px: ask for more"):
        TargetSize.parse(width=40).of((32, 80))


def test_odd_aspects_are_warned_of():
    turned = TargetSize.parse(size="200x400").warning((40, 80))
    assert "turns the aspect of a picture of 80x40 px round: did you mean 400x200?" in turned
    assert "stretches a picture of 80x40 px by 25%" in TargetSize.parse(size="400x160").warning((40, 80))
    assert TargetSize.parse(size="401x200").warning((40, 80)) is None
