"""What `casarbi` tells of itself: models, one model, completion."""

import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

import casarbi.known_models
from benchmarks.cli import main as bench
from casarbi.cli import main
from casarbi.known_models import KnownModel, find_known, known_models, known_references
from casarbi.sr import MODELS

REFERENCES = [model.reference for model in known_models()]


def run(*words, program=main):
    return CliRunner().invoke(program, list(words))


def test_models_lists_every_method_with_each_of_its_weights(monkeypatch):
    monkeypatch.setattr(KnownModel, "info", lambda self: None)  # opening each takes seconds
    done = run("models")
    printed = done.output.splitlines()
    places = {line.split()[0]: place for place, line in enumerate(printed) if not line.startswith(" ")}
    assert done.exit_code == 0 and set(REFERENCES) < set(places)
    assert {reference.partition(":")[0] for reference in REFERENCES} == set(MODELS.names())
    ours, official = places["casarbi:mini-face"], places["liif:edsr-baseline-div2k"]
    assert "2.8 MB" in printed[ours] and "sharp" in printed[ours] and printed[ours + 1].strip() == "drawn portraits"
    assert "18.9 MB" in printed[official] and printed[official + 1].strip().startswith("DIV2K · BSD-3-Clause")


@pytest.mark.parametrize("reference", REFERENCES)
def test_info_answers_for_every_name_that_is_listed(reference):
    done = run("info", reference)
    assert done.exit_code == 0, done.output
    assert re.search(f"^model +{reference}$", done.output, re.MULTILINE) and "looks" in done.output


def test_info_of_shipped_weights_says_how_they_were_made():
    done = run("info", "liif:mini-face?chunk=5000")
    for words in ("trained scales x1 to x8", "file size      2.0 MB", "trained on     drawn portraits"):
        assert words in done.output
    assert "trained by     casarbi train mini-liif-face" in done.output


def test_info_lists_the_options_with_their_words_and_help():
    lines = run("info", "casarbi").output.splitlines()
    assert "?schedule=     rl | rf | us | single: how the scale is cut: remainder last (Eq. 6" in "\n".join(lines)
    assert "?steps=        steps of the chain in each stage, at most the T that were trained" in lines
    assert not any(line.startswith("?width") for line in lines)


def test_weights_that_are_not_here_are_listed_with_the_way_to_them(monkeypatch, tmp_path):
    monkeypatch.setenv("CASARBI_HOME", str(tmp_path))
    done = run("info", "liif:edsr-baseline-div2k")
    assert done.exit_code == 0 and "licence        BSD-3-Clause" in done.output
    assert "casarbi-bench weights fetch edsr-baseline-div2k" in done.output
    monkeypatch.setattr(casarbi.known_models, "create_model", None)  # nothing else may be opened
    assert "weights fetch" in find_known("liif:edsr-baseline-div2k").missing


def test_unknown_models_are_not_in_the_list():
    assert find_known("liif:my_file.pth") is None and find_known("my_package.module:factory") is None


@pytest.mark.parametrize("program", [main, bench])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_switch_on(program, shell):
    done = run("completion", shell, program=program)
    name = "casarbi" if program is main else "casarbi-bench"
    assert done.exit_code == 0 and f"_{name.upper().replace('-', '_')}_COMPLETE" in done.output
    assert ("COMP_WORDBREAKS" in done.output) == (shell == "bash")


@pytest.mark.parametrize(
    ("module", "variable", "words"),
    [
        ("casarbi.cli", "_CASARBI_COMPLETE", "casarbi upscale -m casarbi:mini"),
        ("casarbi.cli", "_CASARBI_COMPLETE", "casarbi info casarbi:mini"),
        ("benchmarks.cli", "_CASARBI_BENCH_COMPLETE", "casarbi-bench grid --models bicubic,casarbi:mini"),
    ],
)
def test_a_shell_is_offered_names_with_weights(module, variable, words):
    env = os.environ | {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1), variable: "bash_complete"}
    code = f"from {module} import main; main(prog_name={words.split()[0]!r})"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    first = "bicubic," if "bench" in module else ""
    assert done.stdout.split() == [f"plain,{first}casarbi:mini-face", f"plain,{first}casarbi:mini-scene"], done.stderr


def test_references_are_completed_without_opening_a_model():
    assert "casarbi:mini-scene" in known_references() and "outputs" in known_references()
