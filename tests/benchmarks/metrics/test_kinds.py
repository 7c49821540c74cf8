"""A metric answers for itself: the harness asks it for columns and a value, and never of what kind it is."""

import csv
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner

import benchmarks.metrics
from benchmarks.cli import main
from benchmarks.doctor import check_metric
from benchmarks.metrics import create_metric
from benchmarks.metrics.base import Column, Metric, MetricInfo, Output, Stored, Value, fill_row
from benchmarks.statistics import Interval
from benchmarks.store.rows import Row, column_name

BENCHMARKS = Path(benchmarks.metrics.__file__).parents[1]


class Brightness(Metric):
    """How much brighter the outputs are, over all of them: of no kind that ships, and with two columns per output."""

    per_image = False
    info = MetricInfo(
        name="brightness",
        label="Brightness",
        higher_is_better=False,
        lowest=-math.inf,
        highest=math.inf,
        min_side=1,
        decimals=4,
        description="mean of the outputs less mean of the references",
    )

    def columns(self, scale, scales):
        names = (column_name(f"brightness-{side}", self.identity) for side in ("sr", "gt"))
        fills = (lambda output: float(output.sr.mean()), lambda output: float(output.gt.mean()))
        return [Column(name, self.info, fill) for name, fill in zip(names, fills, strict=True)]

    def value(self, stored):
        sr, gt = (stored.numbers(column.name) for column in self.columns(stored.scale, ()))
        places = tuple(place for place, value in enumerate(sr) if not math.isnan(value))
        mean = sum(sr[place] - gt[place] for place in places) / len(places) if places else math.nan
        return Value(Interval(mean, math.nan, math.nan, len(places)), "brightness", places)


@pytest.fixture
def brightness(monkeypatch):
    """Register the metric as a newcomer would: a module and a line of the registry."""
    module = ModuleType("benchmarks.metrics.brightness")
    module.INFO, module.create = {"brightness": Brightness.info}, lambda name: Brightness()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(benchmarks.metrics._MODULES, "brightness", ("brightness",))


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_metric_of_its_own_kind_needs_only_its_file_and_a_line_of_the_registry(brightness, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["grid", "--models", "bicubic,toys:noisy", "--data", "toys:squares?n=3", "--scales", "2"]
    words += ["--protocol", "face", "--metrics", "brightness", "--workers", "1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    single = rows("reports/out/grid/grid-images.csv")
    assert {row["metric"] for row in single} == {"brightness-sr", "brightness-gt"} and len(single) == 3 * 2 * 2
    for row in rows("reports/out/grid/grid.csv"):
        mine = [r for r in single if r["method"] == row["method"]]
        sr, gt = (sum(float(r["value"]) for r in mine if r["metric"] == f"brightness-{side}") for side in ("sr", "gt"))
        assert float(row["value"]) == pytest.approx((sr - gt) / 3) and row["n"] == "3" and row["key"]
    assert "Measured" not in CliRunner().invoke(main, words).output
    assert check_metric("brightness").status == "ok"


def test_nothing_outside_the_metrics_asks_of_what_kind_one_is():
    sources = [p for p in BENCHMARKS.rglob("*.py") if not {"metrics", "speed"} & set(p.relative_to(BENCHMARKS).parts)]
    assert len(sources) > 20
    assert [path.name for path in sources if "metrics.kinds" in path.read_text("utf-8")] == []


def stored(scores, towards=math.nan, name=""):
    """Rows of one column; None for an image that was not measured."""
    values = [None if score is None else Row("i", "", {name: score}) for score in scores]
    return Stored(2.0, values, towards=towards)


def test_an_image_metric_is_the_mean_of_what_is_finite_and_says_which_images_those_are():
    metric = create_metric("psnr")
    (column,) = metric.columns(2.0, (2.0, 3.0))
    value = metric.value(stored([30.0, math.inf, None, 32.0], name=column.name))
    assert value.interval.mean == 31 and value.interval.n_infinite == 1 and value.behind == (0, 3)
    assert value.source == f"psnr of {column.name}" and math.isnan(value.scores[2])
    assert metric.value(stored([math.inf, None, math.inf], name=column.name)).behind == (0, 2)


def test_a_metric_between_scales_fills_a_column_per_other_scale_and_is_perfect_towards_its_own():
    metric = create_metric("selfssim")
    names = [column.name.partition("#")[0] for column in metric.columns(2.0, (2.0, 3.0, 5.3))]
    assert names == ["selfssim@3", "selfssim@5.3"]
    (column,) = metric.columns(2.0, (2.0, 3.0))
    one = metric.value(stored([0.5, None, 0.75], towards=3.0, name=column.name))
    assert (one.interval.mean, one.interval.n, one.source) == (0.625, 2, column.name)
    own = metric.value(stored([0.5, None, 0.75], towards=2.0, name=column.name))
    assert (own.interval.mean, own.interval.n, own.behind) == (1.0, 2, ())


def test_a_column_that_cannot_be_filled_says_why_and_costs_no_other():
    white, row = torch.ones(3, 16, 16), Row("a", "")
    output = Output(2.0, white, white * 0.5, {2.0: white})
    metrics = [create_metric(name) for name in ("psnr", "selfssim", "ms-ssim")]
    fill_row(row, [column for metric in metrics for column in metric.columns(2.0, (2.0, 3.0))], output)
    assert {name.partition("#")[0] for name in row.values} == {"psnr"}
    reasons = {name.partition("#")[0]: why for name, why in row.failures.items()}
    assert reasons == {
        "selfssim@3": "there is no output at x3 to compare with",
        "ms-ssim": "ms-ssim needs 176 px a side",
    }
