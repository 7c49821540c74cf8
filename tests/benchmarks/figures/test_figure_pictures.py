"""Pictures of figures: made once, kept one by one, made again if damaged."""

import numpy as np
import pytest
import torch
import toys

from benchmarks.figures.pictures import Output, as_levels, make, make_one, missing
from benchmarks.job import Job, open_benches
from benchmarks.store import Store
from casarbi.data.protocol import get_protocol
from casarbi.pictures.resize import resize
from casarbi.sr import image_seed


class Staged(toys.Noisy):
    """Gets to its size over half of it."""

    def stages(self, lr, size, seeds):
        return [resize(lr, (size[0] // 2, size[1] // 2)), self.upscale(lr, size, seeds)]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(toys, "staged", lambda: Staged(0.0), raising=False)
    models = ("toys:noisy", "toys:faulty?how=nan", "toys:staged")
    return open_benches([Job("toys:squares?n=3&white=1", get_protocol("face"), (2.0, 3.3), models, ())])[0]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def outputs(*seeds, method="toys:noisy", image="s0"):
    return [Output(method, image, 2.0, seed) for seed in seeds]


def done(count=0):
    return None


def test_a_picture_is_what_the_model_makes_in_8_bits_and_is_made_once(bench, store):
    (wanted,) = outputs(5)
    assert missing(bench, store, [wanted]) == [wanted]
    assert make([bench], store, [[wanted]], 1, done) == {} and missing(bench, store, [wanted]) == []
    pair = bench.job.protocol.pairs(bench.dataset, "s0", [2.0])[0]
    expected = bench.model("toys:noisy").upscale(pair.lr[None], pair.size, [image_seed("s0", 5)])[0]
    (found,) = wanted.read(bench, store)
    assert np.array_equal(found, as_levels(expected)) and found.shape == (32, 32, 3)


def test_its_name_says_whatever_decides_its_pixels(bench, store):
    (one,) = outputs(0)
    others = [*outputs(1), *outputs(0, image="s2"), *outputs(0, method="toys:staged")]
    others += [Output("toys:noisy", "s0", 3.3), Output("toys:noisy", "s0", 2.0, stages=True)]
    assert len({output.path(bench, store) for output in (one, *others)}) == 1 + len(others)


def test_a_damaged_picture_is_made_again(bench, store):
    (wanted,) = outputs(0)
    make([bench], store, [[wanted]], 1, done)
    whole = wanted.path(bench, store).read_bytes()
    wanted.path(bench, store).write_bytes(whole[:200])
    assert wanted.read(bench, store) is None and missing(bench, store, [wanted]) == [wanted]
    make([bench], store, [[wanted]], 1, done)
    assert wanted.path(bench, store).read_bytes() == whole


def test_a_run_that_is_stopped_keeps_what_it_made(bench, store):
    wanted, count = outputs(*range(4)), []

    def stop_at_third(done):
        count.append(done)
        if len(count) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make([bench], store, [wanted], 1, stop_at_third)
    assert missing(bench, store, wanted) == wanted[3:]


def test_a_picture_that_cannot_be_made_says_why_and_the_others_are_made(bench, store):
    bad, good = Output("toys:faulty?how=nan", "s1", 2.0), Output("toys:faulty?how=nan", "s0", 2.0)
    failed = make([bench], store, [[bad, good]], 1, done)
    assert list(failed) == [bad] and "not finite" in failed[bad] and missing(bench, store, [bad, good]) == [bad]


def test_all_stages_are_kept_and_the_first_is_written_last(bench, store, monkeypatch):
    staged = Output("toys:staged", "s0", 2.0, stages=True)
    written = []
    monkeypatch.setattr("benchmarks.figures.pictures.write_image", lambda path, image: written.append(path.name[-5]))
    make_one(bench, store, staged, {})
    assert written == ["2", "1"]
    monkeypatch.undo()
    make_one(bench, store, staged, {})
    assert [stage.shape[:2] for stage in staged.read(bench, store)] == [(16, 16), (32, 32)]
    plain = Output("toys:staged", "s0", 2.0)
    make_one(bench, store, plain, {})
    assert len(plain.read(bench, store)) == 1 and np.array_equal(
        plain.read(bench, store)[0], staged.read(bench, store)[1]
    )


def test_a_method_without_stages_has_one_that_is_its_output():
    lr = torch.rand(2, 3, 4, 4)
    (only,) = toys.Noisy(0.1).stages(lr, (8, 8), [1, 2])
    assert torch.equal(only, toys.Noisy(0.1).upscale(lr, (8, 8), [1, 2]))


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_make_the_same_pictures(tmp_path, workers):
    bench = open_benches([Job("toy-squares?n=2", get_protocol("face"), (2.0,), ("bicubic",), ())])[0]
    store, counted = Store(tmp_path), []
    wanted = [Output("bicubic", image, 2.0) for image in ("s0", "s1")]
    assert make([bench], store, [wanted], workers, counted.append) == {} and counted == [1, 1]
    pair = bench.job.protocol.pairs(bench.dataset, "s1", [2.0])[0]
    expected = as_levels(bench.model("bicubic").upscale(pair.lr[None], pair.size, [0])[0])
    assert np.array_equal(wanted[1].read(bench, store)[0], expected)
