"""Images a second of the procedural data sets on one core; nothing is asserted about time."""

from __future__ import annotations

from itertools import count

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from casarbi.data.drawn import deadleaves, portraits
from casarbi.data.drawn.procedural import SPLITS, Render


@pytest.mark.parametrize("size", [128, 256, 512])
@pytest.mark.parametrize("render", [portraits.render, deadleaves.render], ids=["portraits", "deadleaves"])
def test_images_a_second(benchmark: BenchmarkFixture, render: Render, size: int) -> None:
    """Draw another test image each round; `images_per_second` is in the extra info."""
    seeds = count(SPLITS["test"][0])
    picture = benchmark.pedantic(lambda: render(next(seeds), size), rounds=24, warmup_rounds=2)
    benchmark.extra_info["images_per_second"] = round(1 / benchmark.stats.stats.mean, 2)
    assert picture.shape == (size, size, 3)
