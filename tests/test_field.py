"""What users reported of other tools, answered by the real command line."""

import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from programs import environment
from scenes import scene

import benchmarks.store
from baselines.liif.files import build_network
from baselines.liif.model import liif
from benchmarks.cli import main
from benchmarks.options import split_references
from casarbi.errors import CasarbiError
from casarbi.pictures.writing import write_image
from casarbi.sr import create_model

SPEC = {
    "name": "liif",
    "args": {
        "encoder_spec": {"name": "edsr-baseline", "args": {"no_upsampling": True, "n_resblocks": 1, "n_feats": 4}},
        "imnet_spec": {"name": "mlp", "args": {"out_dim": 3, "hidden_list": [4]}},
    },
}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Call casarbi-bench in an empty folder with one worker; returns Click's result."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        return CliRunner().invoke(main, [*words, "--workers", "1"])

    return call


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Write seeded pictures of (height, width) under their names, which end in a suffix, and return the folder."""
    monkeypatch.chdir(tmp_path)

    def write(folder, pictures, noise=0.0):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for seed, (name, (height, width)) in enumerate(pictures.items()):
            picture = scene(height, width, seed)
            generator = torch.Generator().manual_seed(seed)
            picture = picture + (seed + 1) * noise * torch.randn(picture.shape, generator=generator)
            write_image(Path(folder) / name, picture.clamp(0, 1))
        return folder

    return write


def grid(bench, data, *words, models=("bicubic",), scales="2", metrics="psnr"):
    options = [word for model in models for word in ("--models", model)]
    return bench("grid", *options, "--data", data, "--scales", scales, "--metrics", metrics, *words)


def table(name="grid.csv"):
    with open(f"reports/out/grid/{name}", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_limit_of_pixels_is_raised_for_one_folder_only(bench, put):
    put("in", {"a.png": (32, 32), "b.png": (40, 40)})
    refused = grid(bench, "folder:in?max_pixels=1024")
    assert refused.exit_code == 1 and table()[0]["n"] == "1"
    assert "1 outputs failed" in refused.output and "above the limit of 1,024 pixels" in refused.output
    assert grid(bench, "folder:in?max_pixels=1600").exit_code == 0 and table()[0]["n"] == "2"


def test_names_of_images_come_back_from_the_csv(bench, put):
    names = ["图片 测试", "caf\u00e9", "cafe\u0301", "100%#1", "set[1]", "-dash", "emoji_🙂", "tab\tname", "quote'\""]
    put("in", {f"{name}.png": (24, 24) for name in names})
    assert grid(bench, "folder:in").exit_code == 0
    assert sorted(row["image"] for row in table("grid-images.csv")) == sorted(names)


def test_a_missing_value_of_an_image_has_its_reason_in_the_csv(bench, put):
    put("in", {"a.png": (40, 40), "b.png": (8, 8), "c.png": (10, 10)})
    Path("in/bad.png").write_bytes(b"<html>")
    result = grid(bench, "folder:in", metrics="psnr,ssim")
    reasons = {(row["image"], row["metric"]): row["reason"] for row in table("grid-images.csv")}
    assert reasons["a", "ssim"] == reasons["b", "psnr"] == "" and "web page" in reasons["bad", "psnr"]
    assert reasons["b", "ssim"] == reasons["c", "ssim"] == "ssim needs 11 px a side"
    assert "2 of 4 images have no value (b, c): ssim needs" in result.output and result.exit_code == 1


def test_pictures_of_different_sizes_give_the_same_bytes_at_any_batch(bench, put):
    put("in", {"a.png": (40, 40), "b.png": (31, 47), "c.png": (40, 40), "d.png": (47, 31)})
    written = []
    for batch in ("1", "4"):
        assert grid(bench, "folder:in", "--batch", batch, "--store", f"store{batch}").exit_code == 0
        written.append(Path("reports/out/grid/grid-images.csv").read_bytes())
    assert written[0] == written[1] and len(table("grid-images.csv")) == 4


def test_distances_to_lossy_pictures_and_lossy_results_are_said(bench, put):
    put("hr", {f"{i}.jpg": (32, 32) for i in range(3)})
    put("sr", {f"{i}.webp": (32, 32) for i in range(3)})
    shutil.copytree("hr", "same")
    words = ("--small-n",)
    result = grid(bench, "folder:hr", *words, models=["outputs:same"], scales="1", metrics="psnr,fd-st-alex")
    assert "Distances here are taken to pictures that are lossy themselves" in result.output
    assert "3 of 3 results are in a lossy format, such as 0.jpg" in result.output
    assert "Distances here" not in grid(bench, "folder:hr", metrics="psnr").output


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda sd: {f"module.{key}": value for key, value in sd.items()}, "prefix 'module.' stripped"),
        (lambda sd: {"params": sd}, "plain weights (params)"),
        (lambda sd: {"params": {k: 0 * v for k, v in sd.items()}, "params_ema": sd}, "averaged weights (params_ema)"),
    ],
)
def test_a_table_says_which_weights_of_a_checkpoint_were_used(tmp_path, wrap, said):
    network = build_network(SPEC, tmp_path)
    path = tmp_path / "a.pth"
    torch.save({"model": {**SPEC, "sd": wrap(network.state_dict())}}, path)
    model = liif(str(path))
    assert model.info.weights.endswith(said)
    assert all(torch.equal(a, b) for a, b in zip(model.network.parameters(), network.parameters(), strict=True))


def test_a_spreadsheet_gets_its_own_file_and_the_plain_one_stays(bench, put):
    put("in", {"a.png": (24, 24)})
    grid(bench, "folder:in")
    plain = Path("reports/out/grid/grid.csv").read_bytes()
    assert grid(bench, "folder:in", "--spreadsheet", ",").exit_code == 0
    assert Path("reports/out/grid/grid.csv").read_bytes() == plain
    body = Path("reports/out/grid/grid-spreadsheet.csv").read_text(encoding="utf-8-sig").splitlines()[1]
    assert body.split(";")[4:6] == ["psnr", table()[0]["value"].replace(".", ",")]


def test_commas_in_a_path_and_formulas_in_names(bench, put):
    put("a, b; c", {"=1+1.png": (24, 24), 'x, "y".png': (24, 24)})
    assert grid(bench, "folder:a, b; c,portraits?n=1").exit_code == 0
    assert [row["image"] for row in table("grid-images.csv")] == ["=1+1", 'x, "y"', "test-00000"]


def test_a_list_splits_at_commas_unless_a_path_holds_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a,b,c").mkdir()
    assert split_references("x, folder:a,b,c?n=2,y,x") == ("x", "folder:a,b,c?n=2", "y")
    assert split_references("folder:a,b") == ("folder:a", "b")


def test_a_method_that_lacks_pictures_is_ranked_on_the_shared_ones(bench, put):
    pictures = {f"{i}.png": (24, 24) for i in range(4)}
    put("hr", pictures)
    put("all", pictures, noise=0.05)  # picture 3 is the worst
    put("easy", dict(list(pictures.items())[:3]), noise=0.06)
    result = grid(bench, "folder:hr", models=["outputs:all", "outputs:easy"], scales="1")
    values = {row["method"]: float(row["value"]) for row in table()}
    assert values["outputs:easy"] > values["outputs:all"] and [row["n"] for row in table()] == ["4", "3"]
    report = Path("reports/out/grid/grid.md").read_text(encoding="utf-8")
    assert f"**{values['outputs:all']:.2f}**" in report and f"<u>{values['outputs:easy']:.2f}</u>" in report
    assert "the best are marked by those that all have. ×1: over the 3 that all have, outputs:all" in result.output
    assert "outputs:all - outputs:easy = +" in result.output


def test_one_pair_has_no_interval_and_says_why(bench, put):
    put("hr", {"a.png": (24, 24)})
    output = grid(bench, "folder:hr", models=["bicubic", "toys:noisy"]).output
    assert "(one image; an interval needs two)" in output and "nan" not in output


def test_rows_of_equal_keys_hold_equal_values(bench, put):
    """Protocol, crop, border, size, seed and pictures tell values apart that share method, scale and metric."""
    put("hr", {"a.png": (80, 80), "b.png": (80, 96)})
    found = []
    for words in (["div2k-full"], ["div2k-patch"], ["whole"], ["whole", "--seed", "3"], ["sr-benchmark"]):
        for name in ("grid.csv", "grid-images.csv"):
            assert grid(bench, "folder:hr", "--protocol", *words, models=["toys:noisy"], scales="1.5").exit_code == 0
            found += table(name)
    values = {row["key"]: row["value"] for row in found}
    assert len(values) == len(found) == 15
    columns = [(row["protocol"], row["crop"], row["border"], row["size"], row["seed"]) for row in found[::3]]
    assert columns[0] == ("div2k-full", "whole", "8", "various", "0")
    assert columns[1] == ("div2k-patch", "72 px square", "0", "72x72", "0")
    assert columns[3] == ("whole", "whole", "0", "various", "3")
    assert found[1]["size"] == "80x80" and found[2]["size"] == "96x80" and found[0]["data"] == "folder:hr"


def test_a_report_that_replaces_another_says_so(bench, put, monkeypatch):
    put("in", {"a.png": (24, 24)})
    words = ["grid", "--models", "bicubic", "--data", "folder:in", "--metrics", "psnr"]
    monkeypatch.setattr(sys, "argv", ["casarbi-bench", *words, "--scales", "2,3", '"&<'])
    bench(*words, "--scales", "2,3", "--spreadsheet", ",")
    said = "The report in reports/out/grid was that of another command and is replaced"
    more = bench(*words, "--scales", "2,3,4")
    assert more.exit_code == 0 and said not in more.output  # all values of the first are in it
    assert not Path("reports/out/grid/grid-spreadsheet.csv").exists()  # it held the first report's
    less = bench(*words, "--scales", "3")
    assert f"Note: {said}: 2 of its 3 values are not in this one. They are still in the store" in less.output
    assert (
        "casarbi-bench grid --models bicubic --data folder:in --metrics psnr --scales 2,3 '\"&<' (--out" in less.output
    )
    assert said not in bench(*words, "--scales", "3").output


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_run_ends_well_on_a_poor_code_page(put, encoding):
    put("图", {"é图.png": (24, 24)})
    words = ["grid", "--models", "bicubic", "--data", "folder:图", "--scales", "2,3", "--workers", "1"]
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-m", "benchmarks.cli", *words], capture_output=True, env=env)
    assert done.returncode == 0, done.stderr
    assert b"PSNR (dB) (higher is better)" in done.stdout and Path("reports/out/grid/grid.html").exists()


def test_every_image_counts_once_whatever_the_slices(bench, put):
    pictures = {f"{i}.png": (20, 20) for i in range(5)}
    put("hr", pictures)
    put("sr", pictures, noise=0.02)
    words = {"models": ["outputs:sr"], "scales": "1"}
    grid(bench, "folder:hr", "--store", "whole", **words)
    whole = table()
    for rank in ("3", "0", "2", "1"):
        result = grid(bench, "folder:hr", "--store", "sliced", "--rank", rank, "--world", "4", **words)
    assert result.exit_code == 0 and table() == whole and whole[0]["n"] == "5"


def test_new_pixels_under_an_old_name_size_and_time_are_measured(bench, put):
    put("in", {"a.bmp": (24, 24)})
    grid(bench, "folder:in")
    old, times = table()[0]["value"], os.stat("in/a.bmp")
    with Image.open("in/a.bmp") as image:
        image.transpose(Image.Transpose.ROTATE_90).point(lambda level: level // 2).save("in/a.bmp")
    os.utime("in/a.bmp", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert os.stat("in/a.bmp").st_size == times.st_size
    grid(bench, "folder:in")
    assert table()[0]["value"] != old


def test_options_given_twice_add_up(bench):
    result = grid(bench, "portraits?n=1", models=["bicubic", "toys:noisy", "bicubic"])
    assert result.exit_code == 0 and [row["method"] for row in table()] == ["bicubic", "toys:noisy"]


@pytest.mark.parametrize(
    ("option", "sentence"),
    [("--store", "Results cannot be kept in file/x: Not a directory"), ("--out", "file/x/grid: Not a directory")],
)
def test_a_place_that_refuses_is_named_before_the_work(bench, option, sentence):
    Path("file").touch()
    result = grid(bench, "portraits?n=1", option, "file/x")
    assert result.exit_code == 1 and f"Error: {sentence}" in result.output and "Measured" not in result.output


def test_a_full_disk_is_one_sentence_and_the_rest_is_measured_later(bench, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(benchmarks.store, "write_part", full)
        result = grid(bench, "portraits?n=1")
    assert result.exit_code == 1 and "No space left on device; mend that and run" in result.output
    assert grid(bench, "portraits?n=1").exit_code == 0 and table()[0]["n"] == "1"


PLUGINS = """
import casarbi.sr

def boom(): raise RuntimeError("no licence\\nserver.")
def five(): return 5

class Nameless(casarbi.sr.SRModel):
    info = None
    @property
    def identity(self): return {"weights": object()}
    def upscale(self, lr, size, seeds): return lr

def nameless(): return Nameless()
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("boom", "could not be opened: RuntimeError: no licence server (CASARBI_TRACEBACK=1 shows where)."),
        ("five", "gave int: expected a casarbi.sr.SRModel"),
        ("nameless", "does not say what it is"),
    ],
)
def test_a_plug_in_that_breaks_is_named(tmp_path, monkeypatch, name, sentence):
    (tmp_path / "fieldplugins.py").write_text(PLUGINS)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CasarbiError) as caught:
        create_model(f"fieldplugins:{name}")
    assert sentence in str(caught.value) and f"fieldplugins:{name}" in str(caught.value)


def test_a_launcher_that_says_nonsense_is_named(bench, monkeypatch):
    monkeypatch.setenv("RANK", "one")
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = grid(bench, "portraits?n=1")
    assert result.exit_code == 1 and "RANK=one and WORLD_SIZE=2, expected two whole numbers" in result.output


@pytest.mark.skipif(os.name != "posix", reason="sends Ctrl-C to a process group")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_is_one_sentence_and_the_same_command_goes_on(bench, tmp_path, workers):
    words = ["grid", "--data", "toys:squares?n=8", "--scales", "2", "--metrics", "psnr", "--batch", "1"]
    command = [sys.executable, "-m", "benchmarks.cli", *words, "--models", "toys:slow", "--workers", workers]
    run = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("results/cells/*/parts/*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    kept = len(list(tmp_path.glob("results/cells/*/parts/*.json")))
    assert run.returncode == 130 and "Stopped: what was measured is kept" in errors and "Traceback" not in errors
    assert 0 < kept < 8
    assert f"{kept} of 8" in bench(*words, "--models", "toys:slow?seconds=0").output and table()[0]["n"] == "8"
    resumed = table()
    bench(*words, "--models", "toys:slow?seconds=0", "--store", "whole")
    assert resumed == table()
