import pytest
from hypothesis import given
from hypothesis import strategies as st

from casarbi.errors import CasarbiError
from casarbi.scales import parse_scales, scale_label, target_size


@pytest.mark.parametrize(
    "text", ["5.3,7,10", "5.3, 7, 10", "5.3,7,10,", "x5.3,x7,x10", "5.3,7,1e1", "5.3×,7×,10×", "5.3;7;10"]
)
def test_every_spelling_of_a_list_gives_the_same_scales(text):
    assert parse_scales(text) == (5.3, 7.0, 10.0)


def test_a_decimal_comma_separates_and_a_mixture_is_an_error():
    assert parse_scales("5,3") == (5.0, 3.0)
    with pytest.raises(CasarbiError, match="'5,3' in '5,3;7'"):
        parse_scales("5,3;7")


def test_a_repeated_scale_is_run_once():
    assert parse_scales("4,2,4.0") == (4.0, 2.0)


@pytest.mark.parametrize("piece", ["0", "-2", "0.5", "nan", "inf", "1e400", "abc", ""])
def test_a_bad_scale_is_named(piece):
    with pytest.raises(CasarbiError, match=f"'{piece}'"):
        parse_scales(f"4,{piece},8")


@pytest.mark.parametrize("text", ["", " ", ","])
def test_an_empty_list_is_refused(text):
    with pytest.raises(CasarbiError):
        parse_scales(text)


def test_labels():
    assert [scale_label(scale) for scale in (5.3, 7.0, 10.7, 4 / 3)] == ["5.3", "7", "10.7", "1.333333333"]


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_the_ratio_of_two_sizes_leads_from_one_to_the_other(small, more):
    large = small + more
    assert target_size((small, small), large / small)[0] == large


@pytest.mark.parametrize("scale", [1250999896766.0, 5000.0])
def test_a_huge_scale_is_refused_before_memory_is_asked_for(scale):
    with pytest.raises(CasarbiError, match="above the limit"):
        target_size((14, 14), scale)
