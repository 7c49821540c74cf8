"""Declarations of figures, and of the table that one of them draws, on toy data."""

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
