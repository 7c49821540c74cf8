"""Times and amounts as people read them."""

import pytest

from casarbi.units import duration, gigabytes


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (3540, "59 min"), (9000, "2 h 30 min"), (400000, "4 d 15 h")]
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_small_amounts_have_a_decimal():
    assert [gigabytes(size) for size in (0, 1_260_000_000, 12_400_000_000)] == ["0.0 GB", "1.3 GB", "12 GB"]
