"""What a run writes: logs, contact sheets, weights with the story of their training, and snapshots."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from casarbi.checkpoints import halved
from casarbi.errors import CasarbiError
from casarbi.files import free_bytes, is_full
from casarbi.pictures.writing import write_image
from casarbi.training.clock import Clock
from casarbi.training.ema import WeightAverage
from casarbi.training.header import KEY, as_text, statements, thin_out
from casarbi.training.logs import CsvLog, TensorBoardLog, read_log
from casarbi.training.progress import Reporter
from casarbi.training.run import Run
from casarbi.training.sheet import draw_sheet
from casarbi.training.snapshots import RunState, write_snapshot
from casarbi.training.task import Validation


class Recorder:
    """Writes the files of a run; of a launch of many processes, the first one alone has a recorder.

    A disk that is full or refuses becomes a warning, so that hours of training go on; only what the end of a session
    leaves must be written.

    Attributes:
        measured_at: step of the last validation; 0 before the first.
    """

    def __init__(self, run: Run, state: RunState, average: WeightAverage, clock: Clock, reporter: Reporter) -> None:
        """Open the logs of a run to go on after the step that its state has reached."""
        self._run, self._place, self._state = run, run.place, state
        self._average, self._clock, self._reporter = average, clock, reporter
        self._seconds_before, self._began = state.seconds, time.monotonic()
        # A stop logs the steps since the last row too, but a run that goes on logs them with those that follow.
        self._log = CsvLog(self._place.log, state.step - bool(state.window))
        self._validation_log = CsvLog(self._place.validation_log, state.step)
        self._tensorboard = TensorBoardLog(self._place.folder / "tensorboard", state.step, self._place.tensorboard)
        # A run resumed at its very end validates no more: its header still says what the last validation found.
        last = (read_log(self._place.validation_log) or [{"step": 0.0}])[-1]
        self._metrics = {name: value for name, value in last.items() if name not in ("step", "seconds")}
        self.measured_at = int(last["step"])

    def close(self) -> None:
        """Write out what TensorBoard has not written yet."""
        self._tensorboard.close()

    def log_steps(self, waited: float) -> None:
        """Log the means of the steps since the last row.

        Args:
            waited: seconds that this session has waited for batches.
        """
        row = self._log_row(waited)
        scalars = {name: value for name, value in row.items() if name != "step"}
        self._tensorboard.scalars("train", scalars, self._state.step)

    def log_validation(self, found: Validation) -> None:
        """Log what a validation of the averaged weights found, show it, and keep the weights if they are the best."""
        step = self._state.step
        self._metrics, self.measured_at = found.metrics, step
        row = {"step": step, **found.metrics, "seconds": round(self._seconds(), 1)}
        self._write("the log", lambda: self._validation_log.add(row))
        self._tensorboard.scalars("validation", found.metrics, step)
        self.show(found)
        self._keep_best(found.metrics)

    def show(self, found: Validation, of_how_many: str = "") -> None:
        """Write the contact sheet of a validation, and tell its metrics; `of_how_many` is said after them."""
        step = self._state.step
        if found.sheet and found.sheet.rows:
            picture = draw_sheet(found.sheet)
            path = self._place.pictures / f"step-{step:08d}.png"
            self._write("a picture", lambda: write_image(path, picture))
            self._tensorboard.picture("validation", picture, step)
        words = ", ".join(f"{name} {value:.4g}" for name, value in found.metrics.items())
        self._reporter.note(f"step {step:,}: {words}{of_how_many}")

    def snapshot(self, tensors: Mapping[str, Mapping[str, Tensor]], last: bool) -> None:
        """Write a snapshot; raises CasarbiError if the last one of a session cannot be written."""
        self._state.seconds = self._seconds()
        header = self._run.task.facts() | self._header()
        with self._clock.timing("snapshot"):
            self._write(
                "a snapshot",
                lambda: write_snapshot(self._place.snapshots, self._state, self._run.identity, tensors, header),
                needed=last,
            )

    def leave(self, waited: float) -> None:
        """Leave the log so far and usable weights of a run that is stopped; `waited` as for `log_steps`."""
        self._log_row(waited)
        self._write("the weights", lambda: self._save(self._place.last_weights))

    def finish(self) -> None:
        """Write the weights of a run that has reached its end; raises CasarbiError if they cannot be written."""
        self._write("the weights", lambda: self._save(self._run.weights), needed=True)
        self._place.last_weights.unlink(missing_ok=True)

    def _log_row(self, waited: float) -> dict[str, float]:
        """Write the means since the last row; returns them, or nothing if all those steps were skipped."""
        state = self._state
        sums = dict(state.window)
        count = sums.pop("steps", 0.0)
        if not count:
            return {}
        # A skipped step counts in no mean, but the row says how many there were.
        means = {name: value / count for name, value in sums.items()}
        rate = self._run.settings.rate.at(state.step - 1)
        row = {"step": state.step, **means, "learning_rate": rate, "skipped": state.skipped}
        timing = {"seconds": round(self._seconds(), 1), "waited_for_data_seconds": round(waited, 1)}
        self._write("the log", lambda: self._log.add(row | timing))
        return row

    def _keep_best(self, metrics: Mapping[str, float]) -> None:
        task, best = self._run.task, self._state.best
        value = metrics[task.best_metric]
        if not math.isfinite(value):
            self._reporter.note(f"validation gave {task.best_metric} {value}: the best weights stay.", warning=True)
            return
        if best and (value <= best["value"] if task.best_is_highest else value >= best["value"]):
            return
        self._state.best = {"step": self._state.step, "value": value}
        self._write("the best weights", lambda: self._save(self._place.best_weights))

    def _save(self, path: Path) -> None:
        network = self._average.network
        if self._run.written.precision == "float16":
            network = halved(network)
        self._run.task.save(path, network, self._header())

    def _header(self) -> dict[str, str]:
        """Everything that is known of the training of the averaged weights."""
        state = self._state
        # Metrics of an older step would be taken for those of these weights.
        facts = {
            "iterations": state.step,
            "progress": f"{state.step:,} of {self._run.settings.iterations:,} steps",
            "skipped": state.skipped,
            "unusable_pictures": len(state.unusable),
            "hours": round(self._seconds() / 3600, 2),
            "metrics": self._metrics if self.measured_at == state.step else {},
            "best": state.best,
            "curve": thin_out(read_log(self._place.log)),
            "validation_curve": thin_out(read_log(self._place.validation_log)),
        }
        return {KEY: as_text({**self._run.header, **facts}), **statements(self._run.written)}

    def _seconds(self) -> float:
        """Seconds of training, over all sessions."""
        return self._seconds_before + time.monotonic() - self._began

    def _write(self, what: str, write: Callable[[], object], needed: bool = False) -> None:
        """Write a file; if it cannot be written, stop the run if it is needed, else warn."""
        try:
            write()
        except (OSError, SafetensorError, CasarbiError) as error:
            folder = self._place.folder
            reason = f"the disk is full, {free_bytes(folder):,} bytes are free" if is_full(error) else str(error)
            sentence = f"{what.capitalize()} of step {self._state.step:,} cannot be written to {folder}: {reason}."
            if needed:
                raise CasarbiError(f"{sentence} What was written before is whole: free space and --resume.") from None
            self._reporter.note(f"{sentence} Training goes on; free some space.", warning=True)
