"""A toy preset and a way to run it."""

from dataclasses import replace

import torch

from casarbi.checkpoints import read_checkpoint
from casarbi.training.batches import Batches
from casarbi.training.logs import read_log
from casarbi.training.presets import DataSettings, Preset, RunSettings
from casarbi.training.progress import SilentReporter
from casarbi.training.run import Workspace
from casarbi.training.session import Start, train
from casarbi.training.snapshots import list_snapshots

DATA = DataSettings("training_toys:scenes?n=10", "training_toys:scenes?n=3&seed=1")
RUN = RunSettings(
    iterations=20,
    batch=4,
    learning_rate=4e-3,
    drops=(0.3, 0.6),
    drop_factor=0.5,
    clip_norm=0.5,
    average_decay=0.9,
    log_every=4,
    validate_every=5,
    snapshot_every=3,
    skip_limit=4,
)
ON_CPU = Start(device="cpu")
TIMES = ("seconds", "waited_for_data_seconds")


def learn(task, images, steps, rate=3e-3):
    """Train a task's network for some steps of four items, without the trainer."""
    trained = [parameter for parameter in task.network.parameters() if parameter.requires_grad]
    batches, optimizer = Batches(images, task.recipe, 0, 4), torch.optim.Adam(trained, rate)
    for step in range(steps):
        optimizer.zero_grad()
        task.loss(batches[step], torch.Generator().manual_seed(step))["loss"].backward()
        optimizer.step()


class Listener(SilentReporter):
    def __init__(self):
        self.notes = []

    def note(self, text, *, warning=False):
        self.notes.append(text)


class Runs:
    """Runs of the toy task in folders of one temporary place."""

    def __init__(self, place):
        self.place, self.listener = place, Listener()

    def __call__(self, name, *, toy=None, start=ON_CPU, workers=0, minutes=None, data=DATA, **changes):
        preset = Preset("toy", "", "training_toys:task", data, replace(RUN, **changes), toy or {})
        place = Workspace(self.place / name, workers, minutes, tensorboard=False)
        return train(preset, place, start, self.listener)

    def resume(self, name, **options):
        return self(name, start=Start(resume=True, device="cpu"), **options)

    def snapshot(self, name):
        return list_snapshots(self.place / name / "snapshots")[0]

    def rows(self, name, log="log.csv"):
        return [
            {key: value for key, value in row.items() if key not in TIMES} for row in read_log(self.place / name / log)
        ]

    def tensors(self, name):
        """All of the last snapshot: weights, averages, moments and Adam's step counts."""
        return read_checkpoint(self.snapshot(name)).content
