"""What the harness itself costs: wall time of a Table I run that neither the models nor the metrics took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

WORKERS = 2
TARGET = 0.05


def test_share_of_a_table1_run_outside_models_and_metrics(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Run the whole command from an empty store; `outside` in the extra info is aimed at 0.05 or less.

    Seconds of models and metrics are those each process noted in the store; start-up, drawing and reading pictures,
    writing, waiting for the last worker and the report are all outside. `pictures` is the part that drawing and
    reading them has in it.
    """
    # A process of its own, as a user runs it: imports count.
    command = [sys.executable, "-c", "from benchmarks.cli import main; main()", "run", "table1"]
    command += ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--workers", str(WORKERS)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    benchmark.pedantic(subprocess.run, (command,), {"check": True, "env": env, "capture_output": True}, rounds=1)
    parts = [json.loads(path.read_text()) for path in (tmp_path / "store").glob("cells/*/parts/*.json")]
    # Seconds are sums over the workers, which run at the same time.
    spent = {
        part: sum(written["header"]["seconds"][part] for written in parts) / WORKERS
        for part in ("read", "model", "metrics")
    }
    wall, inside = benchmark.stats.stats.max, spent["model"] + spent["metrics"]
    shares = {"outside": round(1 - inside / wall, 4), "pictures": round(spent["read"] / wall, 4)}
    benchmark.extra_info.update(workers=WORKERS, target=TARGET, **shares)
    assert 0 < inside <= wall
