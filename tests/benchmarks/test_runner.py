import subprocess
import sys
import time
from pathlib import Path

import pytest
from programs import ends, environment

from benchmarks.evaluate import Batch
from benchmarks.job import GROUND_TRUTH, Bench, Job
from benchmarks.metrics.stlpips import ShiftTolerantTrunk
from benchmarks.runner import Slice, cut_into_batches, run
from benchmarks.store import Store
from benchmarks.survey import survey
from casarbi.data.protocol import PROTOCOLS
from casarbi.errors import CasarbiError


def job(data="toys:squares", models=("bicubic", "toys:noisy"), scales=(2.0, 3.3), metrics=("psnr", "ssim"), **more):
    return Job(data, PROTOCOLS["face"], scales, models, metrics, **more)


def values(bench, store):
    """Every stored value by (method, scale, image, column)."""
    return {
        (method, scale, image, column): value
        for method in bench.methods
        for scale in bench.job.scales
        for (image, _), row in store.cell(bench.key(method, scale)).rows().items()
        for column, value in row.values.items()
    }


def measured(folder, a_job=None, **how):
    bench, store = Bench(a_job or job()), Store(folder)
    outcome = run([bench], store, **{"workers": 1, **how})
    return values(bench, store), outcome


def test_numbers_do_not_depend_on_batch_workers_or_order_of_arrival(tmp_path):
    plain, outcome = measured(tmp_path / "a")
    assert outcome.outputs == 5 * 2 * 2 and not outcome.failures and len(plain) == 5 * 2 * 2 * 2
    assert measured(tmp_path / "b", batch=1)[0] == plain
    assert measured(tmp_path / "c", batch=2, workers=2)[0] == plain


def test_slices_of_several_machines_add_up_and_their_number_may_change(tmp_path):
    whole, _ = measured(tmp_path / "whole")
    measured(tmp_path / "parts", part=Slice(1, 3))
    measured(tmp_path / "parts", part=Slice(0, 2))
    together, last = measured(tmp_path / "parts")
    assert together == whole and last.outputs == 4  # image 3 alone was in neither slice


def test_nothing_is_measured_twice(tmp_path):
    measured(tmp_path)
    assert measured(tmp_path)[1].outputs == 0


def test_a_new_metric_scale_or_image_adds_only_what_is_new(tmp_path):
    measured(tmp_path, job(metrics=("psnr",)))
    bench = Bench(job(metrics=("psnr", "ssim-uniform7")))
    states = survey(bench, Store(tmp_path))
    assert {column.partition("#")[0] for state in states for todo in state.todo.values() for column in todo} == {
        "ssim-uniform7"
    }
    assert measured(tmp_path, job(scales=(2.0, 3.3, 5.0), metrics=("psnr",)))[1].outputs == 10
    assert measured(tmp_path, job("toys:squares?n=6", metrics=("psnr",)))[1].outputs == 4


def test_a_changed_image_is_stale_and_measured_anew(tmp_path):
    before, _ = measured(tmp_path)
    bench = Bench(job("toys:squares?version=1"))
    states = survey(bench, Store(tmp_path))
    assert {state.word for state in states} == {"stale"}
    assert "s0: the image changed since it was measured (and 4 more)" in states[0].why
    after, outcome = measured(tmp_path, job("toys:squares?version=1"))
    assert outcome.outputs == 20
    assert {state.word for state in survey(bench, Store(tmp_path))} == {"done"}
    assert after != before


def test_another_option_of_a_model_is_another_cell(tmp_path):
    measured(tmp_path)
    assert measured(tmp_path, job(models=("toys:noisy?sigma=0.1",)))[1].outputs == 10


@pytest.mark.parametrize(
    ("how", "words"),
    [("raise", "CUDA out of memory"), ("nan", "values are not finite numbers"), ("shape", "returned shape")],
)
def test_one_failing_picture_does_not_end_the_run(tmp_path, how, words):
    data = "toys:squares?white=2"
    stored, outcome = measured(tmp_path, job(data, models=(f"toys:faulty?how={how}", "bicubic")))
    failed = {image for _, _, image, _ in outcome.failures}
    assert failed == ({"s2"} if how != "shape" else {f"s{i}" for i in range(5)})
    assert all(words in reason for *_, reason in outcome.failures)
    assert {key[2] for key in stored if key[0] == "bicubic"} == {f"s{i}" for i in range(5)}


def test_a_failure_is_a_row_with_its_reason_and_is_tried_again(tmp_path):
    a_job = job("toys:squares?white=2", models=("toys:faulty",))
    measured(tmp_path, a_job)
    state = survey(Bench(a_job), Store(tmp_path))[0]
    assert state.word == "failed" and state.why.startswith("s2: RuntimeError: CUDA out of memory")
    assert measured(tmp_path, a_job)[1].outputs == 2


def test_an_unreadable_picture_fails_alone(tmp_path):
    stored, outcome = measured(tmp_path, job("toys:squares?white=-2", models=("bicubic",)))
    assert {(image, reason) for _, _, image, reason in outcome.failures} == {("s1", "'s1' is not a whole picture.")}
    assert {key[2] for key in stored} == {"s0", "s2", "s3", "s4"}


def test_a_picture_too_small_for_a_metric_keeps_the_others(tmp_path):
    a_job = Job("toys:squares?side=20", PROTOCOLS["whole"], (2.0,), ("bicubic",), ("psnr", "st-lpips-alex"))
    stored, outcome = measured(tmp_path, a_job)
    assert {key[3].partition("#")[0] for key in stored} == {"psnr"} and not outcome.failures
    assert measured(tmp_path, a_job)[1].outputs == 0


def test_a_picture_that_the_border_eats_up_fails_alone(tmp_path):
    a_job = Job("toys:squares?side=20", PROTOCOLS["div2k-full"], (2.0, 4.0), ("bicubic",), ("psnr",))
    stored, outcome = measured(tmp_path, a_job)
    assert {scale for _, scale, *_ in stored} == {2.0} and {scale for _, scale, *_ in outcome.failures} == {4.0}
    assert all("leaves nothing of 20x20 px" in reason for *_, reason in outcome.failures)


def test_selfssim_clips_outputs_as_the_other_metrics_do(tmp_path):
    a_job = job("toys:squares?n=1", models=("toys:overshooting",), metrics=("psnr", "selfssim"))
    stored, outcome = measured(tmp_path, a_job)
    assert len(stored) == 4 and not outcome.failures


def test_distributions_keep_features_of_outputs_and_ground_truth(tmp_path):
    a_job = job(metrics=("fd-st-alex",), models=("bicubic",), scales=(4.0,))
    bench, store = Bench(a_job), Store(tmp_path)
    run([bench], store, workers=1)
    for method in ("bicubic", GROUND_TRUTH):
        rows = store.cell(bench.key(method, 4.0)).rows().values()
        assert [next(iter(row.features.values())).shape for row in rows] == [(256,)] * 5


def test_selfssim_needs_one_lr():
    with pytest.raises(CasarbiError, match="--protocol face or photo"):
        Bench(Job("toys:squares", PROTOCOLS["whole"], (2.0, 3.0), ("bicubic",), ("selfssim",)))


def test_a_missing_model_leaves_the_others(tmp_path):
    bench = Bench(job(models=("bicubic", "toys:nothing")))
    run([bench], Store(tmp_path), workers=1)
    assert bench.methods == ["bicubic"] and "no 'nothing'" in bench.failed["toys:nothing"]


def test_batches_hold_each_image_once_with_all_its_work(tmp_path):
    batches = list(cut_into_batches(survey(Bench(job()), Store(tmp_path)), 2))
    assert [batch.images for batch in batches] == [("s0", "s1"), ("s2", "s3"), ("s4",)]
    assert isinstance(batches[0], Batch) and [batch.outputs for batch in batches] == [8, 8, 4]


@pytest.mark.parametrize(
    ("env", "rank", "world"),
    [
        ({}, 0, 1),
        ({"RANK": "1", "WORLD_SIZE": "4", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, 1, 4),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "1"}, 2, 3),
        (
            {
                "SLURM_ARRAY_TASK_ID": "30",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "10",
                "SLURM_ARRAY_TASK_STEP": "10",
            },
            2,
            4,
        ),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, 1, 2),
    ],
)
def test_slice_from_the_launcher(env, rank, world):
    assert Slice.from_environment(env) == Slice(rank, world)


def test_a_rank_outside_its_world_is_refused():
    with pytest.raises(CasarbiError, match="Rank 3 of 3"):
        Slice(3, 3)


SLOW_RUN = """
from benchmarks.job import Bench, Job
from casarbi.data.protocol import PROTOCOLS
from benchmarks.runner import run
from benchmarks.store import Store
import sys
if __name__ == "__main__":
    job = Job("toys:squares?n=8", PROTOCOLS["face"], (2.0,), ("toys:slow",), ("psnr",))
    run([Bench(job)], Store(sys.argv[1]), workers=int(sys.argv[2]), batch=1)
"""


def parts(folder):
    return list(Path(folder).glob("cells/*/parts/*.json"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_keeps_what_it_had_and_ends_with_the_same_numbers(tmp_path, workers):
    """Of runs that are told to end, `test_field` and `test_stored_runs` hold the same."""
    script = tmp_path / "slow_run.py"
    script.write_text(SLOW_RUN)
    command = [sys.executable, str(script), str(tmp_path / "killed"), str(workers)]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.time() + 120
    while len(parts(tmp_path / "killed")) < 3 and time.time() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    assert process.wait(20) != 0
    assert ends(process.pid), "workers outlived their parent"
    a_job = job("toys:squares?n=8", models=("toys:slow?seconds=0",), scales=(2.0,), metrics=("psnr",))
    after, outcome = measured(tmp_path / "killed", a_job)
    assert 0 < outcome.outputs <= 5
    assert after == measured(tmp_path / "whole", a_job)[0]


def test_metrics_that_share_a_network_run_it_once_per_picture(tmp_path, monkeypatch):
    """The GT's once for all methods; the values are those of each metric alone."""
    both = job(metrics=("st-lpips-alex", "fd-st-alex"))
    try:
        bench = Bench(both)
    except CasarbiError as error:
        pytest.skip(str(error))  # the backbone is not on this machine
    looks, layers = [], ShiftTolerantTrunk._layers
    monkeypatch.setattr(ShiftTolerantTrunk, "_layers", lambda self, images: looks.append(1) or layers(self, images))
    run([bench], Store(tmp_path / "both"), workers=1)
    assert len(looks) == 5 * 2 * 3  # images, scales, and two methods and the GT
    together = values(bench, Store(tmp_path / "both"))
    assert together == measured(tmp_path / "alone", job(metrics=("st-lpips-alex",)))[0] and len(together) == 5 * 2 * 2
