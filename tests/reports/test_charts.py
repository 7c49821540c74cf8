"""Charts and contact sheets."""

import io
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from reports.charts import contact_sheet, metric_chart, nearest
from reports.document import Method

NAN = math.nan
RED = np.full((10, 12, 3), (200, 0, 0), np.uint8)


def chart(document, place=0):
    panel = document.panels[0]
    return metric_chart(panel, panel.metrics[place])


def test_chart_is_well_formed_named_and_the_same_each_time(document):
    svg = chart(document)
    assert ElementTree.fromstring(svg).get("aria-label") == "PSNR over the scale"
    assert svg == chart(document)
    assert "<style" not in svg and "<metadata" not in svg and "var(--s0" in svg


def test_chart_draws_the_papers_line_only_where_the_metric_is_the_papers(document):
    assert "LIIF, paper" in chart(document) and "paper" not in chart(document, 1)


def test_chart_has_nothing_to_say_about_one_scale_or_no_value(build):
    one = build([("a", 4.0, "psnr", 1.0, NAN, NAN, 1, "measured", NAN)], scales=(4.0,))
    none = build([("a", 5.3, "psnr", NAN, NAN, NAN, 0, "measured", NAN)])
    assert chart(one) == chart(none) == ""


def test_chart_survives_names_that_look_like_formulas_or_markup(build):
    rows = [("x", scale, "psnr", scale, NAN, NAN, 1, "measured", NAN) for scale in (5.3, 10.0)]
    svg = chart(build(rows, (Method("x", "$a_b$ <i>&"),)))
    assert "$a_b$ &lt;i&gt;&amp;" in svg and ElementTree.fromstring(svg) is not None


def test_contact_sheet_keeps_every_pixel():
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet([("LR", RED), ("GT", RED[:6])], 2))))
    assert (sheet == (200, 0, 0)).all(-1).sum() == 10 * 12 + 6 * 12
    assert (sheet[8:18, 8:20] == (200, 0, 0)).all()


def test_contact_sheet_breaks_rows_and_is_the_same_each_time():
    images = [(f"image {k} with a long label", RED) for k in range(5)]
    wide, tall = (Image.open(io.BytesIO(contact_sheet(images, columns))) for columns in (9, 2))
    assert wide.width > tall.width and wide.height < tall.height
    assert contact_sheet(images, 2) == contact_sheet(images, 2)


def test_rows_of_a_contact_sheet_are_as_high_as_their_images():
    tall, low = ("tall", np.repeat(RED, 4, axis=0)), ("low", RED)
    together, apart = (
        Image.open(io.BytesIO(contact_sheet(order, 2))) for order in ([tall, low] * 2, [tall, tall, low, low])
    )
    assert together.height - apart.height == 3 * len(RED)


@pytest.mark.parametrize(
    ("images", "columns"), [([], 2), ([("a", RED)], 0), ([("a", RED / 255)], 1), ([("a", RED[..., 0])], 1)]
)
def test_contact_sheet_refuses_what_it_cannot_show(images, columns):
    with pytest.raises(ValueError, match="empty|uint8"):
        contact_sheet(images, columns)


def test_nearest_repeats_pixels_at_any_size():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    large = nearest(image, (5, 7))
    assert large.shape == (5, 7, 3)
    assert (nearest(image, (4, 6)) == image.repeat(2, 0).repeat(2, 1)).all()
    assert (large[0, 0] == image[0, 0]).all() and (large[-1, -1] == image[-1, -1]).all()
