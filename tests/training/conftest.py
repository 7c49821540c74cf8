"""Runs of a toy task."""

import pytest
from training_runs import Runs


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("CASARBI_HOME", str(tmp_path / "home"))
    return Runs(tmp_path)
