"""Times in the store: written whole, checked when read, and measured again if they are damaged."""

import json
from dataclasses import replace

import pytest

from benchmarks.timing.records import Record, TimedStage, TimingKey, Timings

KEY = TimingKey({"method": "bicubic", "steps": [3, 2]}, (8, 8), (16, 16), "CPU (X)", "cpu", 1, "2.9")
RECORD = Record(
    key=KEY,
    parameters=3,
    evaluations=2,
    flops=50,
    stages=(TimedStage((12, 12), 1, 20, (0.1, 0.2)), TimedStage((16, 16), 1, 30, (0.3, 0.4))),
    seconds=(0.4, 0.6),
    cpu_seconds=(0.4, 0.59),
    warmups=1,
    others=None,
    cores=2,
    clocks="not readable",
    when="2026-11-27T19:00:00+00:00",
    commit="abc",
    versions={"torch": "2.9"},
)


@pytest.fixture
def timings(tmp_path):
    kept = Timings(tmp_path)
    kept.add(RECORD)
    return kept


def only(timings):
    (path,) = timings.folder.glob("*.json")
    return path


def test_what_is_kept_is_read_again(timings):
    assert Timings(timings.folder.parent).get(KEY) == replace(RECORD, key=timings.get(KEY).key)
    assert timings.get(KEY).key.hash == KEY.hash and timings.get(replace(KEY, threads=2)) is None
    assert timings.damaged == {}


def test_all_are_listed_the_newest_first(timings):
    timings.add(replace(RECORD, key=replace(KEY, torch="2.10"), when="2026-11-28T00:00:00+00:00"))
    assert [record.key.torch for record in timings.all()] == ["2.10", "2.9"]
    assert Timings(timings.folder / "nowhere").all() == []


def edited(**changes):
    def write(path):
        body = json.loads(path.read_text())
        body.update(changes)
        path.write_text(json.dumps(body))

    return write


def resealed(**changes):
    """Changed by somebody who knows how the file is sealed."""
    from benchmarks.store.rows import hash_json

    def write(path):
        body = json.loads(path.read_text()) | changes
        del body["sha256"]
        path.write_text(json.dumps(body | {"sha256": hash_json(body)}))

    return write


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "not valid JSON"),
        (lambda path: path.write_text("[1]"), "not of the kind dict"),
        (lambda path: path.write_text('{"seconds": NaN}'), "it holds NaN"),
        (lambda path: path.write_bytes(b" " * 2**21), "more than the 1,048,576"),
        (lambda path: (path.unlink(), path.mkdir()), "it is a folder"),
        (edited(seconds=[0.1, 0.1]), "not as it was written"),
        (resealed(seconds=[0.1]), "its seconds are not all of the same runs"),
        (resealed(seconds=[]), "its seconds are not all of the same runs"),
        (resealed(cpu_seconds=[-1, 0]), "its processor seconds are not all at least 0"),
        (resealed(seconds=[-1, 1]), "its seconds are not all above 0"),
        (resealed(seconds="fast"), "seconds = 'fast' is not a list"),
        (resealed(parameters="many"), "parameters = 'many' is not a whole number"),
        (resealed(more=1), "has no setting 'more'"),
        (lambda path: path.rename(path.with_name("0" * 20 + ".json")), "of another key"),
    ],
)
def test_a_damaged_record_is_named_not_used_and_mended_by_measuring_again(timings, damage, words):
    path = only(timings)
    damage(path)
    path = only(timings)
    assert timings.all() == [] and words in timings.damaged[path]
    if path.is_file() and path.stem == KEY.hash:
        assert timings.get(KEY) is None
        timings.add(RECORD)
        assert timings.get(KEY) and timings.damaged == {}


def test_a_record_of_another_format_does_not_count(timings):
    old = replace(RECORD, key=replace(KEY, format=0))
    timings.add(old)
    assert timings.get(old.key) is None and len(timings.all()) == 1 and timings.damaged == {}


def test_a_place_that_refuses_is_found_before_anything_is_measured(tmp_path):
    from casarbi.errors import CasarbiError

    (tmp_path / "timings").write_text("a file")
    with pytest.raises(CasarbiError, match="Times cannot be kept in .*name another folder with --store"):
        Timings(tmp_path).prepare()


def test_a_machine_is_called_by_its_device_and_a_cpu_by_its_threads_too():
    gpu = replace(KEY, kind="cuda", device="NVIDIA H200", threads=0)
    assert [key.machine for key in (KEY, replace(KEY, threads=4), gpu)] == [
        "CPU (X), 1 thread",
        "CPU (X), 4 threads",
        "NVIDIA H200",
    ]


def test_a_wait_for_a_core_speaks_against_the_time_and_not_against_what_was_computed():
    starved = replace(RECORD, stages=(), seconds=(5.0, 5.1, 5.0), cpu_seconds=(0.5, 0.51, 0.5))
    assert len(starved.disturbances) == 1 and starved.cpu_disturbances == ()
    gpu = replace(starved, key=replace(KEY, kind="cuda"))
    assert gpu.disturbances == ()
    busy = replace(starved, others=1.5)
    assert len(busy.disturbances) == 2 and len(busy.cpu_disturbances) == 1
