"""A timing from declaration to report: which times are there, and measuring those that are missing, one by one."""

from __future__ import annotations

import datetime
import gc
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.job import OpenModels
from benchmarks.machine import device_name, library_versions
from benchmarks.store import SOURCE
from benchmarks.store.rows import hash_json
from benchmarks.timing.clocks import clock_facts
from benchmarks.timing.declaration import TimedMethod, TimingExperiment
from benchmarks.timing.measuring import Measurement, measure
from benchmarks.timing.records import Record, TimedStage, TimingKey, Timings
from benchmarks.untrained import is_untrained, untrained_identity, write_untrained
from casarbi.devices import pick_device
from casarbi.errors import CasarbiError
from casarbi.provenance import git_commit
from casarbi.references import describe
from casarbi.sr import SRModel, create_model

if TYPE_CHECKING:  # pandas and Matplotlib, which measuring does not need
    from reports.document import Document

Watch = Callable[[str, int], Callable[[int], None]]
"""Called with what begins and its number of steps; returns the function to call with the number just done."""


@dataclass
class Slot:
    """One time of the experiment: a method at a scale on this machine, and its record if there is one."""

    method: TimedMethod
    scale: float
    key: TimingKey
    record: Record | None = None


class TimingSession:
    """A timing being run on one device.

    Attributes:
        experiment: the declaration.
        timings: records of the store.
        device: where times are measured.
        watch: called for what takes long.
        models: those that were opened.
        failed: by the name of a row, why it could not be opened or measured.

    Raises:
        CasarbiError: if there is no such device.
    """

    def __init__(self, experiment: TimingExperiment, timings: Timings, device: str, watch: Watch) -> None:
        self.experiment, self.timings, self.watch = experiment, timings, watch
        self.device = pick_device(device)
        self.models = OpenModels(self.device)
        self.failed: dict[str, str] = {}

    def slots(self) -> list[Slot]:
        """Every time of the experiment, row by row, with what the store has of it."""
        found = []
        for method in self.experiment.methods:
            if method.model and (identity := self._identity(method)) is not None:
                for scale in self.experiment.scales:
                    key = self._key(identity, scale)
                    found.append(Slot(method, scale, key, self.timings.get(key)))
        return found

    def _identity(self, method: TimedMethod) -> dict[str, Any] | None:
        if is_untrained(method.model):
            return untrained_identity(method.model)
        model = self.models.get(method.model)
        if model is None:
            self.failed[method.name] = self.models.failed[method.model]
            return None
        source = self.models.sources[method.model]
        return {**model.identity, SOURCE: source} if source else model.identity

    def _key(self, identity: dict[str, Any], scale: float) -> TimingKey:
        kind = torch.device(self.device).type
        return TimingKey(
            model=identity,
            lr=self.experiment.lr,
            size=self.experiment.size(scale),
            device=device_name(self.device),
            kind=kind,
            threads=self.experiment.rule.threads if kind == "cpu" else 0,
            torch=torch.__version__,
        )

    @property
    def machine(self) -> str:
        """Name of this machine in the records."""
        return self._key({}, self.experiment.scales[0]).machine

    def records(self) -> dict[str, dict[tuple[str, float], Record]]:
        """By machine, this one first, what the store holds of the experiment by row and scale."""
        places = {_place(slot.key): (slot.method.name, slot.scale) for slot in self.slots()}
        # Newest first: of a machine's older records, of another torch, none is shown where a newer one is.
        machines: dict[str, dict[tuple[str, float], Record]] = {}
        for record in self.timings.all():
            if place := places.get(_place(record.key)):
                machines.setdefault(record.key.machine, {}).setdefault(place, record)
        names = sorted(machines, key=lambda name: (name != self.machine, name)) or [self.machine]
        return {name: machines.get(name, {}) for name in names}

    def document(self, date: str, command: str) -> Document:
        """What the store knows of the experiment now, on this machine and on others."""
        from benchmarks.timing.document import Machine, document

        found = [Machine(name, name == self.machine, records) for name, records in self.records().items()]
        return document(self.experiment, found, self.failed, date=date, command=command)

    def measure(self, slots: list[Slot]) -> None:
        """Measure these times, one at a time in this process, and keep each as soon as it is there."""
        advance = self.watch("Measuring times", len(slots))
        for method in dict.fromkeys(slot.method for slot in slots):
            for record in self._measure_method(method, [slot for slot in slots if slot.method == method]):
                self.timings.add(record)
                advance(1)

    def _measure_method(self, method: TimedMethod, slots: list[Slot]) -> Iterator[Record]:
        """The records of one method, up to the first that fails: whatever that is, the other methods go on."""
        try:
            with self.opened(method) as model:
                for slot in slots:
                    yield self._measured(model, slot)
        except Exception as error:
            self.failed[method.name] = str(error) if isinstance(error, CasarbiError) else describe(error)

    @contextmanager
    def opened(self, method: TimedMethod) -> Iterator[SRModel]:
        """The model of a row on the device; networks with random weights, which may be large, only for so long."""
        if not is_untrained(method.model):
            model = self.models.get(method.model)
            assert model is not None  # it has slots, so it opened
            yield model
            return
        with tempfile.TemporaryDirectory(prefix="casarbi-") as folder:
            self.watch(f"Making random weights of {method.name}", 1)
            yield create_model(write_untrained(method.model, Path(folder))).to(self.device)
        gc.collect()

    def _measured(self, model: SRModel, slot: Slot) -> Record:
        key, lr = slot.key, self.experiment.lr
        size = self.experiment.size(slot.scale)
        measured = measure(model, lr, size, self.experiment.rule, self.device)
        work = model.work(lr, size)
        stages = zip(work or (), measured.stages or [()] * len(work or ()), strict=True)
        return Record(
            key=key,
            parameters=model.info.parameters,
            evaluations=sum(stage.evaluations for stage in work) if work else model.evaluations(slot.scale),
            flops=sum(stage.flops for stage in work) if work else None,
            stages=tuple(TimedStage(stage.size, stage.evaluations, stage.flops, own) for stage, own in stages),
            seconds=measured.seconds,
            cpu_seconds=measured.cpu_seconds,
            warmups=measured.warmups,
            others=_known(measured),
            cores=os.cpu_count() or 1,
            clocks=clock_facts(self.device),
            when=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            commit=git_commit(),
            versions=library_versions(),
        )


def _place(key: TimingKey) -> str:
    """What was measured, wherever it was."""
    return hash_json([key.model, key.lr, key.size])


def _known(measured: Measurement) -> float | None:
    return None if math.isnan(measured.others) else measured.others
