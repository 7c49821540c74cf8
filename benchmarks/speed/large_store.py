"""A large table simulated: bicubic and four folders of finished results, thousands of small pictures, five scales.

    python -m benchmarks.speed.large_store --images 5000 --folder /tmp/large

5,000 pictures and their results take 5 GB.

Every step is a command of `casarbi-bench`, told with its processor time (its own and that of its workers), its peak
memory and the files that the store has after it. Made pictures and what is measured stay in the folder: a run that was
stopped, or killed, goes on.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
from PIL import Image

SCALES = (5.3, 7.0, 10.0, 10.7, 12.0)
LR_SIDE = 16  # of the protocol `face`
FILTERS = ("bicubic", "bilinear", "lanczos", "nearest")  # by which the finished results are made, a folder for each


@click.command()
@click.option("--images", type=click.IntRange(2), default=5000, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where everything is made.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
def main(images: int, folder: Path, workers: int) -> None:
    """Measure, look at, pack and report a table of 25 cells."""
    make_pictures(folder, images)
    models = ",".join(["bicubic", *(f"outputs:{folder / name}" for name in FILTERS)])
    words = ["grid", "--models", models, "--data", f"folder:{folder / 'pictures'}", "--protocol", "face"]
    words += ["--scales", ",".join(f"{scale:g}" for scale in SCALES), "--metrics", "psnr", "--workers", str(workers)]
    store = ["--store", str(folder / "store")]
    for title, command in (
        ("measure", [*words, *store, "--out", str(folder / "out")]),
        ("nothing left to measure", [*words, *store, "--out", str(folder / "out")]),
        ("dry run", [*words, *store, "--dry-run"]),
        ("pack", ["store", "compact", *store]),
        ("check", ["store", "check", *store]),
    ):
        step(title, command, folder / "store")


def make_pictures(folder: Path, images: int) -> None:
    """Pictures of 256 px, and for each of them finished results at every scale; those that are there stay."""
    for index in range(images):
        name = f"{index:05d}.png"
        whole = Image.fromarray(np.random.default_rng(index).integers(0, 255, (16, 16, 3), dtype=np.uint8))
        wanted = {folder / "pictures" / name: (256, "bicubic")}
        for how in FILTERS:
            wanted |= {folder / how / f"x{scale:g}" / name: (round(LR_SIDE * scale), how) for scale in SCALES}
        for path, (side, how) in wanted.items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                whole.resize((side, side), Image.Resampling[how.upper()]).save(path, compress_level=1)


def step(title: str, words: list[str], store: Path) -> None:
    """Run a command and print what it took."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "benchmarks.cli", *words]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    files = [path for path in store.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 2**20
    click.echo(
        f"{title:24} exit {done.returncode}, {cpu:7.1f} s of processor, {time.perf_counter() - begun:7.1f} s, peak so "
        f"far {after.ru_maxrss / 2**10:,.0f} MiB; store {len(files)} files, {size:.1f} MiB"
    )


if __name__ == "__main__":
    main()
