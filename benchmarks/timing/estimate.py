"""What a timing would take, before it is begun: `--dry-run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.timing.measuring import measure
from benchmarks.timing.session import Slot, TimingSession
from casarbi.sr import SRModel


def estimate_seconds(session: TimingSession, slots: Sequence[Slot]) -> float:
    """Seconds that measuring these times would take, from one run of each method at its smallest scale."""
    methods = list(dict.fromkeys(slot.method for slot in slots))
    advance = session.watch("Probing", len(methods))
    total = 0.0
    for method in methods:
        scales = sorted(slot.scale for slot in slots if slot.method == method)
        with session.opened(method) as model:
            # Without any time for more, a single run is measured.
            rule = replace(session.experiment.rule, seconds=0.0)
            size = session.experiment.size(scales[0])
            probed = measure(model, session.experiment.lr, size, rule, session.device).seconds[0]
            amounts = [_amount(session, model, scale) for scale in scales]
            total += sum(_seconds(session, probed * amount / amounts[0]) for amount in amounts)
        advance(1)
    return total


def _amount(session: TimingSession, model: SRModel, scale: float) -> float:
    """Work at a scale: operations, or pixels if the method does not say."""
    size = session.experiment.size(scale)
    work = model.work(session.experiment.lr, size)
    return sum(stage.flops for stage in work) if work else size[0] * size[1]


def _seconds(session: TimingSession, run: float) -> float:
    """Time for all runs of a method at a scale, if one takes so long."""
    rule = session.experiment.rule
    if run > rule.seconds:
        return run
    return run * (1 + min(rule.repeats, max(1, int(rule.seconds / run))))
