import pytest
from click.testing import CliRunner

from benchmarks.cli import main


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Call casarbi-bench in an empty folder with one worker; returns Click's result."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        return CliRunner().invoke(main, [*words, *(("--workers", "1") if words[0] == "run" else ())])

    return call


COMPARISON = """
kind = "figure"
drawing = "comparison"
title = "Figure T"
limits = "Nothing else."
split = 3
[[methods]]
name = "Bicubic"
[[methods]]
name = "Ours"
reason = "not trained yet"
[presets.mini]
scales = [2, 3.3]
models = { Bicubic = "bicubic" }
[[presets.mini.panels]]
name = "squares"
data = "toy-squares?n=3"
protocol = "face"
pictures = [0, 2]
caption = "Squares."
"""
POSTERIOR = COMPARISON.replace('"comparison"', '"posterior"').replace("scales", "samples = 3\nshown = 2\nscales")
STAGES = COMPARISON.replace('"comparison"', '"stages"')
CHART = """
kind = "figure"
drawing = "scales"
title = "Curves"
limits = "Nothing else."
table = "t.toml"
metrics = ["psnr"]
"""
TABLE = """
title = "Table T"
[paper]
file = "table1.csv"
columns = { psnr = "psnr" }
[[methods]]
name = "LIIF"
[[methods]]
name = "Ours"
reason = "not trained yet"
[presets.mini]
scales = [5.3, 7]
metrics = ["psnr", "ssim"]
models = { LIIF = "bicubic" }
[[presets.mini.panels]]
name = "squares"
data = "toy-squares?n=2"
protocol = "face"
cite = true
"""
