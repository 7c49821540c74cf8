"""`casarbi train`. Heavy imports stay in the bodies: `--help` is instant."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from casarbi.console import make_console, make_consoles, say
from casarbi.errors import CasarbiError

if TYPE_CHECKING:
    from casarbi.training.presets import Preset
    from casarbi.training.session import Outcome

_SIGNALLED = 128
"""Exit codes of commands that a signal stopped begin here."""


def _preset_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from casarbi.training.presets import preset_names

    return [CompletionItem(name) for name in preset_names() if name.startswith(incomplete)]


@click.command()
@click.argument("preset", metavar="[PRESET]", required=False, shell_complete=_preset_names)
@click.option("--task", metavar="REF", help="What is trained, for the preset's: a name, or my_package.module:factory.")
@click.option("--data", metavar="REF", help="Training pictures, such as ffhq:DIR or folder:DIR, for the preset's own.")
@click.option(
    "--validation", metavar="REF", help="Validation pictures.  [default: with --data, the last 16 of its pictures]"
)
@click.option(
    "-o", "--out", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), help="[default: runs/PRESET]"
)
@click.option("--resume", is_flag=True, help="Go on with the run in DIR, exactly as if it had never stopped.")
@click.option(
    "--init", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Begin from the weights of FILE."
)
@click.option("--steps", metavar="N", type=click.IntRange(min=1), help="Iterations of the whole run, for the preset's.")
@click.option(
    "--minutes",
    metavar="M",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop within M minutes, all counted, to be resumed.",
)
@click.option(
    "-s", "--set", "changes", metavar="NAME=VALUE", multiple=True, help="Change a setting: run.batch=8. Repeatable."
)
@click.option("--device", metavar="NAME", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps.")
@click.option(
    "--workers", metavar="N", type=click.IntRange(min=0), default=1, show_default=True, help="Processes making batches."
)
@click.option("--compile", is_flag=True, help="Compile the network's blocks: pays on a GPU, after about a minute.")
@click.option("--dry-run", is_flag=True, help="Print settings, parameters and FLOPs, and stop.")
def train(preset: str | None, **options: Any) -> None:
    """Train a network as a preset says; without PRESET the presets are listed.

    DIR gets the weights (PRESET.safetensors, and best.safetensors by validation), log.csv, validation.csv, contact
    sheets in pictures/, TensorBoard logs, and the last two snapshots, which serve as weights too. Ctrl-C writes a
    snapshot and the weights so far (last.safetensors) and stops; --resume then goes on. Many GPUs: accelerate launch -m
    casarbi.cli train PRESET.

    \b
    Examples, all offline:
      casarbi train
      casarbi train mini-liif-face --minutes 10
      casarbi train mini-liif-face --resume
      casarbi train mini-liif-face -s run.batch=8 -o runs/small-batch
      casarbi train mini-kim-face-alignment --init runs/mini-kim-face/mini-kim-face.safetensors
    """
    began = time.monotonic()  # before torch is loaded: --minutes counts all of the command
    from casarbi.training.presets import load_preset, preset_names

    if preset is None:
        names = preset_names()
        for name in names:
            say(make_console(), f"{name:<{max(map(len, names)) + 2}}{load_preset(name).description}")
        return
    # Threads that spin while they wait make a step seven times as long when the cores have other work, such as making
    # batches; OpenMP reads this when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _need_accelerate()
    chosen = load_preset(preset, options["changes"], dict(_typed(options)))
    if not chosen.task:
        raise CasarbiError(f"The preset {chosen.name} names no task: add one, or type it with --task.")
    if options["dry_run"]:
        from casarbi.training.describe import header_lines
        from casarbi.training.task import build_task

        costs = build_task(chosen.task, chosen.settings, 0).costs()
        for line in header_lines({"preset": chosen.as_json(), "network": costs}):
            say(make_console(), line)
        return
    _end(_train(chosen, options, began), chosen, options)


def _need_accelerate() -> None:
    from importlib.util import find_spec

    if find_spec("accelerate") is None:
        raise CasarbiError("Training needs accelerate: pip install 'casarbi[train]'.")


def _typed(options: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The settings that --task, --data, --validation and --steps stand for."""
    if options["task"]:
        yield "task", options["task"]
    if options["data"]:
        # Other pictures have other validation pictures, other authors and another licence than the preset's.
        yield "data.train", options["data"]
        yield from ((name, "") for name in ("data.validation", "weights.trained_on", "weights.licence"))
    if options["validation"]:
        yield "data.validation", options["validation"]
    if options["steps"]:
        yield "run.iterations", options["steps"]


def _folder(preset: Preset, options: dict[str, Any]) -> Path:
    return options["out"] or Path("runs") / preset.name


def _train(preset: Preset, options: dict[str, Any], began: float) -> Outcome:
    from casarbi.training.progress import CacheBar, ConsoleReporter
    from casarbi.training.run import Workspace
    from casarbi.training.session import Start, train

    _, errors = make_consoles()
    place = Workspace(_folder(preset, options), options["workers"], options["minutes"], began=began)
    start = Start(options["resume"], options["init"], options["device"], options["compile"])
    with CacheBar(errors) as cache_bar, ConsoleReporter(errors) as reporter:
        return train(preset, place, start, reporter, cache_bar)


def _use(preset: Preset, weights: Path) -> str:
    """How weights are tried out, if the task is named after the method that opens them."""
    from casarbi.sr import MODELS

    return f": casarbi upscale -m {preset.task}:{weights} PHOTO" if preset.task in MODELS.names() else ""


def _end(outcome: Outcome, preset: Preset, options: dict[str, Any]) -> None:
    """Say how it ended; a signal gives the exit code that shells expect."""
    console, folder = make_console(), _folder(preset, options)
    if outcome.is_main and outcome.weights:
        size = outcome.weights.stat().st_size
        say(console, f"{outcome.weights} ({size / 1e6:.1f} MB) holds the weights after {outcome.step:,} steps")
    elif outcome.is_main:
        done = f"stopped after {outcome.step:,} of {preset.run.iterations:,} steps ({folder})"
        say(console, f"{done}; the same command with --resume goes on")
        if outcome.last and outcome.last.is_file():
            say(console, f"{outcome.last} holds the averaged weights so far{_use(preset, outcome.last)}")
    if outcome.signal:
        click.get_current_context().exit(_SIGNALLED + outcome.signal)
