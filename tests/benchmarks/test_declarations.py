"""Declarations of experiments: those that ship, and mistakes in them."""

from itertools import product

import pytest

from benchmarks.experiments import grid_experiment, load_experiment
from benchmarks.kinds import TABLE, experiment_names
from casarbi.errors import CasarbiError

GOOD = """
title = "Mine"
[paper]
file = "table1.csv"
columns = { psnr = "psnr" }
[[methods]]
name = "Bicubic"
[[methods]]
name = "LIIF"
reason = '''
not
trained yet'''
[presets.mini]
scales = [2]
metrics = ["psnr"]
models = { Bicubic = "bicubic" }
[[presets.mini.panels]]
name = "mine"
data = "photos"
protocol = "whole"
samples = 1
sample_scale = 2
"""


@pytest.fixture
def load(tmp_path):
    """Load the good declaration with one piece replaced."""

    def read(old="", new="", preset="mini"):
        assert old in GOOD
        path = tmp_path / "mine.toml"
        path.write_text(GOOD.replace(old, new, 1) if old else GOOD + new, encoding="utf-8")
        return load_experiment(str(path), preset)

    return read


@pytest.mark.parametrize(
    ("name", "preset"), [*product(experiment_names(TABLE), ["mini", "paper"]), ("table1", "faces")]
)
def test_shipped_declarations_are_read(name, preset):
    experiment = load_experiment(name, preset)
    assert experiment.panels and experiment.scales and experiment.title


def test_panels_of_a_grid_have_a_name_each():
    data = ("photos?n=1", "my-set?n=1", "photos-2?n=1", "my-set?n=2", "photos?n=2")
    options = {"protocol": "whole", "seed": 0, "small_n": False}
    grid = grid_experiment("g", "G", data, ("bicubic",), (2.0,), ("psnr",), **options)
    assert [panel.name for panel in grid.panels] == ["photos", "my-set", "photos-2", "my-set-2", "photos-3"]


def test_prose_over_several_lines_is_folded(load):
    experiment = load("scales = [2]", "scales = [2, 3e0]")
    assert experiment.panels[0].methods[1].reason == "not trained yet" and experiment.scales == (2.0, 3.0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "Mine"', 'title = "Mine"\nsumary = "x"', "mine.toml has no setting 'sumary': did you mean summary"),
        ('title = "Mine"', 'title = "Mine"\nsplt = 4', "mine.toml has no setting 'splt': did you mean split"),
        ('name = "LIIF"', 'name = "LIIF"\ngruop = "A"', r"\[methods.2\] has no setting 'gruop': did you mean group"),
        ('name = "LIIF"', 'name = "LIIF"\nmodel = "liif"', r"\[methods.2\] has no setting 'model'"),
        ("scales = [2]", "scales = [2]\nsead = 5", r"\[presets.mini\] has no setting 'sead': did you mean seed"),
        ("scales = [2]", "scales = [2]\noptionals = []", "no setting 'optionals': did you mean optional"),
        ("scales = [2]", "scales = [2]\nsmall-n = true", "no setting 'small-n': did you mean small_n"),
        ("samples", "sampels", r"\[presets.mini.panels.1\] has no setting 'sampels': did you mean samples"),
        ("[paper]", "[paper]\nnotes = 'x'", r"\[paper\] has no setting 'notes': did you mean note"),
        ("scales = [2]", "scales = 2", r"\[presets.mini\] scales = 2 is not a list"),
        ("scales = [2]", "scales = ['2']", "scales = '2' is not a number"),
        ("scales = [2]", "scales = [0.5]", "expected finite numbers of at least 1"),
        ("scales = [2]", "scales = [nan]", "expected finite numbers of at least 1"),
        ("scales = [2]", "scales = []", "scales is empty"),
        ("scales = [2]", "scales = [2]\nseed = 1.5", "seed = 1.5 is not a whole number"),
        ("scales = [2]", "scales = [2]\nsmall_n = 1", "small_n = 1 is not true or false"),
        ("scales = [2]", "", r"\[presets.mini\] lacks the setting 'scales'"),
        ('["psnr"]', '["pnsr"]', "no metric 'pnsr': did you mean psnr"),
        ('name = "LIIF"', 'name = "Bicubic"', "'Bicubic' twice"),
        ("{ Bicubic =", "{ Bicubc =", "no row in methods 'Bicubc': did you mean Bicubic"),
        ('Bicubic = "bicubic"', 'Bicubic = "in "', "names the model 'in '"),
        ("models = { Bicubic", "models = 5 # { Bicubic", "models = 5 is not a table"),
        ('"whole"', '"whol"', "mine.toml: There is no protocol 'whol': did you mean whole"),
        ('"table1.csv"', '"../../x.csv"', "no table of the paper"),
        ('psnr = "psnr"', 'psnr = "PSNR"', "no column in table1.csv 'PSNR': did you mean psnr"),
        ('"table1.csv"', '"table6.csv"', "no column in table6.csv 'method'"),
        ("sample_scale = 2", "", "samples = 1 at sample_scale = 0"),
        ("[paper]", "[paper]\nkey = 'mthod'", "no column in table1.csv 'mthod': did you mean method"),
        ("[paper]", "[paper]\nrows = { LIF = 'LIIF' }", "no row in methods 'LIF': did you mean LIIF"),
        ("[paper]", "[paper]\nrows = { LIIF = 'LIF' }", "no method in table1.csv 'LIF': did you mean LIIF"),
        ("[paper]", "[paper]\nwhere = { split_ = 'in' }", "no column in table1.csv 'split_': did you mean split"),
        ('name = "mine"', 'name = "paper"', "has a panel 'paper', which names the paper's numbers"),
        ('name = "mine"', 'name = "mine"\nnoise = "independant"', "'independant' is unknown: did you mean independent"),
        ('name = "mine"', 'name = "mine"\nmetrics = ["pnsr"]', "no metric 'pnsr': did you mean psnr"),
        ('name = "mine"', 'name = "mine"\nmetrics = ["psnr", "psnr"]', "panel 'mine' metrics has 'psnr' twice"),
        ('name = "mine"', 'name = "mine\\n\\u001b"\nx = 1', r"no setting 'x'"),
        ('title = "Mine"', "", "lacks the setting 'title'"),
        ('title = "Mine"', "title = [[", "is no valid TOML"),
        ("[presets.mini]", "[presets.mini]\n'\\n\\e' = 1", "is no valid TOML|has no setting"),
    ],
)
def test_mistakes_are_refused_with_their_name_and_place(load, old, new, words):
    with pytest.raises(CasarbiError, match=words) as caught:
        load(old, new)
    assert "mine.toml" in str(caught.value) and caught.value.__class__ is CasarbiError


def test_what_is_no_text_or_no_preset_is_refused(load, tmp_path):
    with pytest.raises(CasarbiError, match="no preset 'mni': did you mean mini"):
        load(preset="mni")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(CasarbiError, match="no valid TOML"):
        load_experiment(str(tmp_path / "bytes.toml"))
    (tmp_path / "deep.toml").write_text("a = " + "[" * 20000)
    with pytest.raises(CasarbiError, match="no valid TOML"):
        load_experiment(str(tmp_path / "deep.toml"))
