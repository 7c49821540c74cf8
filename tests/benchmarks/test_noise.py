"""Noise that scales share or not, and metrics of other tables: other cells, other columns, nothing measured twice."""

from dataclasses import replace

import pytest
import torch
from toys import Noisy

from benchmarks.job import Bench, Job
from benchmarks.runner import run
from benchmarks.store import Store
from casarbi.data.protocol import PROTOCOLS
from casarbi.pictures.resize import resize

SHARED = Job("toys:squares?n=2", PROTOCOLS["face"], (2.0, 3.3), ("toys:noisy",), ("selfssim",))
INDEPENDENT = replace(SHARED, noise="independent")


class Coarse(Noisy):
    """Adds to every size the same 16x16 noise of the image's seed, enlarged: scales agree if they have one seed."""

    def upscale(self, lr, size, seeds):
        noise = [torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return resize((resize(lr, (16, 16)) + 0.1 * torch.stack(noise)).clamp(0, 1), size).clamp(0, 1)


class Quiet(Noisy):
    """Draws nothing, and says so."""

    info = replace(Noisy.info, stochastic=False)


def coarse():
    return Coarse(0.1)


def quiet():
    return Quiet(0.0)


def selfssim(job, folder):
    """Mean SelfSSIM of a job's only model from the first scale to the second."""
    bench, store = Bench(job), Store(folder)
    run([bench], store, workers=1)
    rows = store.cell(bench.key(job.models[0], job.scales[0])).rows().values()
    (column,) = bench.columns(job.models[0], job.scales[0])
    return sum(row.values[column] for row in rows) / len(rows)


def test_scales_of_one_seed_agree_better_than_scales_of_a_seed_each(tmp_path):
    shared, independent = (
        selfssim(replace(job, models=("test_noise:coarse",)), tmp_path) for job in (SHARED, INDEPENDENT)
    )
    assert shared > 0.95 > independent + 0.1


def test_independent_scales_have_seeds_cells_and_columns_of_their_own():
    shared, independent = Bench(SHARED), Bench(INDEPENDENT)
    seeds = [independent.seed("toys:noisy", scale) for scale in SHARED.scales]
    assert len({*seeds, SHARED.seed}) == 3 and all(0 <= seed < 2**31 for seed in seeds)
    assert [independent.key("toys:noisy", scale).seed for scale in SHARED.scales] == seeds
    assert Bench(replace(INDEPENDENT, seed=1)).seed("toys:noisy", 2.0) not in seeds
    # Not by the cell alone: a shared run may have the very seed of a scale.
    assert not shared.columns("toys:noisy", 2.0).keys() & independent.columns("toys:noisy", 2.0).keys()


def test_the_shared_rule_has_the_cells_and_columns_of_before_there_was_a_choice():
    bench = Bench(SHARED)
    assert bench.key("toys:noisy", 2.0).seed == 0
    assert list(bench.columns("toys:noisy", 2.0)) == ["selfssim@3.3#c2d65df4"]


def test_an_independent_scale_is_the_run_of_its_seed(tmp_path):
    """The seed that a table names makes the same output again, with --seed."""
    job = replace(INDEPENDENT, metrics=("psnr",))
    seed = Bench(job).seed("toys:noisy", 3.3)
    run([Bench(job)], Store(tmp_path), workers=1)
    again = Bench(replace(job, noise="shared", seed=seed, scales=(3.3,)))
    assert run([again], Store(tmp_path), workers=1).outputs == 0
    run([again], Store(tmp_path / "again"), workers=1)
    first, second = (
        [row.values for row in Store(folder).cell(again.key("toys:noisy", 3.3)).rows().values()]
        for folder in (tmp_path, tmp_path / "again")
    )
    assert first == second


@pytest.mark.parametrize("model", ["bicubic", "test_noise:quiet"])
def test_what_draws_no_noise_is_measured_once_for_both_rules(tmp_path, model):
    job = replace(SHARED, models=(model,), metrics=("psnr", "selfssim"))
    assert run([Bench(job)], Store(tmp_path), workers=1).outputs == 4
    assert run([Bench(replace(job, noise="independent"))], Store(tmp_path), workers=1).outputs == 0


def test_metrics_along_are_filled_while_outputs_are_at_hand_and_never_cause_one(tmp_path):
    plain = replace(SHARED, metrics=("psnr",))
    run([Bench(plain)], Store(tmp_path / "before"), workers=1)
    # What an older store holds of the table is not measured again for the sake of another table.
    assert run([Bench(replace(plain, along=("selfssim",)))], Store(tmp_path / "before"), workers=1).outputs == 0
    assert run([Bench(SHARED)], Store(tmp_path / "before"), workers=1).outputs == 4
    run([Bench(replace(plain, along=("selfssim",)))], Store(tmp_path / "along"), workers=1)
    assert run([Bench(SHARED)], Store(tmp_path / "along"), workers=1).outputs == 0
    assert selfssim(SHARED, tmp_path / "along") == selfssim(SHARED, tmp_path / "before")


def test_metrics_along_need_outputs_at_all_scales(tmp_path):
    plain = replace(SHARED, metrics=("psnr",))
    run([Bench(replace(plain, scales=(2.0,)))], Store(tmp_path), workers=1)
    bench = Bench(replace(plain, along=("selfssim",)))
    run([bench], Store(tmp_path), workers=1)  # only the outputs at 3.3 are made
    rows = Store(tmp_path).cell(bench.key("toys:noisy", 3.3)).rows().values()
    assert [(len(row.values), row.failures) for row in rows] == [(1, {})] * 2
