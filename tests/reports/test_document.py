"""What a document accepts, and the tidy frame it gives."""

import math

import numpy as np
import pandas as pd
import pytest

from reports.document import COLUMNS, CONDITIONS, Document, Matrix, Method, MetricColumn, Panel, empty_frame

PSNR = MetricColumn("psnr", "PSNR (dB)", True, 2, "PSNR")


def frame(*rows):
    """Rows (method, scale, metric, value, source) as a tidy frame."""
    full = [("e", "mini", m, s, k, v, math.nan, math.nan, 4, source, math.nan) for m, s, k, v, source in rows]
    return pd.DataFrame(full, columns=list(COLUMNS[: -len(CONDITIONS)])).reindex(columns=list(COLUMNS))


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (("ghost", 2.0, "psnr", 1.0, "measured"), "method"),
        (("a", 9.0, "psnr", 1.0, "measured"), "scale"),
        (("a", 2.0, "lpips", 1.0, "measured"), "metric"),
        (("a", 2.0, "psnr", 1.0, "guessed"), "source"),
    ],
)
def test_a_row_that_no_table_would_show_is_refused(row, column):
    with pytest.raises(ValueError, match=column):
        Panel("p", "", frame(row), (2.0,), (PSNR,), (Method("a"),))


def test_a_value_given_twice_is_refused():
    row = ("a", 2.0, "psnr", 1.0, "measured")
    with pytest.raises(ValueError, match="more than once"):
        Panel("p", "", frame(row, row), (2.0,), (PSNR,), (Method("a"),))


def test_other_columns_are_refused():
    with pytest.raises(ValueError, match="columns"):
        Panel("p", "", empty_frame().drop(columns="n"))


def test_panels_of_one_report_keep_their_rows_apart():
    panels = tuple(
        Panel(name, "", frame(("a", 2.0, "psnr", 1.0, "measured")), (2.0,), (PSNR,), (Method("a"),))
        for name in ("photos", "portraits")
    )
    tidy = Document("t", "table1", "mini", panels, "2025-01-01").tidy()
    assert list(tidy["experiment"]) == ["table1/photos", "table1/portraits"]
    assert list(Document("t", "table1", "mini", panels[:1], "").tidy()["experiment"]) == ["table1"]
    with pytest.raises(ValueError, match="share a name"):
        Document("t", "table1", "mini", panels[:1] * 2, "")


def test_a_matrix_becomes_rows_named_after_the_reference_scale():
    values = np.array([[1.0, 0.25], [0.75, 1.0]])
    keys = tuple({"model": "idm:a", "key": key} for key in "abcd")
    matrix = Matrix("idm", (5.3, 7.0), values, n=8, paper=values / 2, conditions=keys)
    panel = Panel("p", "", empty_frame(), matrices=(matrix,))
    tidy = Document("t", "table2", "mini", (panel,), "").tidy().set_index(["scale", "metric"])
    row = tidy.loc[(7.0, "selfssim@5.3")]
    assert (row["value"], row["paper_value"], row["n"], row["source"]) == (0.75, 0.375, 8, "measured")
    assert (row["model"], row["key"]) == ("idm:a", "c")


def test_a_matrix_of_the_paper_alone_is_cited():
    panel = Panel("p", "", empty_frame(), matrices=(Matrix("idm", (5.3,), paper=np.array([[1.0]])),))
    assert list(Document("t", "t2", "mini", (panel,), "").tidy()["source"]) == ["cited"]


def test_a_matrix_of_another_size_than_its_labels_is_refused():
    with pytest.raises(ValueError, match="expected"):
        Matrix("idm", (5.3, 7.0), np.ones((3, 3)))
