"""The training loop: one for every network here."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from casarbi.errors import CasarbiError
from casarbi.training.batches import Batches
from casarbi.training.clock import Clock
from casarbi.training.ema import WeightAverage
from casarbi.training.feed import Feed
from casarbi.training.interrupts import StopWish
from casarbi.training.optimizer import make_adam, optimizer_tensors, restore_optimizer, set_learning_rate
from casarbi.training.progress import Reporter, SilentReporter
from casarbi.training.recorder import Recorder
from casarbi.training.run import Run
from casarbi.training.seeds import Purpose, torch_generator, torch_seed
from casarbi.training.snapshots import RunState, Snapshot, check_space
from casarbi.training.task import Batch, Task, Validation

PATIENCE_SECONDS = 5.0
"""A person who interrupts a run waits at most so long for all validation pictures, but always for one."""


class LossModule(nn.Module):
    """A task's loss as a module, so that wrappers (many GPUs, autocast) see one forward pass whatever the task does."""

    def __init__(self, task: Task[Any]) -> None:
        super().__init__()
        self.network = task.network
        self._loss = task.loss

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of a batch."""
        return self._loss(batch, generator)


@dataclass(frozen=True)
class Outcome:
    """How a session ended.

    Attributes:
        weights: the file of the finished run's averaged weights; None if it was stopped before.
        step: steps done.
        last: the file of the averaged weights of a run that was stopped.
        signal: number of the signal that stopped it, or None.
        is_main: whether this process is the one of its launch that writes and speaks.
    """

    weights: Path | None
    step: int
    last: Path | None = None
    signal: int | None = None
    is_main: bool = True


class Trainer:
    """Trains the network of a run.

    With the same preset, a run that was stopped anywhere and resumed is bit for bit the unbroken run on a CPU:
    everything random is a function of (seed, step), and everything else is in the snapshot.
    """

    def __init__(
        self, run: Run, accelerator: Accelerator, reporter: Reporter, snapshot: Snapshot | None = None
    ) -> None:
        """Make ready to train a run from its beginning, or from a snapshot of it.

        Raises:
            CasarbiError: if the processes cannot share a batch, or the snapshot does not fit the network.
        """
        self.run, self.settings, self.accelerator = run, run.settings, accelerator
        self.is_main, world = accelerator.is_main_process, accelerator.num_processes
        self.reporter = reporter if self.is_main else SilentReporter()
        if self.settings.batch % world:
            raise CasarbiError(
                f"A batch of {self.settings.batch} cannot be shared by {world} processes: set run.batch to a multiple."
            )
        self.batches = Batches(
            run.images, run.task.recipe, self.settings.seed, self.settings.batch, accelerator.process_index, world
        )
        if self.settings.channels_last:
            run.task.network.to(memory_format=torch.channels_last)
        self.network: nn.Module = run.task.network.to(accelerator.device).train()
        # The optimizer holds the bare network's weights, which the wrapper shares.
        self.model = accelerator.prepare(LossModule(run.task))
        self.optimizer = make_adam(self.network, self.settings.learning_rate, self.settings.weight_decay)
        self.parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.average = WeightAverage(self.network, self.settings.average_decay)
        self.state = self._restore(snapshot) if snapshot else RunState()
        self.clock = Clock(run.place.began, run.place.minutes)

    def _restore(self, snapshot: Snapshot) -> RunState:
        """Put back weights, average and optimizer; returns where the run stood."""
        parts = snapshot.tensors
        try:
            for network, part in ((self.network, "network"), (self.average.network, "average")):
                network.load_state_dict(parts[part])
            restore_optimizer(self.optimizer, self.network, parts["optimizer"])
        except (RuntimeError, CasarbiError) as error:
            reason = str(error).splitlines()[0].rstrip(":.")
            raise CasarbiError(f"{snapshot.path} does not fit this network: {reason}.") from None
        self.average.updates = snapshot.state.updates
        return snapshot.state

    def train(self) -> Outcome:
        """Train to the end, to the time limit, or until interrupted.

        Raises:
            CasarbiError: after too many steps in a row whose loss is not finite, if pictures have changed or too many
                cannot be used, or if the last snapshot cannot be written.
        """
        state, settings, total = self.state, self.settings, self.settings.iterations
        check_space(self.run.place.folder, self.network)
        first = state.step
        self.reporter.start(first, total)
        with (
            StopWish() as wish,
            self._open_recorder() as recorder,
            closing(Feed(self.batches, state, total, self.run.place.workers, self.reporter)) as feed,
        ):
            stop = False
            while state.step < total and not stop:
                # One step of the optimizer, on the next batch.
                with self.clock.timing("step"):
                    batch = self._next_batch(feed, recorder, resumable=state.step > first)
                    losses, stop = self._step(batch, wish)
                    self._update(losses)
                self.reporter.step(state.step, losses["loss"])

                # Now and then, and at the end: log, validate, take a snapshot.
                at_end = state.step == total
                if at_end or state.step % settings.log_every == 0:
                    self._log(recorder, feed)
                if at_end or state.step % settings.validate_every == 0:
                    self._validate(recorder)
                if at_end or stop or state.step % settings.snapshot_every == 0:
                    self._snapshot(recorder, last=at_end or stop)

            # Leave usable weights, whether the run is done or not.
            if state.step < total:
                self._leave(recorder, feed, wish)
                return Outcome(None, state.step, self.run.place.last_weights, wish.signal, self.is_main)
            return self._finish(recorder)

    def _open_recorder(self) -> AbstractContextManager[Recorder | None]:
        """The recorder in the first process, None in the others."""
        if not self.is_main:
            return nullcontext()
        return closing(Recorder(self.run, self.state, self.average, self.clock, self.reporter))

    def _next_batch(self, feed: Feed, recorder: Recorder | None, resumable: bool) -> Batch:
        """The next batch on the device; if there is none, what was learnt is kept for a resume."""
        try:
            batch = next(feed)
        except CasarbiError:
            if resumable and self.accelerator.num_processes == 1:  # other processes could not join in
                self._snapshot(recorder, last=True)
            raise
        order: dict[str, Any] = {"memory_format": torch.channels_last} if self.settings.channels_last else {}
        device = self.accelerator.device
        return {
            name: tensor.to(device, non_blocking=True, **(order if tensor.dim() == 4 else {}))
            for name, tensor in batch.items()
        }

    def _step(self, batch: Batch, wish: StopWish) -> tuple[dict[str, float], bool]:
        """Compute losses and gradients; returns the losses by name, and whether any process wants to stop."""
        state, settings, rank = self.state, self.settings, self.accelerator.process_index

        # Everything random is a function of the step. Layers such as dropout can draw from the global generator alone.
        torch.manual_seed(torch_seed(settings.seed, Purpose.LAYERS, state.step, rank))
        generator = torch_generator(self.accelerator.device, settings.seed, Purpose.LOSS, state.step, rank)

        losses = self.model(batch, generator)
        self.accelerator.backward(losses["loss"])
        # Without a limit this only measures the norm, which the log shows.
        norm = nn.utils.clip_grad_norm_(self.parameters, settings.clip_norm or math.inf)
        stop = wish.signal is not None or self.clock.is_up()

        # One transfer, and the same numbers on every process, so that all of them decide alike.
        told = torch.stack([*(loss.detach().float() for loss in losses.values()), norm.float(), norm.new_tensor(stop)])
        *values, norm_value, stops = self.accelerator.reduce(told, "mean").tolist()
        return dict(zip(losses, values, strict=True)) | {"gradient_norm": norm_value}, stops > 0

    def _update(self, losses: Mapping[str, float]) -> None:
        """Update weights and average, or skip the step if a number is not finite."""
        state = self.state
        if all(math.isfinite(value) for value in losses.values()):
            set_learning_rate(self.optimizer, self.settings.rate.at(state.step))
            self.optimizer.step()
            self.average.update(self.network)
            state.updates, state.skipped_in_a_row = self.average.updates, 0
            for name, value in (*losses.items(), ("steps", 1.0)):
                state.window[name] = state.window.get(name, 0.0) + value
        else:
            self._skip(losses)
        self.optimizer.zero_grad(set_to_none=True)
        state.step += 1

    def _skip(self, losses: Mapping[str, float]) -> None:
        state = self.state
        state.skipped += 1
        state.skipped_in_a_row += 1
        named = ", ".join(f"{name} {value}" for name, value in losses.items() if not math.isfinite(value))
        self.reporter.note(f"step {state.step + 1} was skipped: {named}.", warning=True)
        if state.skipped_in_a_row >= self.settings.skip_limit:
            raise CasarbiError(
                f"Stopped at step {state.step + 1}: {state.skipped_in_a_row} steps in a row had {named}; snapshots and "
                f"best weights in {self.run.place.folder} are from before. Lower run.learning_rate, or set "
                f"run.precision=float32."
            )

    def _log(self, recorder: Recorder | None, feed: Feed) -> None:
        if recorder:
            recorder.log_steps(feed.waited)
        self.state.window = {}

    def _validate(self, recorder: Recorder | None) -> None:
        """Measure the averaged weights; the first process does it, the others wait."""
        if recorder:
            with self.clock.timing("validation"):
                found = self._measure(self.run.validation)
            recorder.log_validation(found)
        self.accelerator.wait_for_everyone()

    def _measure(self, images: Sequence[Tensor]) -> Validation:
        with torch.no_grad():
            return self.run.task.validate(self.average.network, images)

    def _snapshot(self, recorder: Recorder | None, last: bool) -> None:
        if recorder:
            tensors = {
                "network": self.network.state_dict(),
                "average": self.average.network.state_dict(),
                "optimizer": optimizer_tensors(self.optimizer, self.network),
            }
            recorder.snapshot(tensors, last)
        self.accelerator.wait_for_everyone()

    def _finish(self, recorder: Recorder | None) -> Outcome:
        if recorder:
            recorder.finish()
        self.accelerator.wait_for_everyone()  # a process that ends sooner could have its launcher end the writing one
        return Outcome(self.run.weights, self.state.step, is_main=self.is_main)

    def _leave(self, recorder: Recorder | None, feed: Feed, wish: StopWish) -> None:
        """Leave the weights and the log so far, and pictures, of a run that is not done."""
        feed.close()
        if recorder:
            recorder.leave(feed.waited)
            if recorder.measured_at != self.state.step:
                if wish.signal is not None:
                    self.reporter.note("weights and log are written, a picture follows: Ctrl-C again leaves it out.")
                with suppress(KeyboardInterrupt):
                    self._show_some(recorder, interrupted=wish.signal is not None)
        self.accelerator.wait_for_everyone()

    def _show_some(self, recorder: Recorder, interrupted: bool) -> None:
        """Show as many validation pictures as there is time for; neither log nor best weights change.

        These are all, one, or none if a limit is near; a person who interrupted the run gets one in any case.
        """
        until = time.monotonic() + (PATIENCE_SECONDS if interrupted else self.clock.left())
        images, found, shown = self.run.validation, None, 0
        total = len(images)
        each = self.clock.picture_seconds(total)
        # One picture shows how long all would take, unless a validation has shown it and all fit.
        timed = "validation" in self.clock.took and total * each <= until - time.monotonic()
        for count in dict.fromkeys((total,) if timed else (1, total)):
            began = time.monotonic()
            if count * each <= until - began or (interrupted and not shown):
                found, shown = self._measure(images[:count]), count
                each = (time.monotonic() - began) / count
        if found:
            recorder.show(found, f" ({shown} of {total} validation pictures)" if shown < total else "")
        else:
            self.reporter.note("there was no time left for pictures of this step.")
