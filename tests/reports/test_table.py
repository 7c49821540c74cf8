"""Marks, digits and footnotes of the printed entries."""

import math
from dataclasses import replace

import pytest

from reports.document import Method
from reports.legend import footnotes, legend
from reports.table import fixed, panel_tables

NAN = math.nan


def entries(document, place=0):
    """Entries by method title of one table."""
    return {row.title: row.entries for row in panel_tables(document.panels[0])[place].rows}


def ranked(build, values, source="measured", **options):
    """Marks of methods a, b, c … with the given values at one scale out of two."""
    rows = [("abcdef"[k], 5.3, "psnr", value, NAN, NAN, 4, source, NAN) for k, value in enumerate(values)]
    return [row[0].mark for row in entries(build(rows, **options)).values()]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (-1e-9, 2, "0.00"),
        (-0.004, 2, "0.00"),
        (-0.006, 2, "-0.01"),
        (24.905, 2, "24.91"),
        (math.inf, 2, "∞"),
        (1e300, 2, "1.000e+300"),
        (3.0, 0, "3"),
    ],
)
def test_digits(value, decimals, text):
    assert fixed(value, decimals) == text


@pytest.mark.parametrize(
    ("values", "marks"),
    [
        ([24.0, 26.0, 25.0], ["", "best", "second"]),
        ([24.001, 24.002, 23.0], ["best", "best", "second"]),
        ([26.0, 25.001, 25.004], ["best", "second", "second"]),
        ([24.0, NAN, 23.0], ["best", "", "second"]),
        ([math.inf, 40.0, 30.0], ["best", "second", ""]),
        ([24.0, NAN], ["", ""]),
    ],
)
def test_best_and_second_are_compared_as_printed(build, values, marks):
    assert ranked(build, values) == marks


def test_direction_turns_the_marks_round(build):
    assert ranked(build, [0.2, 0.1, 0.3], higher=False) == ["second", "best", ""]


def test_a_cited_value_is_never_ranked(build):
    rows = [
        ("ours", 5.3, "psnr", 24.0, NAN, NAN, 4, "measured", NAN),
        ("bicubic", 5.3, "psnr", 23.0, NAN, NAN, 4, "measured", NAN),
        ("sr3", 5.3, "psnr", 99.0, NAN, NAN, 0, "cited", 99.0),
    ]
    assert [row[0].mark for row in entries(build(rows)).values()] == ["best", "second", ""]
    assert ranked(build, [1.0, 2.0], source="cited") == ["", ""]


def test_states_tell_failed_missing_and_cited_apart(document):
    found = entries(document)
    assert [entry.state for entry in found["Broken"]] == ["failed", "missing"]
    assert [entry.text for entry in found["Broken"]] == ["failed", "—"]
    assert [entry.state for entry in found["SR3"]] == ["missing", "cited"]


def test_a_metric_without_a_twin_in_the_paper_shows_none_of_its_values(document):
    table = panel_tables(document.panels[0])[1]
    assert table.title == "ST-LPIPS" and not any(entry.paper for entry in table.entries)


def test_a_method_without_rows_for_a_metric_is_left_out_there(document):
    assert list(entries(document, 1)) == ["Bicubic", "LIIF"]


def test_cells_outside_the_trained_range_and_with_another_n_say_so(document):
    inside, outside = entries(document)["LIIF"]
    assert (inside.outside, inside.n, outside.outside, outside.n) == (False, 0, True, 31)
    assert not any(entry.outside for entry in entries(document)["Bicubic"])


def test_interval_and_its_larger_half(document):
    entry = entries(document)["Bicubic"][0]
    assert (entry.interval, entry.half) == ("23.60, 24.50", "0.50")


def test_the_papers_digits_are_not_padded_to_ours(build):
    rows = [
        ("edsr", 4.0, "ssim", 0.83, NAN, NAN, 0, "cited", 0.83),
        ("liif", 4.0, "ssim", 0.8123, NAN, NAN, 9, "measured", 0.8),
    ]
    found = entries(build(rows, scales=(4.0,), decimals=4))
    assert found["edsr"][0].text == "0.83" and (found["liif"][0].text, found["liif"][0].paper) == ("0.8123", "0.80")


def test_one_scale_puts_the_metrics_side_by_side(build):
    rows = [("a", 4.0, name, 1.0, NAN, NAN, 9, "measured", NAN) for name in ("psnr", "ssim")]
    (table,) = panel_tables(build(rows, scales=(4.0,)).panels[0])
    assert [heading.label for heading in table.headings] == ["PSNR", "SSIM"] and table.title == "×4"


def test_legend_explains_what_occurs_and_nothing_else(document, build):
    panel = document.panels[0]
    text = " ".join(legend(panel_tables(panel), panel, "bold", "underlined", "[low, high]"))
    assert all(word in text for word in ("95 %", "bold", "cited, paper", "†", "up to 8", "failed", "— not measured"))
    plain = build([("a", 5.3, "psnr", 1.0, NAN, NAN, 1, "measured", NAN)], scales=(5.3,)).panels[0]
    assert legend(panel_tables(plain), plain, "bold", "underlined", "±") == []


def test_methods_with_the_same_reason_share_a_footnote(build):
    rows = [(name, 5.3, "psnr", NAN, NAN, NAN, 0, "missing", NAN) for name in ("idm", "kim", "liif")]
    methods = (Method("idm", reason="no weights"), Method("kim", reason="no weights"), Method("liif", reason="no GPU"))
    assert footnotes(panel_tables(build(rows, methods).panels[0])) == {1: "idm, kim: no weights", 2: "liif: no GPU"}


def test_marks_follow_the_images_that_methods_share(build):
    """A method that failed on the hard pictures is not the best (ScrollPrize/villa#1477)."""
    shared = {("a", 5.3, "psnr"): 32.56, ("b", 5.3, "psnr"): 31.25}
    document = build(
        [
            ("a", 5.3, "psnr", 27.92, NAN, NAN, 6, "measured", NAN),
            ("b", 5.3, "psnr", 31.25, NAN, NAN, 4, "measured", NAN),
        ],
        shared=shared,
    )
    assert [row[0].mark for row in entries(document).values()] == ["best", "second"]
    panel = document.panels[0]
    assert "by the images that all its methods have" in " ".join(legend(panel_tables(panel), panel, "b", "u", "±"))
    nothing = build(
        [(m, 5.3, "psnr", 1.0, NAN, NAN, 1, "measured", NAN) for m in "ab"], shared=dict.fromkeys(shared, NAN)
    )
    assert [row[0].mark for row in entries(nothing).values()] == ["", ""]


def times(build, flags=None, **changes):
    """Seconds of two methods at two scales, with changes of the column."""
    rows = [
        (method, scale, "time", factor * scale, NAN, NAN, 6, "measured", NAN)
        for method, factor in (("a", 0.01), ("b", 1.0))
        for scale in (5.3, 10.0)
    ]
    document = build(rows, higher=False, decimals=3, flags=flags or {}, lr_side=16)
    panel = document.panels[0]
    metrics = tuple(replace(metric, **changes) for metric in panel.metrics)
    return replace(document, panels=(replace(panel, metrics=metrics),))


def test_a_flagged_value_bears_a_mark_and_the_legend_says_why_once(build):
    flags = {("a", 10.0, "time"): ("Noisy: others ran",), ("b", 5.3, "time"): ("Noisy: others ran", "Noisy: spread")}
    document = times(build, flags)
    assert [[entry.signs for entry in row] for row in entries(document).values()] == [["", "‡"], ["‡", ""]]
    assert {entry.mark for row in entries(document).values() for entry in row} == {""}
    assert {entry.mark for row in entries(times(build)).values() for entry in row} == {"best", "second"}
    panel = document.panels[0]
    sentences = legend(panel_tables(panel), panel, "bold", "underlined", "±")
    assert sentences[-2:] == ["‡ Noisy: others ran: a ×10, b ×5.3.", "‡ Noisy: spread: b ×5.3."]


def test_what_is_the_same_at_every_scale_is_printed_once(build):
    (table,) = panel_tables(times(build, constant=True).panels[0])
    assert [heading.label for heading in table.headings] == ["at every scale"]
    assert [[entry.text for entry in row.entries] for row in table.rows] == [["0.053"], ["5.300"]]


def test_without_a_direction_nothing_is_ranked(build):
    document = times(build, higher_is_better=None)
    assert {entry.mark for row in entries(document).values() for entry in row} == {""}
    assert panel_tables(document.panels[0])[0].arrow == ""


def test_an_interval_is_called_what_it_is(build):
    document = build([("a", 5.3, "time", 1.0, 0.9, 1.1, 6, "measured", NAN)], interval="95 % interval of the median")
    panel = document.panels[0]
    assert "±: 95 % interval of the median." in legend(panel_tables(panel), panel, "bold", "underlined", "±")
