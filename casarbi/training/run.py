"""A run, ready to be trained: what is trained, on what, how, and where it writes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from casarbi.training.presets import RunSettings, WeightsSettings
from casarbi.training.task import Task


@dataclass(frozen=True)
class Workspace:
    """Where a run happens and what it may take; the files of its folder have their names here.

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
    def log(self) -> Path:
        """Losses of the steps."""
        return self.folder / "log.csv"

    @property
    def validation_log(self) -> Path:
        """Metrics of the validations."""
        return self.folder / "validation.csv"

    @property
    def pictures(self) -> Path:
        """Folder of the contact sheets."""
        return self.folder / "pictures"

    @property
    def snapshots(self) -> Path:
        """Folder of the snapshots."""
        return self.folder / "snapshots"

    @property
    def best_weights(self) -> Path:
        """Averaged weights of the best validation."""
        return self.folder / "best.safetensors"

    @property
    def last_weights(self) -> Path:
        """Averaged weights of a run that was stopped."""
        return self.folder / "last.safetensors"


@dataclass(frozen=True)
class Run:
    """Everything that is settled before the first step.

    Attributes:
        name: of the preset.
        task: brings the network.
        settings: how it is trained.
        written: what its weights files are like.
        images: training images, uint8 (3, H, W).
        validation: validation images, the same.
        place: where it writes.
        identity: another value of any of these is another run.
        header: what the header of its weights says of the training, but for what only the end knows.
    """

    name: str
    task: Task[Any]
    settings: RunSettings
    written: WeightsSettings
    images: Sequence[Tensor]
    validation: Sequence[Tensor]
    place: Workspace
    identity: Mapping[str, Any]
    header: Mapping[str, Any]

    @property
    def weights(self) -> Path:
        """Averaged weights of the finished run."""
        return self.place.folder / f"{self.name}.safetensors"
