import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.cli import main
from benchmarks.experiments import grid_experiment, load_experiment
from benchmarks.making import make_outputs
from benchmarks.session import Session
from benchmarks.store import Store

COLUMNS = "experiment,preset,method,scale,metric,value,ci_low,ci_high,n,source,paper_value"
COLUMNS += ",data,model,protocol,crop,border,size,seed,key"


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Call casarbi-bench in an empty folder with one worker; returns Click's result."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        measures = words and words[0] in ("run", "grid", "selfssim") and "--workers" not in words
        return CliRunner().invoke(main, [*words, *(("--workers", "1") if measures else ())])

    return call


def rows(path="reports/out/grid/grid.csv"):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


GRID = (
    "grid",
    "--models",
    "bicubic,toys:noisy",
    "--data",
    "toys:squares?n=3",
    "--scales",
    "2,3.3",
    "--protocol",
    "face",
)

TOML = """
title = "Table T"
split = 3

[paper]
file = "table1.csv"
columns = { psnr = "psnr" }
note = "Paper."
data = "toy-squares"
images = "Squares-HQ"

[[methods]]
name = "LIIF"
[[methods]]
name = "Ours"
reason = "not built here yet"

[presets.mini]
scales = [5.3, 7]
metrics = ["psnr", "fd-st-alex"]
small_n = true
models = { LIIF = "bicubic" }
[[presets.mini.panels]]
name = "squares"
data = "toy-squares?n=3"
protocol = "face"
caption = "Squares."
cite = true
samples = 1
sample_scale = 5.3
"""


def test_grid_writes_a_tidy_table(bench):
    result = bench(*GRID)
    assert result.exit_code == 0, result.output
    table = rows()
    assert ",".join(table[0]) == COLUMNS and len(table) == 2 * 2 * 2
    for row in table:
        assert row["source"] == "measured" and row["n"] == "3" and row["experiment"] == "grid"
        assert float(row["ci_low"]) <= float(row["value"]) <= float(row["ci_high"])
    assert {row["scale"] for row in table} == {"2.0", "3.3"} or {row["scale"] for row in table} == {"2", "3.3"}
    for suffix in ("html", "md", "tex", "csv"):
        assert f"grid.{suffix}" in result.output and Path(f"reports/out/grid/grid.{suffix}").exists()


def test_a_report_says_whether_the_best_is_better_on_the_same_images(bench):
    words = (*GRID, "--metrics", "psnr")
    bench(*words)
    report = Path("reports/out/grid/grid.md").read_text()
    assert "×2: bicubic - toys:noisy = +" in report and "Paired PSNR" in report
    bench(*(word.replace("bicubic,toys:noisy", "toys:slow,toys:noisy?sigma=0.02") for word in words))  # equal outputs
    assert "not told apart" in Path("reports/out/grid/grid.md").read_text()


def test_grid_echoes_how_it_understood_its_words(bench):
    output = bench(*GRID).output
    assert "scales 2, 3.3" in output and "protocol face" in output and "3 images" in output


def test_run_gives_the_papers_numbers_beside_and_cites_what_is_missing(bench):
    Path("t.toml").write_text(TOML)
    result = bench("run", "t.toml")
    assert result.exit_code == 0, result.output
    found = {(row["method"], row["scale"], row["metric"]): row for row in rows("reports/out/t/t.csv")}
    measured, cited = found["LIIF", "7", "psnr"], found["Ours", "7", "psnr"]
    assert measured["source"] == "measured" and measured["paper_value"] == "25.09"
    assert cited["source"] == "cited" and cited["value"] == "24.39" == cited["paper_value"]
    assert ("Ours", "7", "fd-st-alex") not in found  # neither measured nor in the paper
    assert "not built here yet" in Path("reports/out/t/t.md").read_text()


def test_a_panel_may_name_models_of_its_own(bench):
    second = TOML.split("[[presets.mini.panels]]")[1].replace('"squares"', '"own"') + 'models = { Ours = "bicubic" }\n'
    Path("t.toml").write_text(TOML + "[[presets.mini.panels]]" + second)
    assert bench("run", "t.toml", "--model", "Mine=toys:noisy").exit_code == 0
    measured = {
        (row["experiment"], row["method"]) for row in rows("reports/out/t/t.csv") if row["source"] == "measured"
    }
    wanted = {"t/squares": ("LIIF", "Mine"), "t/own": ("LIIF", "Ours", "Mine")}
    assert measured == {(panel, method) for panel, methods in wanted.items() for method in methods}
    Path("t.toml").write_text((TOML + "[[presets.mini.panels]]" + second).replace("Ours =", "Our ="))
    assert "no row in methods 'Our': did you mean Ours" in bench("run", "t.toml").output


def test_a_second_run_measures_nothing_and_gives_the_same_bytes(bench):
    Path("t.toml").write_text(TOML)
    bench("run", "t.toml")
    before = Path("reports/out/t/t.csv").read_bytes()
    again = bench("run", "t.toml")
    assert "Measured" not in again.output and Path("reports/out/t/t.csv").read_bytes() == before
    assert bench("report", "t.toml").exit_code == 0 and Path("reports/out/t/t.csv").read_bytes() == before


def test_a_report_tells_not_measured_from_failed_and_names_an_unfinished_run(bench):
    Path("t.toml").write_text(TOML)
    assert bench("report", "t.toml").exit_code == 0
    assert {row["source"] for row in rows("reports/out/t/t.csv") if row["method"] == "LIIF"} == {"missing", "cited"}
    assert "not measured yet: casarbi-bench run t" in Path("reports/out/t/t.md").read_text()
    assert "only slice 0 of 2" in bench("run", "t.toml", "--rank", "0", "--world", "2").output
    assert "only 2 of 3 images are measured" in bench("report", "t.toml").output


def test_run_takes_a_users_model_and_data(bench):
    Path("t.toml").write_text(TOML)
    result = bench("run", "t.toml", "--model", "Mine=toys:noisy", "--data", "toys:squares?n=2")
    assert result.exit_code == 0, result.output
    mine = [row for row in rows("reports/out/t/t.csv") if row["method"] == "Mine"]
    assert {row["source"] for row in mine} == {"measured"} and {row["n"] for row in mine} == {"2"}


def test_the_contributors_example_runs_from_its_own_folder(bench):
    example = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text().split("```python\n")[1].split("```")[0]
    Path("my_package").mkdir()
    Path("my_package/module.py").write_text(example)
    models = "my_package.module:factory,my_package.module:factory?mode=area"
    result = bench("grid", "--models", models, "--data", "toys:squares?n=2", "--scales", "3.3", "--protocol", "face")
    assert result.exit_code == 0 and len({row["value"] for row in rows()}) == 4, (
        result.output
    )  # PSNR and SSIM of two methods


def test_a_report_on_other_data_does_not_call_it_by_the_declared_name(bench):
    Path("t.toml").write_text(TOML.replace("toy-squares?n=3", "portraits?n=3").replace('"squares"', '"portraits"'))
    bench("report", "t.toml", "--data", "toys:squares?n=2")
    text = Path("reports/out/t/t.md").read_text()
    assert "## toys" in text and "Measured on toys:squares?n=2 in place of portraits?n=3." in text
    assert "## portraits" not in text and "Squares." not in text


def test_a_model_that_does_not_open_is_told_first_and_every_sentence_ends_once(bench):
    words = ("--data", "toys:squares?n=2", "--scales", "2", "--protocol", "face")
    result = bench("grid", "--models", "bicubic,liif:nofile.pth", *words)
    assert result.exit_code == 1 and "…\nWarning: liif:nofile.pth is left out" in result.stderr
    for ending in ("md", "tex", "html"):
        assert ".." not in Path(f"reports/out/grid/grid.{ending}").read_text()


def test_an_estimate_from_earlier_runs_knows_the_memory_they_took(bench):
    assert bench(*GRID).exit_code == 0
    for path in Path("results").glob("cells/*/parts/*.json"):
        part = json.loads(path.read_text())
        assert part["header"]["memory_bytes"] > 2**20
        part["header"]["memory_bytes"] = 7 * 2**40
        path.write_text(json.dumps({"header": part["header"], "rows": part["rows"]}))  # as before parts had a hash
    more = bench(*[word.replace("n=3", "n=4") for word in GRID], "--dry-run")
    assert "earlier runs" in more.output and "Memory: about 7168.0 GiB" in more.output


def test_samples_survive_rows_of_one_model_and_plug_ins_that_raise(bench):
    Path("t.toml").write_text(TOML)
    assert bench("run", "t.toml", "--model", "Again=bicubic").exit_code == 0
    assert "LIIF and GT at x5.3" in Path("reports/out/t/t.html").read_text()
    bench("run", "t.toml", "--model", "Mine=toys:faulty", "--data", "toys:squares?n=2&white=0")
    assert "have no value" in Path("reports/out/t/t.md").read_text()


def test_dry_run_counts_one_process_on_a_device_that_has_one(tmp_path):
    def session(device):
        experiment = grid_experiment(
            "g", "G", ("toys:squares?n=2",), ("bicubic",), (2.0,), ("psnr",), protocol="face", seed=0, small_n=False
        )
        return Session(experiment, Store(tmp_path), device=device, workers=8)

    assert session("cpu").processes == 8 and session("cpu:0").processes == 1


def test_selfssim_prints_matrices(bench):
    result = bench(
        "selfssim", "--models", "bicubic", "--data", "toys:squares?n=2", "--scales", "2,4", "--protocol", "face"
    )
    assert result.exit_code == 0, result.output
    table = {(row["scale"], row["metric"]): float(row["value"]) for row in rows("reports/out/selfssim/selfssim.csv")}
    assert table["2", "selfssim@2"] == 1 and 0.5 < table["2", "selfssim@4"] < 1
    assert table["4", "selfssim@2"] > table["2", "selfssim@4"]


def test_selfssim_without_models_has_every_method_of_table_ii(bench, monkeypatch):
    begun = []
    monkeypatch.setattr("benchmarks.cli.execute", lambda experiment, **options: begun.append(experiment))
    assert bench("selfssim", "--scales", "5.3,7,10", "--noise", "independent").exit_code == 0
    (panel,) = begun[0].panels
    table = load_experiment("table2")
    assert panel.methods == table.panels[0].methods and begun[0].paper == table.paper
    assert {row.name for row in panel.methods if row.model} == {"Bicubic", "LIIF", "IDM", "Kim", "Ours"}
    assert (begun[0].scales, panel.noise, panel.protocol.name) == ((5.3, 7.0, 10.0), "independent", "face")


def test_variants_of_selfssim_keep_their_names_apart(bench):
    words = ("--data", "toys:squares?n=2", "--scales", "2,3", "--protocol", "face")
    result = bench("grid", "--models", "bicubic", *words, "--metrics", "selfssim,selfssim-y")
    assert "SelfSSIM: bicubic" in result.output and "SelfSSIM (y): bicubic" in result.output
    metrics = [(row["scale"], row["metric"]) for row in rows()]
    assert len(metrics) == len(set(metrics)) == 8 and ("2", "selfssim-y@3") in metrics
    assert {row["n"] for row in rows()} == {"2"}


def test_status_says_done_missing_stale_and_why(bench):
    Path("t.toml").write_text(TOML)
    assert "missing  bicubic x5.3: 0 of 3 images measured" in bench("status", "t.toml").output
    bench("run", "t.toml")
    assert "done     bicubic x5.3: 3 images" in bench("status", "t.toml").output
    Path("t.toml").write_text(TOML.replace("?n=3", "?n=3&version=1"))
    assert "stale    bicubic x5.3: s0: the image changed" in bench("status", "t.toml").output
    assert "table1: Table I" in bench("status").output


def test_dry_run_prints_an_estimate_and_measures_nothing(bench):
    result = bench(*GRID, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "To do: 3 images, 12 outputs, 12 network evaluations." in result.output
    assert "a probe of 2 images" in result.output and not Path("results").exists()
    bench(*GRID)
    assert "To do: 0 images" in bench(*GRID, "--dry-run").output


def test_a_dry_run_with_one_new_model_probes_that_model_only(bench, monkeypatch):
    assert bench(*[word.replace("bicubic,toys:noisy", "bicubic") for word in GRID]).exit_code == 0
    made = []
    monkeypatch.setattr(
        "benchmarks.evaluate.make_outputs",
        lambda bench, method, *rest: made.append(method) or make_outputs(bench, method, *rest),
    )
    result = bench(*[word.replace("n=3", "n=4") for word in GRID], "--dry-run")
    assert result.exit_code == 0, result.output
    assert set(made) == {"toys:noisy"} and "from earlier runs and a probe of 2 images with toys:noisy." in result.output


@pytest.mark.parametrize(
    ("words", "sentence", "code"),
    [
        (("grid", "--models", "bicubc", "--data", "photos", "--scales", "2"), "did you mean bicubic", 1),
        (("grid", "--models", "bicubic", "--data", "photo", "--scales", "2"), "did you mean photos", 1),
        (
            ("grid", "--models", "bicubic", "--data", "photos", "--scales", "2,abc"),
            "'abc' in '2,abc' is not a scale",
            2,
        ),
        (("grid", "--models", "bicubic", "--data", "photos", "--scales", "0.5"), "at least 1", 2),
        (("grid", "--models", ",", "--data", "photos", "--scales", "2"), "names nothing", 2),
        (
            ("grid", "--models", "bicubic", "--data", "photos", "--scales", "2", "--metrics", "psrn"),
            "did you mean psnr",
            1,
        ),
        (
            ("grid", "--models", "bicubic", "--data", "photos", "--scales", "2", "--protocol", "fase"),
            "did you mean face",
            1,
        ),
        (("grid", "--models", "bicubic", "--data", "photos", "--scales", "5000"), "above the limit", 1),
        (("grid", "--models", "bicubic", "--data", "folder:/nowhere", "--scales", "2"), "/nowhere", 1),
        (("grid", "--models", "bicubic", "--data", "photos", "--scales", "2", "--rank", "1"), "go together", 2),
        (
            ("grid", "--models", "bicubic", "--data", "photos", "--scales", "2", "--rank", "2", "--world", "2"),
            "Rank 2 of 2",
            1,
        ),
        (
            ("grid", "--models", "bicubic", "--data", "photos", "--scales", "2", "--device", "cuda:77"),
            "'cuda:77'",
            1,
        ),
        (("grid", "--models", "bicubic", "--data", "photos", "--scales", "2", "--device", "gpu"), "device 'gpu'", 1),
        (("run", "table11"), "did you mean table1", 1),
        (("run", "table1", "--preset", "papr"), "did you mean paper", 1),
        (("run", "table1", "--preset", "paper"), "celebahq", 1),
        (("run", "table1", "--model", "Mine"), "must read ROW=REFERENCE", 2),
        (("selfssim", "--models", "bicubic", "--data", "photos", "--protocol", "whole"), "--protocol face or photo", 1),
        (("datasets", "folder:/nowhere"), "/nowhere", 1),
        (("weights", "fetch", "edsr"), "edsr-baseline-div2k", 1),
        (("status", "tabel1"), "did you mean table1", 1),
    ],
)
def test_bad_words_are_answered_in_one_sentence(bench, words, sentence, code):
    result = bench(*words)
    assert result.exit_code == code and sentence in result.output, result.output
    assert "Traceback" not in result.output and isinstance(result.exception, SystemExit)
    assert not Path("results").exists()


def test_bad_toml_is_named(bench):
    Path("t.toml").write_text("title = ")
    assert "t.toml is no valid TOML" in bench("run", "t.toml").output
    Path("t.toml").write_text(TOML.replace('title = "Table T"', ""))
    assert "t.toml lacks the setting 'title'" in bench("run", "t.toml").output


def test_a_failed_picture_is_listed_and_ends_in_exit_code_1_with_the_rest_scored(bench):
    data = "toys:squares?white=-2&n=3"
    result = bench("grid", "--models", "bicubic", "--data", data, "--scales", "2", "--protocol", "face")
    assert result.exit_code == 1 and "s1 at x2 by bicubic: 's1' is not a whole picture" in result.output
    assert {row["n"] for row in rows()} == {"2"} and "1 of 3 images have no value" in result.output


def test_a_run_without_any_score_says_so(bench):
    result = bench("grid", "--models", "toys:faulty?how=shape", "--data", "toys:squares?n=2", "--scales", "2")
    assert result.exit_code == 1 and "returned shape" in result.output
    assert {row["value"] for row in rows()} == {"nan"}  # failed, unlike the empty value of what was not measured


def test_distances_below_their_smallest_honest_number_are_refused_unless_forced(bench):
    words = ("grid", "--models", "bicubic", "--data", "toys:squares?n=3", "--scales", "4", "--metrics", "fd-st-alex")
    words = (*words, "--protocol", "face")
    refused = bench(*words)
    assert rows()[0]["source"] == "missing" and rows()[0]["key"] == ""
    said = "computed from 3 images, and an honest value needs 256"
    assert f"Note: FD[st-alex] is not given: it would be {said} (--small-n, or" in refused.output
    forced = bench(*words, "--small-n")
    assert float(rows()[0]["value"]) > 0
    assert f"Note: FD[st-alex] is {said}: compare it within this table only." in forced.output
    none = bench(*(word.replace("n=3", "n=1") for word in words), "--small-n")
    assert "FD[st-alex] is not given: it cannot be computed from 1 images, only from 2 or more." in none.output


@pytest.mark.parametrize("metric", ["kid-st-alex", "fd-st-alex"])
def test_a_distance_without_enough_images_for_any_value_does_not_cost_the_report(bench, metric):
    words = ("--scales", "4", "--metrics", f"psnr,{metric}", "--protocol", "face", "--small-n")
    for n in (1, 2):
        result = bench("grid", "--models", "bicubic", "--data", f"toys:squares?n={n}", *words)
        source = {row["metric"]: row["source"] for row in rows()}
        enough = metric == "fd-st-alex" and n == 2
        assert source == {"psnr": "measured", metric: "measured" if enough else "missing"}, result.output


def test_a_report_before_a_new_metric_is_run_says_missing_not_failed(bench):
    Path("t.toml").write_text(TOML)
    bench("run", "t.toml")
    Path("t.toml").write_text(TOML.replace('"psnr", "fd', '"psnr", "ssim", "fd'))
    bench("report", "t.toml")
    found = {row["metric"]: row["source"] for row in rows("reports/out/t/t.csv") if row["method"] == "LIIF"}
    assert found == {"psnr": "measured", "ssim": "missing", "fd-st-alex": "measured"}
    assert {row["metric"] for row in rows("reports/out/t/t-images.csv")} == {"psnr"}


def test_pictures_too_small_for_a_distance_are_named(bench):
    words = ("--data", "toys:squares?n=3&side=20", "--scales", "2", "--metrics", "fd-st-alex", "--small-n")
    result = bench("grid", "--models", "bicubic", "--protocol", "whole", *words)
    assert "3 of 3 images have no value" in result.output and "needs 21 px a side" in result.output


def test_folders_of_real_files(bench, pictures):
    (pictures / "Thumbs.db").write_bytes(b"\0" * 100)
    (pictures / "broken.png").write_bytes((pictures / "p0.png").read_bytes()[:500])
    result = bench("grid", "--models", "bicubic", "--data", f"folder:{pictures}", "--scales", "4", "--metrics", "psnr")
    assert result.exit_code == 1 and "broken" in result.output and "Thumbs" not in result.output
    assert rows()[0]["n"] == "4"


def test_outputs_are_matched_by_name_not_by_order(bench, pictures):
    from casarbi.pictures.reading import read_image
    from casarbi.pictures.writing import write_image

    results = Path("results_of_mine")
    results.mkdir()
    for index, name in enumerate(["p3", "p1", "p0", "p2"]):
        write_image(results / f"{name}.png", read_image(pictures / f"{name}.png"))
        (results / f"{name}.png").touch()
        assert index >= 0
    words = ("--data", f"folder:{pictures}", "--scales", "4", "--metrics", "psnr,mse")
    assert bench("grid", "--models", f"outputs:{results}", *words).exit_code == 0
    assert {row["value"] for row in rows() if row["metric"] == "mse"} == {"0.0"}
    assert {row["value"] for row in rows() if row["metric"] == "psnr"} == {"inf"}


def test_weights_datasets_and_completion_list_what_there_is(bench):
    weights = bench("weights", "list")
    assert weights.exit_code == 0 and "edsr-baseline-div2k" in weights.output and "lpips-alex" in weights.output
    listed = bench("datasets").output
    assert "portraits: face" in listed and "sr-benchmark: " in listed
    assert "s0 256x256" in bench("datasets", "toys:squares").output
    assert "_CASARBI_BENCH_COMPLETE" in bench("completion", "bash").output


def test_help_is_quick_and_light():
    code = "import sys, benchmarks.cli; print([m for m in ('torch','pandas','PIL','numpy','rich') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_store_holds_valid_json_only(bench):
    bench(*GRID)
    for path in Path("results").rglob("*.json"):
        json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"bare {name}"))
