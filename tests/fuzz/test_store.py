"""No file in a store ends in a traceback, runs code, costs more than it weighs, or changes a value unseen."""

import pytest

from fuzz.runner import judge
from fuzz.store import cases, open_store


@pytest.mark.parametrize("count", [120, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_and_hostile_parts(tmp_path, count):
    counts = judge(cases(count, seed=count), open_store, tmp_path)
    unseen = sum("passed unseen" in fault.detail for fault in counts.faults)
    print(f"\n{counts}\nskipped and said {counts.refused}, read {counts.loaded}, wrong values passed unseen {unseen}")
    assert counts.faults == [], counts
    assert counts.loaded and counts.refused
