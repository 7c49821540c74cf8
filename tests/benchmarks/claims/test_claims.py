"""The ledger from its file and a store to its report."""

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.claims.declaration import DeclaredTables, read_ledger
from benchmarks.cli import main
from casarbi.errors import CasarbiError

GOOD = """
kind = "claims"
title = "Mine"
[[claims]]
name = "first"
topic = "Quality"
section = "V"
text = "It is better."
[[claims.tests]]
table = "table1"
panels = { mini = "portraits", paper = "celebahq" }
metrics = ["lpips-alex", "st-lpips-alex"]
row = "Ours"
claim = "better"
than = ["LIIF"]
scales = [5.3, 7]
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read the good ledger with one piece replaced."""
    monkeypatch.chdir(tmp_path)

    def with_change(old="", new=""):
        assert old in GOOD
        Path("mine.toml").write_text(GOOD.replace(old, new, 1), encoding="utf-8")
        return read_ledger("mine.toml", DeclaredTables())

    return with_change


def test_the_shipped_ledger_is_read_and_names_each_claim_once():
    ledger = read_ledger("claims", DeclaredTables())
    assert set(ledger.presets) == {"mini", "paper"} and len(ledger.claims) >= 15
    assert all(claim.section and claim.text.endswith(".") for claim in ledger.claims)
    topics = [claim.topic for claim in ledger.claims]
    assert [topics[0], *(b for a, b in zip(topics, topics[1:], strict=False) if a != b)] == list(dict.fromkeys(topics))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('table = "table1"', 'table = "tabel1"', "there is no table 'tabel1': did you mean table1"),
        ('table = "table1"', 'table = "claims"', "there is no table 'claims'"),
        (
            'mini = "portraits"',
            'mini = "portrait"',
            "no panel in preset mini of table1 'portrait': did you mean portraits",
        ),
        ("mini =", "mimi =", "no preset 'mimi': did you mean mini"),
        ('row = "Ours"', 'row = "Our"', "no row in table1 'Our': did you mean Ours"),
        ('["LIIF"]', '["LIF"]', "no row in table1 'LIF': did you mean LIIF"),
        ('["LIIF"]', '["Ours"]', "than names 'Ours', the row itself"),
        ('"lpips-alex", "st', '"lpips-alexx", "st', "no metric 'lpips-alexx': did you mean"),
        ('["lpips-alex", "st-lpips-alex"]', '["selfssim"]', "measures none of selfssim: it has psnr"),
        ("[5.3, 7]", "[5.3, 8]", "no scale in panel 'portraits' of preset mini in table1 '8'"),
        ('claim = "better"', 'claim = "best"', "'best' is unknown"),
        ('claim = "better"', 'claim = "similar"', "needs a margin at_most"),
        (
            'claim = "better"',
            'claim = "better"\nat_least = 2\nat_most = 1',
            "at_least = 2 must be 0 or more, and below",
        ),
        ('claim = "better"', 'claim = "better"\nat_leest = 2', "no setting 'at_leest': did you mean at_least"),
        ('than = ["LIIF"]', "", r"than = \[...\]\) or with an earlier scale"),
        ('text = "It is better."', 'text = "x"\nneeds = "x"', "'first' must have either tests or needs"),
        ('section = "V"', "", "lacks the setting 'section'"),
        (
            "[[claims]]",
            '[[claims]]\nname = "first"\ntopic = ""\nsection = ""\ntext = ""\nneeds = "x"\n[[claims]]',
            "twice",
        ),
        ('kind = "claims"', 'kind = "table"', "'table' is unknown"),
        ('title = "Mine"', "title = [", "no valid TOML"),
    ],
)
def test_mistakes_are_refused_with_their_file_place_and_mend(read, old, new, words):
    with pytest.raises(CasarbiError, match=words) as caught:
        read(old, new)
    assert "mine.toml" in str(caught.value)


TABLE = """
title = "Toys"
[paper]
file = "table1.csv"
columns = { psnr = "psnr", lpips-alex = "lpips" }
[[methods]]
name = "LIIF"
[[methods]]
name = "Ours"
reason = "not trained yet"
[[methods]]
name = "Kim"
reason = "no weights of it are here"
[presets.mini]
scales = [5.3, 7]
metrics = ["psnr", "ssim", "selfssim", "kid-st-alex", "fd-st-alex"]
small_n = true
models = { LIIF = "bicubic" }
[[presets.mini.panels]]
name = "squares"
data = "toy-squares?n=9"
protocol = "face"
cite = true
[[presets.mini.panels]]
name = "others"
data = "toy-squares?n=9"
protocol = "face"
"""

TEST = """
[[claims.tests]]
table = "t.toml"
panels = {{ mini = "squares" }}
metrics = ["{metric}"]
row = "{row}"
claim = "{claim}"
than = [{than}]
{more}
"""


def claim(name, *tests):
    return f'[[claims]]\nname = "{name}"\ntopic = "T"\nsection = "V"\ntext = "Text of {name}."\n' + "".join(tests)


def on(metric, row="Ours", rule="better", than='"LIIF"', more=""):
    return TEST.format(metric=metric, row=row, claim=rule, than=than, more=more)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.toml").write_text(TABLE)

    def call(*words):
        return CliRunner().invoke(main, list(words))

    return call


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The table measured once, with a noisy row."""
    folder = tmp_path_factory.mktemp("claims")
    (folder / "t.toml").write_text(TABLE)
    words = ("run", str(folder / "t.toml"), *MODELS, "--workers", "1", "--store", str(folder / "results"))
    result = CliRunner().invoke(main, [*words, "--out", str(folder / "out")])
    assert result.exit_code == 0, result.output
    return folder / "results"


@pytest.fixture
def measured(bench, store):
    Path("results").symlink_to(store)


MODELS = ("--model", "Ours=toys:noisy?sigma=0.1")


@pytest.fixture
def ledger(bench):
    """Judge claims by the store, in a new process's state; returns the output and the rows of the CSV by claim."""

    def judged(*claims, models=MODELS):
        Path("mine.toml").write_text('kind = "claims"\ntitle = "Mine"\n' + "".join(claims))
        result = bench("claims", "mine.toml", *models)
        assert result.exit_code == 0, result.output
        with open("reports/out/mine/mine.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return result.output, {
            name: [row for row in rows if row["claim"] == name] for name in {r["claim"] for r in rows}
        }

    return judged


def test_noise_is_worse_in_every_way_and_the_ledger_says_so(measured, ledger):
    output, rows = ledger(
        claim("psnr-up", on("psnr")),
        claim("psnr-down", on("psnr", rule="worse")),
        claim("psnr-similar", on("psnr", rule="similar", more="at_most = 0.1")),
        claim("self", on("selfssim", rule="worse")),
        claim("kid", on("kid-st-alex", rule="worse")),
        claim("fd", on("fd-st-alex", rule="worse")),
        claim("mixed", on("psnr", rule="worse"), on("ssim")),
    )
    verdicts = {name: found[0]["verdict"] for name, found in rows.items()}
    assert verdicts["psnr-up"] == verdicts["psnr-similar"] == verdicts["mixed"] == "refuted"
    assert verdicts["psnr-down"] == verdicts["self"] == "supported"
    assert {verdicts["kid"], verdicts["fd"]} <= {"supported", "undecided"}
    assert len(rows["psnr-up"]) == 2 and len(rows["self"]) == 1 and rows["self"][0]["scales"] == "5.3 7"
    for row in rows["psnr-up"]:
        assert float(row["low"]) < float(row["difference"]) < float(row["high"]) < 0 and row["n"] == "9"
        assert row["state"] == "fails" and row["model"] == "toys:noisy?sigma=0.1" and row["data"] == "toy-squares?n=9"
    assert "Text of mixed." in output and "claimed > 0" in output


def test_a_row_compared_with_a_copy_of_itself_is_undecided_for_ever(measured, ledger):
    same = on("psnr", rule="better", than='"Kim"')
    output, rows = ledger(claim("same", same), models=(*MODELS, "--model", "Kim=toys:noisy?sigma=0.1"))
    assert rows["same"][0]["verdict"] == "undecided" and "no number of images would decide" in output


def test_changes_since_a_scale_and_fractions_of_a_rival_are_compared(measured, ledger):
    _, rows = ledger(
        claim("psnr", on("psnr", rule="worse")),
        claim("alone", on("psnr", row="LIIF", rule="worse", than="", more="since = 5.3")),
        claim("since", on("psnr", rule="worse", more="since = 5.3")),
        claim("relative", on("psnr", rule="worse", more="relative = true\nat_most = 0.9")),
    )
    by_scale = {row["scales"]: float(row["difference"]) for row in rows["psnr"]}
    assert len(rows["since"]) == 1 and rows["since"][0]["scales"] == "7"
    assert float(rows["since"][0]["difference"]) == pytest.approx(by_scale["7"] - by_scale["5.3"])
    assert -0.9 < float(rows["relative"][0]["difference"]) < 0 and rows["relative"][0]["claimed_low"] == "-0.9"
    assert float(rows["alone"][0]["difference"]) < 0 and rows["alone"][0]["than"] == ""


def test_the_papers_own_cells_are_checked(measured, ledger):
    # Table I: LPIPS of Kim is ahead at 5.3 and 7; PSNR of Ours is ahead of Kim's and behind LIIF's.
    output, rows = ledger(
        claim("lpips", TEST.format(metric='lpips-alex", "psnr', row="Ours", claim="better", than='"Kim"', more="")),
        claim("psnr", on("psnr", than='"Kim"')),
        claim("liif", on("psnr", rule="worse", more="at_most = 1")),
        claim("ssim", on("ssim")),
    )
    assert [row["paper_agrees"] for row in rows["lpips"]] == ["false", "false"]
    assert rows["lpips"][0]["paper"] == "Ours 0.0459, Kim 0.0455" and rows["lpips"][0]["paper_contradicts"] == "true"
    assert "contradicts it at ×5.3: Ours 0.0459, Kim 0.0455; ×7: Ours 0.0703, Kim 0.069" in output
    assert [row["paper_agrees"] for row in rows["psnr"]] == ["true", "true"]
    assert [row["paper_agrees"] for row in rows["liif"]] == ["false", "true"]  # 2.6 dB is not slight, 0.7 dB is
    assert rows["ssim"][0]["paper_agrees"] == "" and "the paper's own tables contradict 2" in output


def test_a_panel_that_does_not_mirror_the_papers_table_is_not_compared_with_it(measured, ledger):
    elsewhere = on("psnr", than='"LIIF"').replace('"squares"', '"others"')
    _, rows = ledger(claim("psnr", on("psnr", than='"LIIF"')), claim("elsewhere", elsewhere))
    assert rows["elsewhere"][0]["difference"] == rows["psnr"][0]["difference"] != ""
    assert (rows["psnr"][0]["paper_agrees"], rows["elsewhere"][0]["paper_agrees"]) == ("false", "")


def test_an_empty_store_decides_nothing_and_names_the_command_that_measures(ledger):
    needs = '[[claims]]\nname = "never"\ntopic = "T"\nsection = "V"\ntext = "Never."\nneeds = "an A100"\n'
    output, rows = ledger(claim("psnr", on("psnr")), claim("kim", on("psnr", row="Kim")), needs)
    assert {row[0]["verdict"] for row in rows.values()} == {"undecided"}
    assert "not measured: Ours is not measured yet: casarbi-bench run t.toml" in output
    assert rows["kim"][0]["reason"] == "no weights of it are here" and rows["psnr"][0]["p"] == ""
    assert rows["never"][0]["why"] == "an A100" and rows["never"][0]["table"] == ""
    assert not Path("results").exists()  # nothing is measured, or kept


def test_a_store_filled_in_part_decides_what_it_can(bench, ledger):
    Path("t.toml").write_text(TABLE.replace("n=9", "n=3").replace(', "kid-st-alex", "fd-st-alex"', ""))
    bench("run", "t.toml", *MODELS, "--workers", "1")
    few, rows = ledger(claim("psnr", on("psnr")))
    assert rows["psnr"][0]["verdict"] == "undecided" and "3 images have values, and a test needs 8" in few
    Path("t.toml").write_text(TABLE.replace(', "kid-st-alex", "fd-st-alex"', ""))
    bench("run", "t.toml", *MODELS, "--workers", "1")
    _, rows = ledger(claim("psnr", on("psnr")), claim("both", on("psnr", than='"LIIF", "Kim"')))
    assert rows["psnr"][0]["verdict"] == "refuted"
    # One part that fails is enough, measured or not the others.
    assert rows["both"][0]["verdict"] == "refuted" and {row["state"] for row in rows["both"]} == {
        "fails",
        "not measured",
    }


def test_the_same_store_gives_the_same_bytes_and_every_format(measured, ledger):
    ledger(claim("psnr", on("psnr")), claim("fd", on("fd-st-alex")))
    before = Path("reports/out/mine/mine.csv").read_bytes()
    ledger(claim("psnr", on("psnr")), claim("fd", on("fd-st-alex")))
    assert Path("reports/out/mine/mine.csv").read_bytes() == before
    for ending in ("html", "md", "tex"):
        assert "Text of psnr." in Path(f"reports/out/mine/mine.{ending}").read_text(encoding="utf-8")


def test_other_presets_rows_and_data_are_refused_or_named(bench, measured):
    Path("mine.toml").write_text('kind = "claims"\ntitle = "Mine"\n' + claim("psnr", on("psnr")))
    wrong = bench("claims", "mine.toml", "--preset", "mimi")
    assert wrong.exit_code == 1 and "'mimi': did you mean mini" in wrong.output
    wrong = bench("claims", "mine.toml", "--model", "Our=bicubic")
    assert wrong.exit_code == 2 and "No table has the row 'Our' of --model: did you mean Ours" in wrong.output
    gone = bench("claims", "mine.toml", "--data", "toy-squares?n=nine", *MODELS)
    assert gone.exit_code == 0 and "n = 'nine' is not a whole number" in gone.output
    assert "`casarbi-bench run t.toml` says what it needs" in gone.output
    only = bench("claims", "mine.toml", "--model", "t.toml:Ours=toys:noisy?sigma=0.1")
    assert "refuted" in only.output


def test_it_is_an_experiment_like_the_others(bench, measured):
    Path("mine.toml").write_text('kind = "claims"\ntitle = "Mine"\n' + claim("psnr", on("psnr")))
    for words in (("run", "mine.toml", *MODELS), ("report", "mine.toml", *MODELS), ("status", "mine.toml", *MODELS)):
        result = bench(*words)
        assert result.exit_code == 0 and "refuted" in result.output, result.output
    assert "To do: nothing" in bench("run", "mine.toml", "--dry-run", "--out", "elsewhere").output
    assert not Path("elsewhere").exists()


TIMES = """
kind = "timing"
title = "Times"
[[methods]]
name = "Bicubic"
[[methods]]
name = "Ours"
[[methods]]
name = "SR3"
reason = "a network of one scale"
[presets.mini]
lr_side = 8
scales = [2, 4]
repeats = 8
seconds = 60
models = { Bicubic = "bicubic", Ours = "casarbi:mini-face?steps=1" }
"""


def timed(quantity, row="Bicubic", rule="better", than='"Ours"', more=""):
    return (
        f'[[claims.timings]]\ntiming = "times.toml"\npresets = ["mini"]\nquantity = "{quantity}"\nrow = "{row}"\n'
        f'claim = "{rule}"\nthan = [{than}]\n{more}\n'
    )


def test_times_and_counts_are_compared_on_the_machine_that_has_them(bench, ledger):
    Path("times.toml").write_text(TIMES)
    claims = (
        claim("parameters", timed("parameters", more="scales = [2]")),
        claim("seconds", timed("seconds")),
        claim("slower", timed("seconds", rule="similar", more="relative = true\nat_most = 0.01")),
        claim(
            "grows",
            timed("seconds", row="Ours", than="", rule="worse", more="since = 2\nrelative = true\nat_most = 99"),
        ),
        claim("missing", timed("evaluations", than='"SR3"')),
    )
    output, rows = ledger(*claims, models=())
    assert "Bicubic is not timed yet: casarbi-bench run times.toml" in output
    assert bench("run", "times.toml").exit_code == 0
    output, rows = ledger(*claims, models=())
    verdicts = {name: found[0]["verdict"] for name, found in rows.items()}
    assert verdicts["parameters"] == verdicts["seconds"] == "supported" and verdicts["slower"] == "refuted"
    assert rows["parameters"][0]["low"] == rows["parameters"][0]["high"] and float(rows["parameters"][0]["high"]) < -0.1
    assert len(rows["seconds"]) == 2 and rows["seconds"][0]["n"] == "8" and rows["seconds"][0]["unit"] == "runs"
    assert -1 < float(rows["slower"][0]["difference"]) < 0 < float(rows["grows"][0]["difference"])
    assert verdicts["missing"] == "undecided" and rows["missing"][0]["reason"] == "a network of one scale"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("times.toml", "table55", "no timing 'table55': did you mean table5"),
        ("times.toml", "table1.toml", "There is no experiment 'table1.toml'"),
        ("times.toml", "t.toml", "'t.toml' is no timing"),
        ('"Bicubic"', '"Bicubc"', "no row in times.toml 'Bicubc': did you mean Bicubic"),
        ('"seconds"', '"second"', "'second' is unknown: did you mean seconds"),
        ('["mini"]', '["maxi"]', "no preset 'maxi': did you mean mini"),
        ("\n\n", "\nscales = [3]\n", "no scale in preset mini of times.toml '3'"),
    ],
)
def test_mistakes_in_tests_on_times_are_refused(bench, old, new, words):
    Path("times.toml").write_text(TIMES)
    text = 'kind = "claims"\ntitle = "Mine"\n' + claim("time", timed("seconds"))
    assert old in text
    Path("mine.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(CasarbiError, match=words):
        read_ledger("mine.toml", DeclaredTables())
