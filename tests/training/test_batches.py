"""Batches are functions of (seed, step)."""

import subprocess
import sys
from collections import Counter

import pytest
import torch
from training_toys import Crops

from casarbi.training.batches import Batches, Stream

IMAGES = [torch.full((3, 40, 40), 10 * i, dtype=torch.uint8) for i in range(6)]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers):
    batches = Batches(IMAGES, Crops(), seed=3, batch=4)
    alone, shared = list(batches.stream(2, 9, 0)), list(batches.stream(2, 9, workers))
    assert len(alone) == 7 and all(same(a, b) for a, b in zip(alone, shared, strict=True))


@pytest.mark.parametrize("world", [2, 4])
def test_shares_make_up_the_batch(world):
    whole = Batches(IMAGES, Crops(), 0, 4)[5]
    shares = [Batches(IMAGES, Crops(), 0, 4, rank, world)[5] for rank in range(world)]
    assert all(torch.equal(whole[key], torch.cat([share[key] for share in shares])) for key in whole)


def test_every_picture_is_seen_equally_often():
    batches = Batches(IMAGES, Crops(), 0, 4)
    numbers = [batches.picture_index(n) for n in range(24)]
    assert set(Counter(numbers).values()) == {4} and numbers[:6] != numbers[6:12]


def test_seed_and_step_change_the_items():
    first = Batches(IMAGES, Crops(), 0, 4)
    tags = [batch["tag"].tolist() for batch in (first[0], first[1], Batches(IMAGES, Crops(), 1, 4)[0])]
    assert tags[0] != tags[1] and tags[0] != tags[2] and tags[0] == first[0]["tag"].tolist()


def test_a_worker_that_has_only_begun_and_still_notes_signals_is_ended_too():
    stubborn = [
        sys.executable,
        "-c",
        "import signal, time; signal.signal(15, lambda *_: None); print(); time.sleep(60)",
    ]
    process = subprocess.Popen(stubborn, stdout=subprocess.PIPE)
    process.stdout.readline()
    process.join = process.wait
    Stream(iter(()), [process]).close()
    assert process.returncode == -9
