"""Timings by the command line: what is measured, kept, told and refused."""

import csv
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from toys import Noisy, Slow

import benchmarks.untrained
from benchmarks.cli import main
from benchmarks.kinds import Choice
from benchmarks.timing import clocks
from benchmarks.timing.clocks import clock_facts
from benchmarks.timing.declaration import load_timing
from benchmarks.timing.records import Timings
from benchmarks.untrained import untrained_identity, write_untrained
from casarbi.errors import CasarbiError
from casarbi.sr import create_model
from casarbi.training.presets import load_preset

TOML = """
kind = "timing"
title = "Times"
[[methods]]
name = "Bicubic"
[[methods]]
name = "Ours"
[[methods]]
name = "SR3"
reason = "a network of one scale"
[cited]
file = "table5_leads.csv"
caption = "Of papers."
[presets.mini]
lr_side = 8
scales = [2, 4]
repeats = 2
seconds = 60
models = { Bicubic = "bicubic", Ours = "casarbi:mini-face?steps=1" }
"""


def call(*words):
    return CliRunner().invoke(main, list(words))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Folder of a first run, and Click's result of it."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("t.toml").write_text(TOML)
        return folder, call("run", "t.toml")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Call casarbi-bench in an empty folder; returns Click's result."""
    monkeypatch.chdir(tmp_path)
    Path("t.toml").write_text(TOML)
    return call


@pytest.fixture
def measured(bench, first):
    """The same in a folder where all times were measured."""
    shutil.copytree(first[0] / "results", "results")
    return bench


def rows(folder="."):
    with open(f"{folder}/reports/out/t/t.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def records():
    return {path: path.read_bytes() for path in Path("results/timings").glob("*.json")}


def test_a_run_reports_times_parameters_operations_and_evaluations(first):
    folder, result = first
    assert result.exit_code == 0, result.output
    assert "Measured 4 times" in result.output and ("‡ Noisy" in result.output) == ("‡" in result.output)
    assert "SR3: a network of one scale" in result.output
    found = {
        (row["method"], row["scale"], row["metric"]): row
        for row in rows(folder)
        if "/Stages" not in row["experiment"] and "/cited" not in row["experiment"]
    }
    ours = found["Ours", "4", "seconds"]
    assert ours["source"] == "measured" and ours["n"] == "2" and ours["size"] == "32x32" and float(ours["value"]) > 0
    assert (folder / f"results/timings/{ours['key']}.json").exists() and ours["model"] == "casarbi:mini-face?steps=1"
    model = create_model("casarbi:mini-face?steps=1")
    assert float(found["Ours", "4", "parameters"]["value"]) == model.info.parameters / 1e6
    assert float(found["Ours", "4", "evaluations"]["value"]) == model.evaluations(4) == 2
    flops = sum(stage.flops for stage in model.work((8, 8), (32, 32)))
    assert float(found["Ours", "4", "gflop"]["value"]) == flops / 1e9
    assert found["SR3", "2", "seconds"]["source"] == "missing" and ("Bicubic", "2", "gflop") not in found


def test_stages_of_a_cascade_add_up_to_the_whole(first):
    folder, _ = first
    stages = [row for row in rows(folder) if "/Stages of Ours" in row["experiment"] and row["scale"] == "4"]
    assert [(row["method"], row["size"]) for row in stages if row["metric"] == "seconds"] == [
        ("Stage 1", "16x16"),
        ("Stage 2", "32x32"),
    ]
    record = json.loads((folder / f"results/timings/{stages[0]['key']}.json").read_text())
    summed = [sum(runs) for runs in zip(*(stage["seconds"] for stage in record["stages"]), strict=True)]
    assert summed == pytest.approx(record["seconds"])


def test_times_of_papers_stand_apart_with_their_hardware(first):
    folder, result = first
    cited = [row for row in rows(folder) if "/cited" in row["experiment"]]
    assert {row["source"] for row in cited} <= {"cited", "missing"} and len(cited) == 6
    assert all(row["source"] != "cited" for row in rows(folder) if row not in cited)
    assert "RTX 4090" in result.output and "confidence: medium-low" in result.output


def test_what_is_there_is_not_measured_again_unless_asked(measured):
    before = records()
    result = measured("run", "t.toml")
    assert "4 of 4 times are from the store" in result.output and "Measured" not in result.output
    assert records() == before
    again = measured("run", "t.toml", "--again")
    assert "Measured 4 times" in again.output and records().keys() == before.keys()
    assert not set(records().values()) & set(before.values())


def test_only_what_is_missing_or_damaged_is_measured(measured):
    first, second, *rest = records()
    first.unlink()
    second.write_text("{")
    before = records()
    result = measured("run", "t.toml")
    assert f"{second} is damaged" in result.output and "Measured 2 times" in result.output
    after = records()
    assert len(after) == 4 and all(after[path] == before[path] for path in rest)


def test_status_says_of_each_time_whether_it_is_there(measured):
    next(iter(records())).unlink()
    output = measured("status", "t.toml").output
    assert output.count("  done ") == 3 and output.count("  missing ") == 1 and ": 2 runs on 20" in output


def test_a_dry_run_tells_the_time_and_leaves_nothing_behind(bench):
    result = bench("run", "t.toml", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "To do: 4 times." in result.output and "Time: about" in result.output
    assert not Path("results").exists() and not Path("reports").exists()


def test_a_dry_run_has_nothing_to_do_where_all_is_measured(measured):
    before = records()
    result = measured("run", "t.toml", "--dry-run")
    assert "To do: 0 times." in result.output and "Time:" not in result.output and records() == before


def test_another_machine_s_times_stand_in_a_table_of_their_own(measured):
    timings = Timings("results")
    for record in timings.all():
        timings.add(replace(record, key=replace(record.key, device="NVIDIA H200", kind="cuda", threads=0)))
    before = records()
    output = measured("report", "t.toml").output
    here, there = (output.index(f"\n{name}") for name in ("CPU (", "NVIDIA H200"))
    assert here < there and output.count("\nStages of Ours, ") == 2 and len(before) == 8 and records() == before


FIGURE = """
kind = "figure"
drawing = "times"
title = "Times"
limits = "Nothing else."
table = "t.toml"
metrics = ["seconds", "gflop"]
"""


def test_times_are_drawn_over_the_side_of_the_output(measured):
    Path("f.toml").write_text(FIGURE)
    before = records()
    result = measured("run", "f.toml")
    assert result.exit_code == 0 and records() == before, result.output
    drawn = {path.stem.rpartition("-")[2]: path.read_text() for path in Path("reports/out/f").glob("*.svg")}
    assert drawn.keys() == {"seconds", "gflop"}
    assert all(f">{words}<" in drawn["seconds"] for words in ("16 px", "32 px", "Ours", "Bicubic"))
    assert "Bicubic" not in drawn["gflop"] and "Stage" not in result.output and "A100" not in result.output
    assert measured("status", "f.toml").output.count("  done ") == 4


def test_a_figure_of_times_needs_times(bench):
    Path("f.toml").write_text(FIGURE)
    result = bench("report", "f.toml")
    assert result.exit_code == 1 and "holds none of it: run casarbi-bench run t.toml first" in result.output
    Path("f.toml").write_text(FIGURE.replace("gflop", "psnr"))
    assert "there is no metric 'psnr': " in bench("report", "f.toml").output


def test_methods_that_fail_are_told_and_the_others_are_kept(measured, monkeypatch):
    failures = {Noisy: CasarbiError("It is too large."), Slow: RuntimeError("out of memory")}
    for kind, error in failures.items():
        monkeypatch.setattr(kind, "upscale", lambda *_, error=error: (_ for _ in ()).throw(error))
    models = ("SR3=toys:noisy", "Large=toys:slow", "Mine=nowhere:at_all")
    result = measured("run", "t.toml", *(word for model in models for word in ("--model", model)))
    assert result.exit_code == 1 and "was left out: " in result.output and len(records()) == 4
    report = Path("reports/out/t/t.md").read_text()
    assert all(words in report for words in ("It is too large", "RuntimeError: out of memory", "nowhere"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--device", "warp"), "There is no device 'warp' that works here"),
        (("--data", "photos"), "is a timing, which needs no pictures"),
        (("--preset", "maxi"), "has no preset 'maxi'"),
        (("--model", "Ours"), "must read ROW=REFERENCE"),
        (("--rank", "1"), "--rank and --world go together"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(bench, words, sentence):
    result = bench("run", "t.toml", *words)
    assert result.exit_code in (1, 2) and sentence in result.output and not Path("results").exists()


def test_processes_beside_the_first_measure_nothing(bench):
    result = bench("run", "t.toml", "--rank", "1", "--world", "2")
    assert result.exit_code == 0 and "by the first machine or process alone" in result.output
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("lr_side = 8", "lr_side = 0", r"\[presets.mini\] lr_side = 0 must be at least 1"),
        ("scales = [2, 4]", "scales = [1]", "scales holds 1, expected finite numbers above 1"),
        ("scales = [2, 4]", "scales = []", "scales is empty"),
        ("scales = [2, 4]", "scales = [2, 2]", r"scales has 2.0 twice"),
        ("repeats = 2", "repeats = 0", "repeats = 0 must be at least 1"),
        ("seconds = 60", "seconds = inf", "seconds = inf must be above 0 and finite"),
        ("seconds = 60", "threads = 0", "threads = 0 must be at least 1"),
        ("seconds = 60", "second = 60", "has no setting 'second': did you mean seconds"),
        ("{ Bicubic", "{ Bicubik", "no row in methods 'Bicubik': did you mean Bicubic"),
        ('"bicubic"', '"os:system"', "a file may only name registered ones"),
        ('"bicubic"', '"liif:{no-such-preset}"', "There is no preset 'no-such-preset'"),
        (
            "table5_leads.csv",
            "table5_leed.csv",
            "there is no table of the paper 'table5_leed.csv': did you mean table5_leads.csv",
        ),
        ("table5_leads.csv", "table7.csv", "table7.csv cannot be cited as times: it has no column scale"),
        ('name = "Ours"', 'name = "Bicubic"', "has 'Bicubic' twice"),
    ],
)
def test_mistakes_in_a_declaration_are_named(tmp_path, old, new, words):
    path = tmp_path / "mine.toml"
    path.write_text(TOML.replace(old, new, 1))
    with pytest.raises(CasarbiError, match=f"mine.toml.*{words}"):
        load_timing(Choice(str(path)))


@pytest.mark.parametrize("preset", ["mini", "paper"])
def test_table_5_is_declared_for_every_method(preset):
    experiment = load_timing(Choice("table5", preset))
    assert [method.name for method in experiment.methods] == ["LIIF", "IDM", "Kim", "Ours", "Ours, no SCG"]
    assert all(method.model for method in experiment.methods) and experiment.scales == (2, 4, 8, 12)


def test_random_weights_are_known_by_their_presets_without_being_made():
    ours = untrained_identity("casarbi:{paper-face}?steps=4")
    assert ours["presets"]["paper-face"]["residual"]["liif"]["preset"] == "paper-liif-face"
    assert ours == untrained_identity("casarbi:{paper-face}?steps=4") != untrained_identity("casarbi:{paper-face}")
    json.dumps(ours, allow_nan=False)


def test_random_weights_make_a_model_that_runs(tmp_path, monkeypatch):
    def small(name):
        """The paper's preset, whose base is a LIIF of its own, at a size that a test can make."""
        widths = {"paper-face": "width=8 levels=[1] blocks=1 middle_blocks=1 lr_blocks=1 hr_blocks=1"}
        changes = [f"settings.network.{change}" for change in widths.get(name, "").split()]
        return load_preset(name, changes or ["settings.blocks=1", "settings.hidden=[8]"])

    monkeypatch.setattr(benchmarks.untrained, "load_preset", small)
    reference = write_untrained("casarbi:{paper-face}?steps=1", tmp_path)
    model = create_model(reference)
    assert {path.stem for path in tmp_path.iterdir()} == {"paper-face", "paper-liif-face"}
    assert model.upscale(torch.rand(1, 3, 8, 8), (12, 12), [0]).isfinite().all()


def test_clocks_are_told_or_said_not_to_be_readable(monkeypatch, tmp_path):
    (tmp_path / "scaling_governor").write_text("performance\n")
    (tmp_path / "cpuinfo_max_freq").write_text("3500000\n")
    monkeypatch.setattr(clocks, "CPU", tmp_path)
    assert clock_facts("cpu").startswith("governor performance, at most 3500 MHz")
    monkeypatch.setattr(clocks, "_read", lambda path: "")
    assert clock_facts("cpu") == "not readable"


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (
            "1980 MHz, 1980 MHz, 2619 MHz, 34, 0 %\n",
            "SM 1980 MHz of 1980 MHz, memory 2619 MHz, 34 °C, 0 % in use when measured",
        ),
        ("no devices were found\n", "not readable"),
        ("", "not readable"),
    ],
)
def test_clocks_of_a_gpu_come_from_its_own_tool(monkeypatch, printed, told):
    done = subprocess.CompletedProcess([], 0, stdout=printed, stderr="")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: object())
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert clock_facts("cuda:0") == told
