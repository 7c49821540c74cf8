import pytest
from click.testing import CliRunner

from benchmarks.cli import main


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Call casarbi-bench in an empty folder with one worker; returns Click's result."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        return CliRunner().invoke(main, [*words, *(("--workers", "1") if words[0] == "run" else ())])

    return call
