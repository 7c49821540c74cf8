"""The training loop: one for every network here."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from casarbi.errors import CasarbiError
from casarbi.files import free_bytes, is_full
from casarbi.pictures.writing import write_image
from casarbi.training.batches import Batches
from casarbi.training.clock import Clock
from casarbi.training.ema import WeightAverage
from casarbi.training.feed import Feed
from casarbi.training.header import KEY, as_text, thin_out
from casarbi.training.interrupts import StopWish
from casarbi.training.logs import CsvLog, TensorBoardLog, read_log
from casarbi.training.optimizer import make_adam, optimizer_tensors, restore_optimizer, set_learning_rate
from casarbi.training.presets import RunSettings
from casarbi.training.progress import Reporter, SilentReporter
from casarbi.training.seeds import Purpose, torch_generator, torch_seed
from casarbi.training.sheet import draw_sheet
from casarbi.training.snapshots import RunState, SafetensorError, Snapshot, write_snapshot
from casarbi.training.task import Batch, Task, Validation

PATIENCE_SECONDS = 5.0
"""Whoever interrupts a run waits so long for all pictures, or for one."""


class LossModule(nn.Module):
    """A task's loss as a module, so that wrappers (many GPUs, autocast) see one forward pass whatever the task does."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.network = task.network
        self._loss = task.loss

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of a batch."""
        return self._loss(batch, generator)


@dataclass(frozen=True)
class Place:
    """Where a run happens and what it may take.

    Attributes:
        folder: snapshots, logs, pictures and weights go here.
        workers: processes that make batches; 0 makes them in the loop.
        minutes: the session takes so much time at most, or that of one step; None: no limit.
        tensorboard: write TensorBoard logs if it is installed.
        began: time.monotonic() at which the session's time began.
    """

    folder: Path
    workers: int = 1
    minutes: float | None = None
    tensorboard: bool = True
    began: float = field(default_factory=time.monotonic)

    @property
    def last_weights(self) -> Path:
        """File of the averaged weights of a run that was stopped."""
        return self.folder / "last.safetensors"


class Trainer:
    """Trains the network of a task.

    With the same preset, a run that was stopped anywhere and resumed is bit for bit the unbroken run on a CPU:
    everything random is a function of (seed, step), and everything else is in the snapshot.
    """

    def __init__(
        self,
        task: Task,
        images: Sequence[Tensor],
        validation: Sequence[Tensor],
        settings: RunSettings,
        place: Place,
        accelerator: Accelerator,
        reporter: Reporter,
        header: Mapping[str, Any],
        identity: Mapping[str, Any],
    ) -> None:
        self.task, self.validation, self.settings, self.place = task, validation, settings, place
        self.accelerator, self.reporter = accelerator, reporter if accelerator.is_main_process else SilentReporter()
        self.header, self.identity = dict(header), dict(identity)
        if settings.batch % accelerator.num_processes:
            raise CasarbiError(
                f"A batch of {settings.batch} cannot be shared by {accelerator.num_processes} processes: set "
                f"run.batch to a multiple."
            )
        world = accelerator.num_processes
        self.batches = Batches(images, task.recipe, settings.seed, settings.batch, accelerator.process_index, world)
        if settings.channels_last:
            task.network.to(memory_format=torch.channels_last)
        self.network = task.network.to(accelerator.device).train()
        self.model = accelerator.prepare(LossModule(task))
        self.optimizer = make_adam(self.network, settings.learning_rate, settings.weight_decay)
        self.parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.average = WeightAverage(self.network, settings.average_decay)
        self.state, self.seconds_before = RunState(), 0.0
        self.started = 0.0
        self.clock = Clock(place.began, place.minutes)
        self.metrics: dict[str, float] = {}
        self.measured_at = 0  # the step of the metrics

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot; raises CasarbiError where it does not fit the network."""
        parts = snapshot.tensors
        try:
            for network, part in ((self.network, "network"), (self.average.network, "average")):
                network.load_state_dict(parts[part])
            restore_optimizer(self.optimizer, self.network, parts["optimizer"])
        except (RuntimeError, CasarbiError) as error:
            reason = str(error).splitlines()[0].rstrip(":.")
            raise CasarbiError(f"{snapshot.path} does not fit this network: {reason}.") from None
        self.state = snapshot.state
        self.average.updates = self.state.updates
        self.seconds_before = self.state.seconds

    def run(self) -> bool:
        """Train to the end, to the time limit, or until interrupted; returns whether the end was reached.

        Raises:
            CasarbiError: after too many steps in a row whose loss is not finite, if pictures have changed or too many
                cannot be used, or if the last snapshot cannot be written.
        """
        total, settings, place = self.settings.iterations, self.settings, self.place
        self._check_space()
        self.started, first = time.monotonic(), self.state.step
        self._open_logs()
        self.reporter.start(first, total)
        with (
            StopWish() as wish,
            closing(self.tensorboard),
            closing(Feed(self.batches, self.state, total, place.workers, self.reporter)) as self.feed,
        ):
            while self.state.step < total:
                with self.clock.timing("step"):
                    loss, stop = self._step(self._next(first), wish)
                self.reporter.step(self.state.step, loss)
                step = self.state.step
                self._log(step)
                if step % settings.validate_every == 0 or step == total:
                    self._validate(step)
                if stop or step % settings.snapshot_every == 0 or step == total:
                    self._snapshot(last=stop or step == total)
                if stop and step < total:
                    self._leave(interrupted=wish.signal is not None)
                    break
        self.stopped_by = wish.signal
        return self.state.step >= total

    def _next(self, first: int) -> Batch:
        try:
            batch = next(self.feed)
        except CasarbiError:
            if self.state.step > first and self.accelerator.num_processes == 1:
                self._snapshot(last=True)  # nothing that was learnt is lost; other processes could not join in
            raise
        order: dict[str, Any] = {"memory_format": torch.channels_last} if self.settings.channels_last else {}
        device = self.accelerator.device
        return {
            name: tensor.to(device, non_blocking=True, **(order if tensor.dim() == 4 else {}))
            for name, tensor in batch.items()
        }

    def _step(self, batch: Batch, wish: StopWish) -> tuple[float, bool]:
        """Make one step; returns its loss and whether any process wants to stop."""
        state, settings, rank = self.state, self.settings, self.accelerator.process_index
        # Layers such as dropout can draw from the global generator alone.
        torch.manual_seed(torch_seed(settings.seed, Purpose.LAYERS, state.step, rank))
        generator = torch_generator(self.accelerator.device, settings.seed, Purpose.LOSS, state.step, rank)
        set_learning_rate(self.optimizer, settings.rate.at(state.step))
        losses = self.model(batch, generator)
        self.accelerator.backward(losses["loss"])
        limit = settings.clip_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.parameters, limit)
        stop = wish.signal is not None or self.clock.is_up()
        # One transfer, and the same numbers on every process, so that all of them decide alike.
        told = torch.stack([*(loss.detach().float() for loss in losses.values()), norm.float(), norm.new_tensor(stop)])
        *values, norm_value, stops = self.accelerator.reduce(told, "mean").tolist()
        seen = dict(zip(losses, values, strict=True)) | {"gradient_norm": norm_value}
        self._update(seen)
        self.optimizer.zero_grad(set_to_none=True)
        state.step += 1
        return seen["loss"], stops > 0

    def _update(self, seen: Mapping[str, float]) -> None:
        """Update weights and average, or skip the step where a number is not finite."""
        state = self.state
        if all(math.isfinite(value) for value in seen.values()):
            self.optimizer.step()
            self.average.update(self.network)
            state.updates, state.skipped_in_a_row = self.average.updates, 0
            for name, value in (*seen.items(), ("steps", 1.0)):
                state.window[name] = state.window.get(name, 0.0) + value
            return
        state.skipped += 1
        state.skipped_in_a_row += 1
        named = ", ".join(f"{name} {value}" for name, value in seen.items() if not math.isfinite(value))
        self.reporter.note(f"step {state.step + 1} was skipped: {named}.", warning=True)
        if state.skipped_in_a_row >= self.settings.skip_limit:
            raise CasarbiError(
                f"Stopped at step {state.step + 1}: {state.skipped_in_a_row} steps in a row had {named}; snapshots and "
                f"best weights in {self.place.folder} are from before. Lower run.learning_rate, or set "
                f"run.precision=float32."
            )

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def _open_logs(self) -> None:
        step, folder = self.state.step, self.place.folder
        main = self.accelerator.is_main_process
        # A stop logs the steps since the last row too, but a run that goes on logs them with those that follow.
        self.log = CsvLog(folder / "log.csv", step - bool(self.state.window)) if main else None
        self.validation_log = CsvLog(folder / "validation.csv", step) if main else None
        # A run resumed at its very end validates no more: its header still says what the last validation found.
        for row in read_log(folder / "validation.csv")[-1:] if main else []:
            self.metrics = {name: value for name, value in row.items() if name not in ("step", "seconds")}
            self.measured_at = int(row["step"])
        self.tensorboard = TensorBoardLog(folder / "tensorboard", step, main and self.place.tensorboard)

    def _log(self, step: int) -> None:
        if step % self.settings.log_every and step != self.settings.iterations:
            return
        row = self._log_row(step)
        self.state.window = {}
        self.tensorboard.scalars("train", {name: value for name, value in row.items() if name != "step"}, step)

    def _log_row(self, step: int) -> dict[str, float]:
        """Write the means since the last row; returns them, or nothing if all those steps were skipped."""
        sums = dict(self.state.window)
        count = sums.pop("steps", 0.0)
        if not count or self.log is None:
            return {}
        means = {name: value / count for name, value in sums.items()}
        rate = self.settings.rate.at(step - 1)
        row = {"step": step, **means, "learning_rate": rate, "skipped": self.state.skipped}
        timing = {"seconds": round(self._seconds(), 1), "waited_for_data_seconds": round(self.feed.waited, 1)}
        self._writing(lambda: self.log.add(row | timing), "the log")
        return row

    def _validate(self, step: int) -> None:
        """Measure the averaged weights; the first process does it, the others wait."""
        if self.accelerator.is_main_process:
            with self.clock.timing("validation"):
                found = self._measure(self.validation)
            self.metrics, self.measured_at = found.metrics, step
            row = {"step": step, **found.metrics, "seconds": round(self._seconds(), 1)}
            self._writing(lambda: self.validation_log.add(row), "the log")  # type: ignore[union-attr]
            self.tensorboard.scalars("validation", found.metrics, step)
            self._show(step, found)
            self._keep_best(step, found.metrics)
        self.accelerator.wait_for_everyone()

    def _measure(self, images: Sequence[Tensor]) -> Validation:
        with torch.no_grad():
            return self.task.validate(self.average.network, images)

    def _show(self, step: int, found: Validation, of_how_many: str = "") -> None:
        if found.sheet:
            picture = draw_sheet(found.sheet)
            path = self.place.folder / "pictures" / f"step-{step:08d}.png"
            self._writing(lambda: write_image(path, picture), "a picture")
            self.tensorboard.picture("validation", picture, step)
        words = ", ".join(f"{name} {value:.4g}" for name, value in found.metrics.items())
        self.reporter.note(f"step {step:,}: {words}{of_how_many}")

    def _leave(self, interrupted: bool) -> None:
        """Leave usable weights, the log so far and pictures, though the run is not done."""
        step, path = self.state.step, self.place.last_weights
        self.feed.close()
        if self.accelerator.is_main_process:
            self._log_row(step)
            self._writing(lambda: self.save(path), "the weights")
            if self.measured_at != step:
                if interrupted:
                    self.reporter.note("weights and log are written, a picture follows: Ctrl-C again leaves it out.")
                with suppress(KeyboardInterrupt):
                    self._show_some(step, interrupted)
        self.accelerator.wait_for_everyone()

    def _show_some(self, step: int, interrupted: bool) -> None:
        """Show as many validation pictures as there is time for; neither log nor best weights change.

        These are all, one, or none if a limit is near; whoever interrupted the run gets one in any case.
        """
        until = time.monotonic() + (PATIENCE_SECONDS if interrupted else self.clock.left())
        total, found, shown = len(self.validation), None, 0
        each = self.clock.picture_seconds(total)
        # One picture shows how long all would take, unless a validation has shown it and all fit.
        timed = "validation" in self.clock.took and total * each <= until - time.monotonic()
        for count in dict.fromkeys((total,) if timed else (1, total)):
            began = time.monotonic()
            if count * each <= until - began or (interrupted and not shown):
                found, shown = self._measure(self.validation[:count]), count
                each = (time.monotonic() - began) / count
        if found:
            self._show(step, found, f" ({shown} of {total} validation pictures)" if shown < total else "")
        else:
            self.reporter.note("there was no time left for pictures of this step.")

    def _keep_best(self, step: int, metrics: Mapping[str, float]) -> None:
        value, best = metrics[self.task.best_metric], self.state.best
        if not math.isfinite(value):
            self.reporter.note(f"validation gave {self.task.best_metric} {value}: the best weights stay.", warning=True)
            return
        if best and (value <= best["value"] if self.task.best_is_highest else value >= best["value"]):
            return
        self.state.best = {"step": step, "value": value}
        self._writing(lambda: self.save(self.place.folder / "best.safetensors"), "the best weights")

    def save(self, path: Path) -> None:
        """Write the averaged weights with everything that is known of their training in the header."""
        self.task.save(path, self.average.network, self._training_header())

    def _training_header(self) -> dict[str, str]:
        state = self.state
        facts = {
            "iterations": state.step,
            "progress": f"{state.step:,} of {self.settings.iterations:,} steps",
            "skipped": state.skipped,
            "unusable_pictures": len(state.unusable),
            "hours": round(self._seconds() / 3600, 2),
            "metrics": self.metrics if self.measured_at == state.step else {},
            "best": state.best,
            "curve": thin_out(read_log(self.place.folder / "log.csv")),
            "validation_curve": thin_out(read_log(self.place.folder / "validation.csv")),
        }
        return {KEY: as_text(self.header | facts)}

    def _snapshot(self, last: bool) -> None:
        """Write a snapshot; a failure stops the run only where it is the last one."""
        self.state.seconds = self._seconds()
        if self.accelerator.is_main_process:
            tensors = {
                "network": self.network.state_dict(),
                "average": self.average.network.state_dict(),
                "optimizer": optimizer_tensors(self.optimizer, self.network),
            }
            folder, header = self.place.folder / "snapshots", self.task.facts() | self._training_header()
            with self.clock.timing("snapshot"):
                self._writing(
                    lambda: write_snapshot(folder, self.state, self.identity, tensors, header), "a snapshot", last
                )
        self.accelerator.wait_for_everyone()

    def _writing(self, write: Any, what: str, fatal: bool = False) -> None:
        """Write a file; a disk that is full or refuses becomes a warning, so that hours of training go on."""
        try:
            write()
        except (OSError, SafetensorError, CasarbiError) as error:
            folder = self.place.folder
            reason = f"the disk is full, {free_bytes(folder):,} bytes are free" if is_full(error) else str(error)
            sentence = f"{what.capitalize()} of step {self.state.step:,} cannot be written to {folder}: {reason}."
            if fatal:
                raise CasarbiError(f"{sentence} What was written before is whole: free space and --resume.") from None
            self.reporter.note(f"{sentence} Training goes on; free some space.", warning=True)

    def _check_space(self) -> None:
        """Refuse to begin what cannot be stored: snapshots take four times the weights, and three lie there at once."""
        weights = sum(tensor.numel() * tensor.element_size() for tensor in self.network.state_dict().values())
        needed, free = 4 * 3 * weights, free_bytes(self.place.folder)
        if free < needed:
            raise CasarbiError(
                f"{self.place.folder} has {free:,} bytes free, but snapshots take up to {needed:,}: free some space, "
                f"or choose another disk with --out."
            )
