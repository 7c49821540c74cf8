"""Figures from the command line: run, report and status, on toy data."""

import csv
import re
from pathlib import Path

import pytest
from figure_files import CHART, COMPARISON, POSTERIOR, STAGES, TABLE


def written(name="f"):
    return sorted(path.name for path in Path("reports/out", name).iterdir())


def test_a_comparison_is_drawn_once_and_says_what_it_is_made_of(bench):
    Path("f.toml").write_text(COMPARISON)
    assert "missing  Bicubic: 0 of 4 pictures made" in bench("status", "f.toml").output
    result = bench("run", "f.toml")
    assert result.exit_code == 0 and "4 pictures to make" in result.output, result.output
    assert written() == ["f-squares-1.png", "f-squares-2.png", "f.html", "f.md", "f.tex"]
    assert "done     Bicubic: 4 of 4 pictures made" in bench("status", "f.toml").output
    before = {name: Path("reports/out/f", name).read_bytes() for name in written()}
    assert ", s2; 0 pictures to make." in bench("run", "f.toml").output
    assert all(Path("reports/out/f", name).read_bytes() == before[name] for name in before if name.endswith("png"))
    for ending in ("html", "md", "tex"):
        text = " ".join(re.sub(r"\\allowbreak\{\}|<[^>]*>", "", Path(f"reports/out/f/f.{ending}").read_text()).split())
        for words in (
            "Nothing else.",
            "Ours is left out: not trained yet.",
            "2 of 3: s0, s2",
            "toy-squares?n=3",
            "Seeds",
        ):
            assert words in text, (ending, words)
        assert "where neighbouring pixels of the GT differ most" in text


def test_a_report_of_what_is_not_made_says_so_and_how_to_make_it(bench):
    Path("f.toml").write_text(COMPARISON)
    result = bench("report", "f.toml")
    assert result.exit_code == 0 and "4 pictures are not made: casarbi-bench run f makes them" in result.output
    assert not list(Path("results").glob("pictures/*"))


def test_pictures_that_only_an_earlier_report_had_are_removed(bench):
    Path("f.toml").write_text(COMPARISON)
    bench("run", "f.toml")
    Path("f.toml").write_text(COMPARISON.replace("[0, 2]", "[2]"))
    assert bench("run", "f.toml").exit_code == 0 and written() == ["f-squares-1.png", "f.html", "f.md", "f.tex"]


def test_posterior_samples_come_with_a_table_and_leave_out_methods_that_draw_no_noise(bench):
    Path("f.toml").write_text(POSTERIOR)
    result = bench("run", "f.toml", "--model", "Noisy=toys:noisy")
    assert result.exit_code == 0 and "12 pictures to make" in result.output, (
        result.output
    )  # 2 images, 2 scales, 3 seeds
    assert "Bicubic     " not in result.output
    (line,) = re.findall(r"^Noisy +s0 +×2 +(.*)$", result.output, re.M)
    spread, single, _, _, of_mean = line.split()
    # Noise of 5 % of the range is 12.75 levels, cut off at black and white; a mean of samples is nearer to the GT.
    assert 5 < float(spread) < 13 and float(of_mean) > float(single)
    assert "0 to 2" in result.output and "one scale of colours for all maps" in result.output


def test_stages_are_drawn_with_the_heights_on_the_way(bench):
    Path("f.toml").write_text(STAGES)
    result = bench("run", "f.toml")
    assert result.exit_code == 0 and "f-squares-1-x3.3.png" in written(), result.output


def test_a_model_that_does_not_open_or_fails_ends_in_exit_code_1_with_the_rest_drawn(bench):
    Path("f.toml").write_text(COMPARISON)
    result = bench("run", "f.toml", "--model", "Mine=liif:nofile.pth")
    assert result.exit_code == 1 and "liif:nofile.pth was left out" in result.output and "f.html" in written()
    result = bench("run", "f.toml", "--model", "Mine=toys:faulty?how=shape")
    assert result.exit_code == 1 and "4 pictures failed, the first s0 by toys:faulty?how=shape" in result.output
    assert "returned shape" in Path("reports/out/f/f.md").read_text()


@pytest.mark.parametrize(
    ("old", "new", "sentence", "code"),
    [("[0, 2]", "[7]", "f shows picture 7 of toy-squares?n=3, which has 3, counted from 0.", 1)],
)
def test_bad_figures_are_answered_in_one_sentence(bench, old, new, sentence, code):
    Path("f.toml").write_text(COMPARISON.replace(old, new))
    result = bench("run", "f.toml")
    assert result.exit_code == code and sentence in result.output and "Traceback" not in result.output
    assert not Path("results").exists()


def test_a_dry_run_makes_nothing(bench):
    Path("f.toml").write_text(COMPARISON)
    assert "4 pictures to make" in bench("run", "f.toml", "--dry-run").output
    assert not Path("results").exists() and not Path("reports").exists()


def test_a_figure_is_made_on_one_machine(bench):
    Path("f.toml").write_text(COMPARISON)
    result = bench("run", "f.toml", "--rank", "0", "--world", "2")
    assert result.exit_code == 2 and "a figure is made on one machine" in result.output


def test_a_chart_names_the_table_to_run_and_draws_what_it_measured(bench):
    Path("t.toml").write_text(TABLE)
    Path("f.toml").write_text(CHART)
    refused = bench("run", "f.toml")
    assert (
        refused.exit_code == 1
        and "run casarbi-bench run t.toml first" in refused.output
        and not Path("reports").exists()
    )
    assert bench("run", "t.toml").exit_code == 0
    result = bench("run", "f.toml")
    assert result.exit_code == 0, result.output
    assert written() == ["f-squares-psnr.pdf", "f-squares-psnr.svg", "f.html", "f.md", "f.tex"]
    assert "Not drawn, Ours: not trained yet." in result.output and "Measured" not in result.output
    before = {name: Path("reports/out/f", name).read_bytes() for name in written()[:2]}
    bench("report", "f.toml")
    assert {name: Path("reports/out/f", name).read_bytes() for name in before} == before
    svg = Path("reports/out/f/f-squares-psnr.svg").read_text()
    assert "PSNR (dB)" in svg and "LIIF" in svg
    # The paper's numbers were measured on other pictures.
    assert "paper" not in svg and "Ours" not in svg


def test_a_plane_has_a_field_per_scale_and_the_values_of_the_table(bench):
    Path("t.toml").write_text(TABLE)
    Path("f.toml").write_text(CHART.replace('"scales"', '"plane"').replace('["psnr"]', '["psnr", "ssim"]'))
    bench("run", "t.toml")
    assert bench("run", "f.toml").exit_code == 0
    svg = Path("reports/out/f/f-squares-plane.svg").read_text()
    assert svg.count("better ↗") == 2 and "×5.3" in svg and "×7" in svg


def test_selfssim_is_drawn_as_the_table_has_it(bench):
    Path("t.toml").write_text(TABLE.replace('["psnr", "ssim"]', '["selfssim"]').replace("psnr =", "selfssim ="))
    Path("t.toml").write_text(
        Path("t.toml").read_text().replace("table1.csv", "table2.csv").replace('"psnr"', '"selfssim"')
    )
    Path("f.toml").write_text(CHART.replace('"scales"', '"selfssim"').replace('["psnr"]', '["selfssim"]'))
    bench("run", "t.toml")
    result = bench("run", "f.toml")
    assert result.exit_code == 0, result.output
    with open("reports/out/t/t.csv", newline="") as file:
        values = [
            float(row["value"]) for row in csv.DictReader(file) if row["source"] == "measured" and row["n"] == "2"
        ]
    svg = Path("reports/out/f/f-squares-selfssim.svg").read_text()
    assert len(values) == 4 and all(f"{value:.3f}" in svg for value in values)
