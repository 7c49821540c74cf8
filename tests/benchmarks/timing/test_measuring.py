"""One measurement, by clocks that the test holds: no test asserts how long anything takes."""

import math
from pathlib import Path

import pytest
import torch

from benchmarks.timing.declaration import Rule
from benchmarks.timing.measuring import Meter, Readings, busy_seconds, measure
from benchmarks.timing.noise import disturbances
from casarbi.costs import StageWork
from casarbi.sr import SRModel

LR, SIZE = (4, 4), (16, 16)


class Clock(Meter):
    """Shows `now`; the process computes a share of the time, and others keep some cores busy."""

    def __init__(self, share=1.0, others=0.0):
        self.now, self.share, self.others = 0.0, share, others

    def wall(self):
        return self.now

    def read(self):
        return Readings(self.now, self.share * self.now, (self.share + self.others) * self.now)


class Timed(SRModel):
    """Two stages of 1 and 2 evaluations; each evaluation of a run takes the time that the run is told to take."""

    identity, info = {"method": "timed"}, None

    def __init__(self, clock, runs, evaluations=3):
        self.clock, self.runs, self.made, self.threads = clock, iter(runs), evaluations, set()

    def work(self, lr_size, size):
        return StageWork((8, 8), 1, 10), StageWork(size, 2, 40)

    def upscale(self, lr, size, seeds):
        seconds = next(self.runs)
        self.threads.add(torch.get_num_threads())
        for _ in range(self.made):
            self.clock.now += seconds
            self.report(1 / self.made)
        self.clock.now += 0.5  # what follows the last evaluation belongs to the last stage
        return torch.zeros(len(lr), 3, *size)


def measured(runs, rule, clock=None, **settings):
    clock = clock or Clock()
    model = Timed(clock, runs, **settings)
    return measure(model, LR, SIZE, rule, meter=clock), model


def test_a_first_run_warms_up_and_every_stage_has_its_share():
    found, model = measured([9.0, 1.0, 2.0, 3.0], Rule(threads=1, repeats=3, seconds=100))
    assert found.warmups == 1 and found.seconds == (3.5, 6.5, 9.5)
    assert found.stages == ((1.0, 2.0, 3.0), (2.5, 4.5, 6.5))
    assert model.progress is None and next(model.runs, "no more") == "no more"


def test_no_run_begins_that_would_end_after_the_time_that_there_is():
    found, _ = measured([1.0] * 9, Rule(repeats=9, seconds=12))
    assert found.seconds == (3.5,) * 3


def test_a_run_that_takes_all_the_time_is_the_only_one_and_counts():
    found, _ = measured([10.0], Rule(repeats=9, seconds=12))
    assert found.seconds == (30.5,) and found.warmups == 0


def test_stages_are_not_told_apart_if_a_method_reports_otherwise():
    found, _ = measured([1.0] * 3, Rule(repeats=2, seconds=99), evaluations=4)
    assert found.stages == () and found.seconds == (4.5, 4.5)


def test_threads_are_those_of_the_rule_and_only_for_so_long():
    before = torch.get_num_threads()
    _, model = measured([1.0] * 3, Rule(threads=before + 1, repeats=1, seconds=99))
    assert model.threads == {before + 1} and torch.get_num_threads() == before


def test_progress_is_given_back_even_if_a_run_fails():
    clock = Clock()
    model = Timed(clock, [])
    with pytest.raises(StopIteration):
        measure(model, LR, SIZE, Rule(), meter=clock)
    assert model.progress is None


def test_load_is_that_of_the_counted_runs():
    found, _ = measured([9.0, 1.0, 2.0], Rule(repeats=2, seconds=99), Clock(share=0.75, others=1.25))
    assert found.cpu_seconds == pytest.approx((0.75 * 3.5, 0.75 * 6.5)) and found.others == pytest.approx(1.25)


def test_load_is_unknown_where_the_system_does_not_tell():
    class Silent(Clock):
        def read(self):
            return super().read()._replace(busy=math.nan)

    found, _ = measured([1.0] * 3, Rule(repeats=2, seconds=99), Silent())
    assert math.isnan(found.others)


def test_the_machine_s_own_clocks_go_forwards():
    first, second = Meter().read(), Meter().read()
    assert second.wall > first.wall and second.cpu >= first.cpu
    assert math.isnan(first.busy) or second.busy >= first.busy > 0


def test_without_proc_stat_nothing_is_known_of_others(monkeypatch):
    monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    assert math.isnan(busy_seconds())


STEADY = (1.00, 1.01, 1.02, 0.99, 0.98, 1.03)


@pytest.mark.parametrize(
    ("seconds", "share", "others", "words"),
    [
        (STEADY, 1.0, 0.1, []),
        (STEADY, math.nan, math.nan, []),
        ((1.0,), 1.0, 0.0, []),
        ((1.0, 1.0, 1.3, 1.3, 1.2, 0.9), 1.0, 0.0, ["spread by more than 10 %"]),
        (STEADY, 0.8, 0.0, ["a core for less than 90 %"]),
        (STEADY, 1.0, 1.1, ["other processes kept more than 25 %"]),
        ((1.0, 2.0, 3.0), 0.5, 4.0, ["spread", "a core for", "other processes"]),
    ],
)
def test_what_speaks_against_a_measurement(seconds, share, others, words):
    found = list(disturbances(seconds, share, others, cores=4))
    assert len(found) == len(words) and all(word in sentence for word, sentence in zip(words, found, strict=True))


def test_one_slow_run_among_many_is_no_noise():
    assert list(disturbances((*STEADY, 5.0), 1.0, 0.0, cores=4)) == []
