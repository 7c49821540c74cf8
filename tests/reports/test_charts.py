"""Charts."""

import itertools
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from reports.charts import metric_chart
from reports.document import Method

NAN = math.nan
SVG = "{http://www.w3.org/2000/svg}"


def chart(document, place=0, **options):
    panel = document.panels[0]
    return metric_chart(panel, panel.metrics[place], **options)


def test_chart_is_well_formed_named_and_the_same_each_time(document):
    svg = chart(document)
    assert ElementTree.fromstring(svg).get("aria-label") == "PSNR over the scale"
    assert svg == chart(document)
    assert "<style" not in svg and "<metadata" not in svg and "var(--s0" in svg


def test_chart_draws_the_papers_line_only_if_asked_and_where_the_metric_is_the_papers(document):
    assert "paper" not in chart(document) and "SR3" not in chart(document)
    assert "LIIF, paper" in chart(document, cited=True) and chart(document, 1, cited=True) == ""


def test_chart_has_nothing_to_say_about_one_scale_or_no_value(build):
    one = build([("a", 4.0, "psnr", 1.0, NAN, NAN, 1, "measured", NAN)], scales=(4.0,))
    none = build([("a", 5.3, "psnr", NAN, NAN, NAN, 0, "measured", NAN)])
    assert chart(one) == chart(none) == ""


def test_chart_survives_names_that_look_like_formulas_or_markup(build):
    rows = [("x", scale, "psnr", scale, NAN, NAN, 1, "measured", NAN) for scale in (5.3, 10.0)]
    svg = chart(build(rows, (Method("x", "$a_b$ <i>&"),)))
    assert "$a_b$ &lt;i&gt;&amp;" in svg and ElementTree.fromstring(svg) is not None


def test_a_logarithmic_chart_has_sides_plain_numbers_and_labels_apart(build):
    values = {"fast": 0.01, "medium": 1.0, "near": 1.01, "slow": 100.0}
    rows = [
        (name, scale, "time", factor * scale**2, NAN, NAN, 6, "measured", NAN)
        for name, factor in values.items()
        for scale in (2.0, 12.0)
    ]
    document = build(rows, scales=(2.0, 12.0), higher=False, lr_side=16)
    panel = document.panels[0]
    svg = metric_chart(panel, replace(panel.metrics[0], logarithmic=True))
    texts = ["".join(text.itertext()).strip() for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert {"×2", "32 px", "×12", "192 px"} <= set(texts) and "TIME, lower is better" in texts
    assert {"0.1", "10", "1000"} & set(texts) and not any("10^" in text or "mathdefault" in text for text in texts)
    places = [
        float(text.get("y"))
        for text in ElementTree.fromstring(svg).iter(f"{SVG}text")
        if "".join(text.itertext()).strip() in values
    ]
    assert len(places) == 4 and min(abs(a - b) for a, b in itertools.combinations(places, 2)) > 7


def test_what_is_the_same_at_every_scale_has_no_chart(build):
    rows = [("a", scale, "parameters", 1.0, NAN, NAN, 6, "measured", NAN) for scale in (5.3, 10.0)]
    panel = build(rows).panels[0]
    assert metric_chart(panel, panel.metrics[0]) and not metric_chart(panel, replace(panel.metrics[0], constant=True))
