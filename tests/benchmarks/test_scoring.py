"""A batch is scored in parts: as many outputs as a device's memory holds, fewer if that was too many."""

import numpy as np
import pytest
import torch

import benchmarks.scoring
from benchmarks.job import GROUND_TRUTH, Bench, Job
from benchmarks.metrics.stlpips import ShiftTolerantTrunk
from benchmarks.runner import run
from benchmarks.store import Store
from casarbi.data.protocol import PROTOCOLS
from casarbi.errors import CasarbiError

METRICS = ("psnr", "st-lpips-alex", "fd-st-alex")


@pytest.fixture
def bench():
    try:
        return Bench(Job("toys:squares", PROTOCOLS["face"], (2.0, 3.3), ("bicubic", "toys:noisy"), METRICS))
    except CasarbiError as error:
        pytest.skip(str(error))  # the backbone is not on this machine


@pytest.fixture
def several(monkeypatch):
    """As on a GPU whose memory holds three outputs and their GTs."""
    monkeypatch.setattr(benchmarks.scoring, "images_that_fit", lambda device, needed: 3)


@pytest.fixture
def batches(monkeypatch):
    """Sizes of the batches that the trunk gets."""
    sizes, layers = [], ShiftTolerantTrunk._layers
    monkeypatch.setattr(
        ShiftTolerantTrunk, "_layers", lambda self, images: sizes.append(len(images)) or layers(self, images)
    )
    return sizes


def rows(bench, folder):
    """What a run stores: rows by method, scale and image."""
    store = Store(folder)
    run([bench], store, workers=1, batch=5)
    return {
        (method, scale, image): row
        for method in bench.methods
        for scale in bench.job.scales
        for (image, _), row in store.cell(bench.key(method, scale)).rows().items()
    }


def check_alike(found, expected):
    assert found.keys() == expected.keys() and len(found) == 5 * 2 * 3
    for key, row in found.items():
        assert not row.failures and row.values == pytest.approx(expected[key].values, abs=1e-5)
        assert row.features.keys() == expected[key].features.keys()
        for name, vector in row.features.items():
            np.testing.assert_allclose(vector, expected[key].features[name], atol=1e-5)


def test_on_a_cpu_a_batch_changes_no_digit(bench, batches, tmp_path):
    found = rows(bench, tmp_path / "a")
    assert set(batches) == {1}
    store = Store(tmp_path / "b")
    run([bench], store, workers=1)
    for (method, scale, image), row in found.items():
        alone = store.cell(bench.key(method, scale)).rows()[image, row.digest]
        assert alone.values == row.values
        assert all((alone.features[name] == vector).all() for name, vector in row.features.items())


def test_outputs_and_their_gts_go_through_a_network_together(bench, batches, tmp_path, request):
    expected = rows(bench, tmp_path / "a")
    batches.clear()
    request.getfixturevalue("several")
    check_alike(rows(bench, tmp_path / "b"), expected)
    # Three and two images: of the first method outputs and GTs, of the second outputs; of the GTs nothing is left.
    assert batches == [6, 4] * 2 + [3, 2] * 2


def test_a_part_that_does_not_fit_is_scored_by_halves(bench, several, monkeypatch, tmp_path):
    layers = ShiftTolerantTrunk._layers

    def small(self, images):
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return layers(self, images)

    monkeypatch.setattr(ShiftTolerantTrunk, "_layers", small)
    found = rows(bench, tmp_path / "a")
    monkeypatch.undo()
    check_alike(found, rows(bench, tmp_path / "b"))


def test_a_network_that_never_fits_costs_its_columns_alone(bench, several, monkeypatch, tmp_path):
    def full(self, images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ShiftTolerantTrunk, "_layers", full)
    found = rows(bench, tmp_path)
    assert {method for method, *_ in found} == {"bicubic", "toys:noisy", GROUND_TRUTH}
    for (method, *_), row in found.items():
        assert len(row.values) == (method != GROUND_TRUTH)
        assert row.failures and all("more memory than the device has" in why for why in row.failures.values())


def test_what_is_not_kept_of_gts_is_looked_at_again(bench, batches, monkeypatch, tmp_path):
    expected = rows(bench, tmp_path / "a")
    kept = len(batches)
    monkeypatch.setattr(benchmarks.scoring, "KEPT_IN_ALL", 0)
    check_alike(rows(bench, tmp_path / "b"), expected)
    assert (kept, len(batches) - kept) == (5 * 2 * 3, 5 * 2 * 5)
