"""What the harness itself costs: wall time of a run of Table I that neither the models nor the metrics took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

WORKERS = 2
DATA = "portraits?split=test&n=8"


def test_table1_run_outside_models_and_metrics(
    benchmark: BenchmarkFixture, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    """Run the whole command on a few portraits from an empty store; tells what is outside.

    Start-up is most of that, so it is told in seconds; of the whole table `casarbi-bench run table1` prints the parts.
    Seconds of models and metrics are those each process noted in the store; start-up, drawing and reading pictures,
    writing, waiting for the last worker and the report are all outside. `pictures` are the seconds that drawing and
    reading them take of it.
    """
    # A process of its own, as a user runs it: imports count.
    command = [sys.executable, "-c", "from benchmarks.cli import main; main()", "run", "table1", "--data", DATA]
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
    assert 0 < inside <= wall
    benchmark.extra_info.update(workers=WORKERS, outside=round(wall - inside, 2), pictures=round(spent["read"], 2))
    tell(
        f"Table I of {DATA}: {wall:.1f} s, models {spent['model']:.1f} s, metrics {spent['metrics']:.1f} s, "
        f"outside {wall - inside:.1f} s, pictures {spent['read']:.1f} s of that"
    )
