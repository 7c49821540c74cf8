"""Charts."""

import math
import xml.etree.ElementTree as ElementTree

from reports.charts import metric_chart
from reports.document import Method

NAN = math.nan


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
