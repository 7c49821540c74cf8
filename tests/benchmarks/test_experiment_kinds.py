"""Which module runs an experiment, and all of them after each other."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import benchmarks.kinds
from benchmarks.cli import main
from benchmarks.kinds import KINDS, experiment_names, kind_of, open_kind

TABLE = """
title = "Table {name}"
[[methods]]
name = "Bicubic"
[[methods]]
name = "Ours"
reason = "its weights are not here yet"
[presets.mini]
scales = [2]
metrics = ["psnr"]
models = {{ Bicubic = "bicubic" }}
[[presets.mini.panels]]
name = "squares"
data = "{data}"
protocol = "face"
"""


@pytest.fixture
def declared(tmp_path, monkeypatch):
    """Three tables in place of those that ship: the second is measured on data that are not here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmarks.kinds, "FOLDER", tmp_path / "experiments")
    Path("experiments").mkdir()
    for name, data in (("t1", "toy-squares?n=2"), ("t2", "folder:nowhere"), ("t10", "toy-squares?n=2")):
        Path("experiments", f"{name}.toml").write_text(TABLE.format(name=name, data=data))


def bench(*words):
    return CliRunner().invoke(main, list(words))


def test_every_shipped_experiment_is_of_a_kind_that_opens():
    for name in experiment_names():
        kind = open_kind(name)
        assert all(callable(getattr(kind, does)) for does in ("run", "report", "status")), name
    assert kind_of("table1") == "table"


def test_an_unknown_kind_is_refused_and_nothing_is_imported(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('kind = "tabel"\ntitle = "Mine"')
    result = bench("run", str(path))
    assert result.exit_code == 1 and "mine.toml: there is no kind 'tabel': did you mean table" in result.output
    path.write_text('kind = ["os"]\ntitle = "Mine"')
    assert "there is no kind" in bench("status", str(path)).output


def test_all_goes_on_after_a_failure_and_says_at_its_end_what_failed_and_what_was_not_measured(declared):
    result = bench("run", "all", "--workers", "1")
    assert result.exit_code == 1 and "Error: 1 of 3 failed: t2." in result.output
    summary = result.output[result.output.rindex("done    t1 ") :]
    assert [line.split()[:2] for line in summary.splitlines()[:3]] == [
        ["done", "t1"],
        ["failed", "t2"],
        ["done", "t10"],
    ]
    assert "nowhere" in summary.splitlines()[1] and " s " in summary.splitlines()[0] + " "
    assert "Not measured in t10: Ours: its weights are not here yet." in summary and "In all " in summary
    page = Path("reports/out/index.html").read_text()
    assert 'href="t1/t1.html">Table t1</a>' in page and "Failed: " in page and 'href="t2/' not in page
    assert Path("reports/out/t10/t10.csv").exists()


def test_all_reports_are_written_again_without_measuring(declared):
    Path("experiments/t2.toml").unlink()
    assert bench("run", "all", "--workers", "1").exit_code == 0
    before = Path("reports/out/t1/t1.csv").read_bytes()
    again = bench("report", "all")
    assert again.exit_code == 0 and "Measured" not in again.output and "done    t10" in again.output
    assert Path("reports/out/t1/t1.csv").read_bytes() == before


def test_a_dry_run_of_all_leaves_nothing_behind(declared):
    result = bench("run", "all", "--workers", "1", "--dry-run")
    assert result.output.count("To do: 2 images") == 2 and not Path("results").exists() and not Path("reports").exists()


def test_options_that_change_one_experiment_are_refused_for_all(declared):
    result = bench("run", "all", "--data", "photos")
    assert result.exit_code == 2 and "--data and --model change one experiment" in result.output


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), ImportError("half a module")])
def test_ctrl_c_ends_all_even_if_a_library_makes_another_exception_of_it(declared, monkeypatch, raised):
    def stopped(choice, **options):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise raised from (error if raised is not error else None)

    monkeypatch.setattr("benchmarks.tables.run", stopped)
    result = bench("run", "all", "--workers", "1")
    assert "[2/3]" not in result.output and result.exit_code != 0


def test_kinds_are_run_in_an_order_in_which_figures_find_the_tables_values():
    assert list(KINDS) == ["table", "timing", "figure", "claims"]


@pytest.mark.parametrize(
    ("command", "word", "name"), [("run", "al", "all"), ("report", "table1", "table1"), ("status", "table3", "table3")]
)
def test_a_shell_completes_every_experiment_and_the_word_for_all(command, word, name):
    parameter = main.commands[command].params[0]
    context = main.make_context("casarbi-bench", [command], resilient_parsing=True)
    assert name in [item.value for item in parameter.type.shell_complete(context, parameter, word)]
