"""The paper's numbers: beside measurements of its own data only, else in a table of their own; what its CSVs hold."""

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.cli import main
from benchmarks.collect.cited import cited_panel
from benchmarks.experiments import load_experiment
from benchmarks.experiments.declaration import PAPER, PaperTable
from benchmarks.kinds import TABLE, experiment_names

TOML = """
title = "Table T"

[paper]
file = "table1.csv"
columns = { psnr = "psnr" }
note = "Table I"
data = "celebahq"
images = "CelebA-HQ"
cautions = ["A caution of the paper."]

[[methods]]
name = "LIIF"
[[methods]]
name = "SR3"
cited = true
[[methods]]
name = "Ours"
reason = "not trained yet"

[presets.mini]
scales = [5.3, 7]
metrics = ["psnr"]
models = { LIIF = "bicubic" }
[[presets.mini.panels]]
name = "squares"
data = "toy-squares?n=2"
protocol = "face"
cite = true
"""


def run(tmp_path, monkeypatch, text=TOML):
    """Reports of a declaration that was run: the result and the rows of its CSV."""
    monkeypatch.chdir(tmp_path)
    Path("t.toml").write_text(text)
    result = CliRunner().invoke(main, ["run", "t.toml", "--workers", "1"])
    assert result.exit_code == 0, result.output
    with open("reports/out/t/t.csv", newline="", encoding="utf-8") as file:
        return result, list(csv.DictReader(file))


def test_numbers_of_other_data_stand_in_a_table_of_their_own(tmp_path, monkeypatch):
    result, rows = run(tmp_path, monkeypatch)
    ours = [row for row in rows if row["experiment"] == "t"]
    papers = [row for row in rows if row["experiment"] == "t/paper"]
    assert len(ours) + len(papers) == len(rows)
    assert {(row["method"], row["source"]) for row in ours} == {("LIIF", "measured"), ("Ours", "missing")}
    assert not any(row["paper_value"] for row in ours)
    found = {(row["method"], row["scale"]): row["value"] for row in papers}
    assert found["LIIF", "5.3"] == "27.52" and found["SR3", "7"] == "21.15" and found["Ours", "7"] == "24.39"
    assert {row["source"] for row in papers} == {"cited"} and not any(row["data"] for row in papers)
    # In every format: which data is whose, the paper's numbers, what to know of them, why a row is empty.
    for text in (result.output, *(Path(f"reports/out/t/t.{e}").read_text("utf-8") for e in ("html", "md", "tex"))):
        words = " ".join(text.replace("\\allowbreak{}", "").split())
        assert "The measured values are of 2 images of toy-squares" in words and "are of CelebA-HQ, other data" in words
        assert "27.52" in words and "A caution of the paper." in words and "not trained yet" in words
    page = Path("reports/out/t/t.html").read_text("utf-8")
    assert "paper 27.52" not in page and page.index("27.52") > page.index('aria-label="paper"')


def test_a_row_that_the_paper_lacks_stands_where_it_is_measured_alone(tmp_path, monkeypatch):
    text = TOML.replace('[[methods]]\nname = "SR3"', '[[methods]]\nname = "LIIF, same data"\n[[methods]]\nname = "SR3"')
    _, rows = run(tmp_path, monkeypatch, text)
    assert "LIIF, same data" not in {row["method"] for row in rows}
    _, rows = run(
        tmp_path, monkeypatch, text.replace('LIIF = "bicubic"', 'LIIF = "bicubic", "LIIF, same data" = "bicubic"')
    )
    found = {(row["method"], row["experiment"]) for row in rows if row["source"] in ("measured", "cited")}
    assert ("LIIF, same data", "t") in found and ("LIIF, same data", "t/paper") not in found


def test_numbers_of_the_same_data_stand_beside(tmp_path, monkeypatch):
    text = TOML.replace('"celebahq"', '"toy-squares"').replace("CelebA-HQ", "Squares-HQ")
    result, rows = run(tmp_path, monkeypatch, text)
    assert {row["experiment"] for row in rows} == {"t"}
    found = {(row["method"], row["scale"]): (row["source"], row["paper_value"]) for row in rows}
    assert found["LIIF", "7"] == ("measured", "25.09") and found["SR3", "7"] == ("cited", "21.15")
    assert "beside them are of Squares-HQ too" in result.output and "A caution of the paper." in result.output
    assert "paper 25.09" in Path("reports/out/t/t.html").read_text("utf-8")


def test_other_data_in_place_of_the_papers_parts_them():
    experiment = load_experiment("table1", "paper")
    assert all(map(experiment.beside, experiment.panels)) and not experiment.apart
    assert experiment.with_data("portraits?n=2").apart
    assert not load_experiment("table1").with_data("celebahq:DIR").apart


def test_both_rules_of_noise_move_to_other_data():
    moved = load_experiment("table2").with_data("celebahq:DIR")
    assert [(panel.name, panel.data, panel.noise) for panel in moved.panels] == [
        ("celebahq", "celebahq:DIR", "shared"),
        ("celebahq-independent", "celebahq:DIR", "independent"),
    ]


@pytest.mark.parametrize("name", experiment_names(TABLE))
def test_every_shipped_table_parts_drawn_and_small_data_from_the_papers(name):
    mini, paper = load_experiment(name), load_experiment(name, "paper")
    assert mini.apart and not paper.apart and cited_panel(mini)
    assert mini.paper.note and mini.paper.images
    # Whatever is not measured says why.
    assert all(row.model or row.reason for panel in mini.panels if panel.cite for row in panel.methods)


@pytest.mark.parametrize(
    ("name", "asked", "value"),
    [
        ("table2", ("Kim", 7.0, "selfssim", 5.3), 0.922),
        ("table2", ("Kim", 7.0, "selfssim", 8.0), None),
        ("table3", ("IDM (D+F)", 4.0, "ssim"), 0.78),
        ("table4", ("Ours", 8.0, "psnr"), 24.98),
        ("table4", ("LIIF", 8.0, "psnr"), None),  # of another paper
        ("table6", ("SCG with initial LR", 10.0, "psnr"), 23.73),
        ("table6", ("No SCG", 12.0, "selfssim", 10.0), 0.894),
        ("table7", ("Single stage", 12.0, "lpips-alex"), 0.1665),
        ("table7", ("Single stage", 8.0, "lpips-alex"), None),  # inferred to be at 12x
        ("table8", ("No adapter", 8.0, "psnr"), 23.96),
        ("table9", ("Remainder first", 8.0, "fid"), 41.71),
        ("table9", ("Remainder first", 12.0, "fid"), None),
    ],
)
def test_numbers_are_found_by_row_scale_and_metric(name, asked, value):
    assert load_experiment(name).paper.value(*asked) == value


def test_every_number_of_the_ablations_is_shown():
    """A row's name that met no line of the CSV would lose numbers in silence."""
    for name in ("table6", "table7", "table8", "table9"):
        panel = cited_panel(load_experiment(name))
        paper = load_experiment(name).paper
        with open(PAPER / paper.file, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        scalars = [column for metric, column in paper.columns.items() if not paper.between_scales(metric)]
        assert len(panel.frame) == sum(bool(line[column]) for line in lines for column in scalars)
        assert sum(matrix.paper.size for matrix in panel.matrices) in (0, len(lines))


def test_a_table_of_one_scale_holds_for_every_scale_unless_it_says_which():
    paper = PaperTable("table7.csv", {"psnr": "psnr"})
    assert paper.value("Cascade", 5.3, "psnr") == paper.value("Cascade", 12.0, "psnr") == 23.77


def test_a_panel_of_which_nothing_can_be_measured_gives_its_reasons_in_place_of_dashes(tmp_path, monkeypatch):
    second = TOML[TOML.index("[[presets.mini.panels]]") :].replace('"squares"', '"own"').replace("n=2", "n=3")
    text = TOML.replace('{ LIIF = "bicubic" }', "{}").replace("cite = true", 'cite = true\nmodels.LIIF = "bicubic"')
    text = text.replace('metrics = ["psnr"]', 'metrics = ["psnr", "fd-st-alex"]') + second
    result, rows = run(tmp_path, monkeypatch, text.replace('name = "LIIF"', 'name = "LIIF"\nreason = "no file"', 1))
    page = Path("reports/out/t/t.md").read_text("utf-8").split("## own")[1].split("## paper")[0]
    assert "Not measured: LIIF: no file." in page and "Not measured: Ours: not trained yet." in page
    assert "Not measured: LIIF: no file." in Path("reports/out/t/t.tex").read_text("utf-8")
    assert "—" not in page and not [row for row in rows if row["experiment"] == "t/own"]
    assert "Measured 8 outputs" in result.output  # those of bicubic and of the GT: none of the panel without a method


def test_a_table_that_is_not_measured_yet_is_not_taken_for_the_papers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.toml").write_text(TOML)
    output = CliRunner().invoke(main, ["report", "t.toml"]).output
    assert "not measured yet: casarbi-bench run t" in output and output.count("(cited only)") == 1
