"""Weights files that nobody would write: none runs code, breaks the program, or costs more than it weighs.

The long run, which prints its counts:

    pytest -m slow -s tests/fuzz/test_weights.py
"""

import dataclasses

import pytest

import baselines.idm.files
from fuzz.runner import judge
from fuzz.weights import IDM_WIDTHS, bases, cases, open_weights


@pytest.fixture(autouse=True)
def small_layout(monkeypatch):
    """Official IDM files of a tiny network."""
    monkeypatch.setattr(baselines.idm.files, "PUBLISHED", dataclasses.replace(IDM_WIDTHS, unused=True))
    monkeypatch.setattr(baselines.idm.files, "WIDTH_KEY", "denoise_fn.ups.2.imnet.0.weight")


@pytest.mark.parametrize("name", sorted(bases()))
def test_the_files_that_are_changed_load(tmp_path, name):
    (tmp_path / name.replace(".", "-0.", 1)).write_bytes(bases()[name])
    open_weights(tmp_path / name.replace(".", "-0.", 1))


def test_some_files(tmp_path):
    counts = judge(cases(120, seed=1), open_weights, tmp_path)
    assert counts.faults == [], counts
    assert counts.loaded > 5 and counts.refused > 60, counts


@pytest.mark.slow
def test_five_thousand_files(tmp_path):
    counts = judge(cases(5000, seed=2), open_weights, tmp_path)
    print(f"\nweights: {counts}")
    assert counts.files == 5000 and counts.faults == [], counts
