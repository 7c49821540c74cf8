"""The examples in docstrings run, as `pytest --doctest-modules casarbi baselines benchmarks reports` would run them."""

import doctest
import importlib
from pathlib import Path

import pytest
import torch

PROJECT = Path(__file__).parents[1]
PACKAGES = ("casarbi", "baselines", "benchmarks", "reports")
# Only modules that hold an example are imported.
MODULES = sorted(
    ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
    for package in PACKAGES
    for path in (PROJECT / package).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, capsys):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted and not outcome.failed, capsys.readouterr().out


def test_examples_are_found():
    assert len(MODULES) > 20


def test_the_readme_s_python_runs():
    """Of CONTRIBUTING.md's, see tests/benchmarks/test_cli_bench.py."""
    code = (PROJECT / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names = {"lr": torch.rand(1, 3, 16, 16)}
    exec(code, names)
    assert names["large"].shape == (1, 3, 85, 85)
