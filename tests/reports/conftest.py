"""A small Table I with every kind of entry."""

import math

import numpy as np
import pandas as pd
import pytest

from casarbi.pictures.sheet import contact_sheet
from reports.document import COLUMNS, CONDITIONS, Document, Matrix, Method, MetricColumn, Panel, Sheet

NAN = math.nan


@pytest.fixture
def build():
    """Build a document from rows (method, scale, metric, value, low, high, n, source, paper_value)."""

    def make(rows, methods=None, scales=(5.3, 10.0), decimals=2, higher=True, **panel):
        frame = pd.DataFrame([("table1", "mini", *row) for row in rows], columns=list(COLUMNS[: -len(CONDITIONS)]))
        frame = frame.reindex(columns=list(COLUMNS))
        metrics = tuple(
            MetricColumn(name, name.upper(), higher, decimals, "" if name.startswith("st-") else name.upper())
            for name in dict.fromkeys(row[2] for row in rows)
        )
        methods = methods or tuple(Method(name) for name in dict.fromkeys(row[0] for row in rows))
        panels = (Panel("portraits", "Faces.", frame, scales, metrics, methods, **panel),)
        return Document("Table I", "table1", "mini", panels, "2025-06-12", command="make reproduce-table1")

    return make


@pytest.fixture
def document(build):
    """Two measured methods, one cited, one failed, one missing, a matrix and a picture."""
    rows = [
        ("bicubic", 5.3, "psnr", 24.1, 23.6, 24.5, 32, "measured", NAN),
        ("bicubic", 10.0, "psnr", 20.7, 20.2, 21.1, 32, "measured", NAN),
        ("liif", 5.3, "psnr", 25.3, 24.8, 25.7, 32, "measured", 27.52),
        ("liif", 10.0, "psnr", 21.7, 21.3, 22.2, 31, "measured", 22.97),
        ("sr3", 5.3, "psnr", NAN, NAN, NAN, 0, "cited", NAN),
        ("sr3", 10.0, "psnr", 20.25, NAN, NAN, 0, "cited", 20.25),
        ("broken", 5.3, "psnr", NAN, NAN, NAN, 0, "measured", NAN),
        ("broken", 10.0, "psnr", NAN, NAN, NAN, 0, "missing", NAN),
        ("bicubic", 5.3, "st-lpips", 0.35, NAN, NAN, 32, "measured", NAN),
        ("liif", 5.3, "st-lpips", 0.29, NAN, NAN, 32, "measured", 0.1207),
        ("bicubic", 10.0, "st-lpips", 0.42, NAN, NAN, 32, "measured", NAN),
        ("liif", 10.0, "st-lpips", 0.34, NAN, NAN, 32, "measured", 0.2246),
    ]
    methods = (
        Method("bicubic", "Bicubic"),
        Method("liif", "LIIF", trained=(1, 8)),
        Method("sr3", "SR3", reason="it is not built yet"),
        Method("broken", "Broken", reason="all outputs were NaN, see `status`"),
    )
    sheet = contact_sheet([("LR", np.zeros((8, 8, 3), np.uint8))], 1)
    return build(
        rows,
        methods,
        split=8.0,
        paper_note="Table I",
        warnings=("Other data than the paper's.",),
        facts=(("Data", "portraits, N = 32"), ("Protocol", "hash 9b1d")),
        matrices=(Matrix("liif", (5.3, 10.0), np.array([[1.0, 0.9], [0.8, 1.0]])),),
        sheets=(Sheet(sheet, "A strip.", "LR alone"),),
    )
