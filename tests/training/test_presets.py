"""Presets: those that ship, and mistakes in them."""

import pytest
import torch

from casarbi.errors import CasarbiError
from casarbi.training.presets import FOLDER, load_preset, preset_names
from casarbi.training.task import build_task

GOOD = """
description = "Toy"
task = "toy"
assumed = ["run.batch"]
[data]
train = "toy-scenes"
[run]
iterations = 4
batch = 2
learning_rate = 1e-3
"""


def names(table, prefix=""):
    for key, value in table.items():
        yield from names(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]


@pytest.mark.parametrize("name", preset_names())
def test_shipped_presets_build_and_mark_real_settings(name):
    # The LIIF that residuals of the paper's presets are taken against has to be trained or fetched.
    based = name in ("paper-face", "paper-scene")
    preset = load_preset(name, ["settings.residual.liif=liif:mini-face"] if based else [])
    with torch.device("meta" if name.startswith("paper") else "cpu"):  # gigabytes that nothing computes with
        task = build_task(preset.task, preset.settings, 0)
    known = {*names(preset.as_json()), *names({"settings": dict(task.settings)})}
    assert set(preset.assumed) <= known and preset.description
    values = sum(parameter.numel() for parameter in task.network.parameters())
    size_bytes = values * (2 if preset.weights.precision == "float16" else 4)
    assert size_bytes < (16e6 if name.startswith("gpu") else 8e6) or name.startswith("paper")


@pytest.mark.parametrize("name", ["paper-face", "paper-scene"])
def test_paper_presets_hold_what_the_paper_gives(name):
    preset, face = load_preset(name), name == "paper-face"
    settings = preset.settings
    assert preset.run.iterations == 1_000_000 and preset.run.drops == (0.5,)
    assert settings["items"]["lr_side"] == (16 if face else 48) and settings["items"]["noise_amount"] == (
        3 if face else 5
    )
    assert settings["cascade"]["p"] == (0.5 if face else 0.8) and settings["cascade"]["s_fix"] == 2
    given = (
        "run.iterations",
        "run.drops",
        "settings.cascade.p",
        "settings.items.lr_side",
        "settings.items.noise_amount",
    )
    assert not set(given) & set(preset.assumed)


def test_every_value_of_a_preset_is_marked_or_explained():
    """A line in a paper preset's [run], [settings…] is assumed, or says where it comes from."""
    for path in FOLDER.glob("paper-*.toml"):
        preset, section = load_preset(path.stem), ""
        for line in path.read_text().splitlines():
            section = line.split("]")[0].strip("[") if line.startswith("[") else section
            name = f"{section}.{line.split(' ')[0]}"
            free = ("log_every", "validate_every", "snapshot_every", "validation_scales", "validation_sides")
            if "=" in line and section.startswith(("run", "settings")) and not name.endswith(free):
                source = line.rpartition("# ")[2].startswith(("the paper", "published"))
                assert source != (name in preset.assumed), f"{path.name}: {line}"


def test_changes_are_typed(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(GOOD)
    preset = load_preset(str(path), ["run.batch=8", "run.drops=[0.5]", "settings.width=3", "data.train=folder:/a b"])
    assert (preset.name, preset.run.batch, preset.run.drops, preset.settings) == ("toy", 8, (0.5,), {"width": 3})
    assert load_preset(str(path), ["run.batch=1e1"]).run.batch == 10
    assert preset.data.train == "folder:/a b" and preset.assumed == ("run.batch",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["run.bacth=8"], r"\[run\] has no setting 'bacth': did you mean batch"),
        (["run.batch=many"], "batch = 'many' is not a whole number"),
        (["run.batch=2.5"], "batch = 2.5 is not a whole number"),
        (["run.batch=1e999"], "batch = inf is not a whole number"),
        (["run.batch=true"], "is not a whole number"),
        (["run.drops=0.5"], "is not a list"),
        (["run.drops=[1.5]"], "must lie between 0 and 1"),
        (["run.batch=0"], "must be at least 1"),
        (["run.learning_rate=nan"], "must be above 0"),
        (["run.precision=float16"], "'float16' is unknown: did you mean"),
        (["run.average_decay=1"], "average_decay must lie in"),
        (["batch=8"], "expected one of data.NAME=VALUE, run.NAME=VALUE"),
        (["run.batch"], "changes nothing: expected one of"),
        (["weights.precision=bfloat16"], "precision = 'bfloat16' is unknown"),
        (["run.batch.x=1"], "which is no table"),
    ],
)
def test_mistakes_are_named(tmp_path, changes, words):
    path = tmp_path / "toy.toml"
    path.write_text(GOOD)
    with pytest.raises(CasarbiError, match=words):
        load_preset(str(path), changes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[run", "no valid TOML"),
        ("a = " + "[" * 9999, "no valid TOML"),
        ("run = 5\n" + GOOD.replace("[run]", "[data.x]"), "has no setting 'x'|is not a table"),
        ("name = 'x'\n" + GOOD, "has no setting 'name': a preset is called as its file is"),
        (GOOD.replace("assumed = [", "assumed = 5 #"), "assumed = 5 is not a list"),
        (GOOD.replace("batch = 2\n", ""), "lacks the setting 'batch'"),
        (GOOD.replace("assumed", "asumed"), "has no setting 'asumed': did you mean assumed"),
    ],
)
def test_bad_files_are_named(tmp_path, text, words):
    path = tmp_path / "toy.toml"
    path.write_text(text)
    with pytest.raises(CasarbiError, match=words):
        load_preset(str(path))


def test_unknown_presets_and_tasks_get_near_names(tmp_path):
    with pytest.raises(CasarbiError, match="no preset 'mini-fce': did you mean mini-face"):
        load_preset("mini-fce")
    with pytest.raises(CasarbiError, match="cannot be read"):
        load_preset(str(tmp_path / "none.toml"))
    with pytest.raises(CasarbiError, match="no training task 'lif': did you mean liif"):
        build_task("lif", {}, 0)
    with pytest.raises(CasarbiError, match="no setting 'wdth': did you mean width"):
        build_task("training_toys:task", {"wdth": 3}, 0)
