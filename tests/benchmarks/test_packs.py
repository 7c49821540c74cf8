"""Packed parts say what the single ones said, whoever reads, adds, packs or is killed at the same time."""

import math
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pytest
from click.testing import CliRunner

import benchmarks.store as stores
from benchmarks.cli import main
from benchmarks.job import Bench, Job
from benchmarks.runner import run
from benchmarks.store import CellKey, Store, compaction
from benchmarks.store.rows import Row
from benchmarks.survey import survey
from casarbi.data.protocol import PROTOCOLS

KEY = CellKey({"method": "bicubic"}, "folder", "abc", 2.0, 0)


def header(index):
    return {"when": f"2026-11-{20 + index % 5}T10:00:00+00:00", "rows": 1, "seconds": {"read": index / 7}, "threads": 1}


def filled(folder, count=7):
    """A cell in which every kind of row is."""
    cell = Store(folder).cell(KEY)
    for index in range(count):
        row = Row(f"i{index}", f"{index:064x}", {"psnr#1": index / 3, "ssim#2": 0.5}, size=(8, 9), gt="0f" * 8)
        row.features["f#3"] = np.full(4, index / 3, np.float32)
        cell.add([row], header(index))
    cell.add([Row("failed", "d", failures={"": "out of memory"}), Row("none", "e")], header(8))
    cell.add([Row("i0", f"{0:064x}", {"psnr#1": 9.0}, {"ssim#2": "too small"})], header(9))
    cell.add([Row("i1", f"{1:064x}", {"psnr#1": math.inf}, findings={"grey": "is grey"})], header(9), generation=1)
    cell.add([Row("i2", f"{2:064x}", failures={"": "gone"})], header(9), generation=2)
    cell.add([Row("caf\udce9", "d", {"odd": -math.inf}, size=None, gt=None)], {})
    return cell


def told(folder):
    """Everything that a store says of the cell."""
    cell = Store(folder).cell(KEY)
    features = {key: {c: v.tolist() for c, v in row.features.items()} for key, row in cell.rows().items()}
    plain = [(p.name, p.header, p.generation, p.has_features, [repr(row) for row in p.rows]) for p in cell.parts()]
    light = {key: repr(row) for key, row in cell.rows(with_features=False).items()}
    assert not cell.store.damaged
    return plain, features, light, list(cell.rows()), cell.headers(), cell.generation()


def files(folder, suffix):
    return sorted(folder.glob(f"cells/*/parts/*{suffix}"))


def compact(folder, fewest=0):
    Store(folder).cell(KEY).compact(fewest)


def test_packed_parts_say_what_the_single_ones_said(tmp_path):
    filled(tmp_path)
    before = told(tmp_path)
    compact(tmp_path)
    assert len(files(tmp_path, "")) == 2 and told(tmp_path) == before
    pack = files(tmp_path, ".pack")
    compact(tmp_path)
    assert files(tmp_path, ".pack") == pack  # a second time there is nothing to do


def test_what_is_added_after_packing_joins_the_pack_and_means_what_it_meant(tmp_path):
    cell = filled(tmp_path)
    compact(tmp_path)
    cell.add([Row("i3", f"{3:064x}", {"psnr#1": 5.5})], header(1), generation=3)
    cell.add([Row("failed", "d", {"psnr#1": 4.5})], header(1))
    before = told(tmp_path)
    rows = Store(tmp_path).cell(KEY).rows()
    assert rows["i3", f"{3:064x}"].values == {"psnr#1": 5.5, "ssim#2": 0.5} and not rows["failed", "d"].failures
    compact(tmp_path)
    assert len(files(tmp_path, ".pack")) == 1 and not files(tmp_path, ".json") and told(tmp_path) == before


def test_a_store_that_was_read_before_goes_on_after_packing(tmp_path):
    cell = filled(tmp_path)
    before = repr(cell.rows()), repr(cell.rows(with_features=False))
    compact(tmp_path)
    assert (repr(cell.rows()), repr(cell.rows(with_features=False))) == before and not cell.store.damaged


def test_packs_are_closed_at_their_size(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "PACK_ROWS", 3)
    filled(tmp_path)
    before = told(tmp_path)
    compact(tmp_path)
    assert len(files(tmp_path, ".pack")) == 5 and told(tmp_path) == before


def test_a_pack_that_would_be_too_large_to_read_is_several(tmp_path, monkeypatch):
    filled(tmp_path)
    before = told(tmp_path)
    monkeypatch.setattr("benchmarks.store.packs.ROWS_BYTES", 3000)
    compact(tmp_path)
    assert 1 < len(files(tmp_path, ".pack")) < 9 and told(tmp_path) == before


def test_few_parts_are_left_as_they_are(tmp_path):
    filled(tmp_path)
    compact(tmp_path, fewest=100)
    assert not files(tmp_path, ".pack")


def test_a_damaged_part_is_not_packed_and_still_named(tmp_path):
    cell = filled(tmp_path)
    damaged = files(tmp_path, ".json")[2]
    damaged.write_bytes(damaged.read_bytes().replace(b"i2", b"i9"))
    before = list(cell.rows())
    compact(tmp_path)
    store = Store(tmp_path)
    assert list(store.cell(KEY).rows()) == before and set(store.damaged) == {damaged}
    assert files(tmp_path, ".json") == [damaged]


@pytest.mark.parametrize("suffix", [".pack", ".npz"])
def test_every_flipped_bit_of_a_pack_is_noticed_and_named(tmp_path, suffix):
    filled(tmp_path, 2)
    compact(tmp_path)
    (path,), (pack,) = files(tmp_path, suffix), files(tmp_path, ".pack")
    whole = path.read_bytes()
    for position in range(0, len(whole) * 8, 101):
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        store = Store(tmp_path)
        assert store.cell(KEY).rows() == {} and set(store.damaged) == {pack}, position
    compact(tmp_path)  # nothing is removed for the sake of a damaged pack
    assert files(tmp_path, suffix) == [path]


def test_a_pack_of_another_cell_is_not_taken(tmp_path):
    filled(tmp_path)
    compact(tmp_path)
    (pack,) = files(tmp_path, ".pack")
    other = Store(tmp_path).cell(CellKey({"method": "liif"}, "folder", "abc", 2.0, 0))
    other.add([Row("b", "d", {"psnr#1": 2.0})], header(0))
    (other.folder / "parts" / pack.name).write_bytes(pack.read_bytes())
    assert [image for image, _ in other.rows()] == ["b"] and "another cell" in str(other.store.damaged)


# The commands.
def call(*words):
    return CliRunner().invoke(main, ["store", *words])


def test_the_commands_list_check_and_pack(tmp_path):
    filled(tmp_path)
    before = told(tmp_path)
    listed = call("list", "--store", str(tmp_path)).output
    assert f"{KEY.hash}  bicubic x2, seed 0, on folder: 10 images in 20 files, 0.0 MiB" in listed
    packed = call("compact", "--store", str(tmp_path))
    assert packed.output == "20 files of 1 cells are now 3.\n" and told(tmp_path) == before
    assert call("check", "--store", str(tmp_path)).output == "All 3 files of 1 cells are whole.\n"


def test_check_names_what_is_damaged(tmp_path):
    filled(tmp_path)
    damaged = files(tmp_path, ".json")[0]
    damaged.write_text("{}")
    checked = call("check", "--store", str(tmp_path))
    assert checked.exit_code == 1 and f"{damaged}: it does not hold a header" in checked.output
    assert "Error: 1 files in" in checked.output


def test_a_folder_without_results_is_named(tmp_path):
    for command in ("list", "check", "compact"):
        result = call(command, "--store", str(tmp_path / "no"))
        assert result.exit_code == 1 and "no holds no results: name their folder with --store." in result.output


# What others do at the same time.
def test_parts_that_are_packed_between_listing_and_reading_are_read_from_the_pack(tmp_path, monkeypatch):
    filled(tmp_path)
    before = told(tmp_path)
    calls = []

    def listed(folder):
        names = stores.listing.list_names(folder)
        calls.append(len(names))
        if len(calls) == 1:
            compact(tmp_path)
        return names

    monkeypatch.setattr(stores, "list_names", listed)
    cell = Store(tmp_path).cell(KEY)
    assert repr(cell.parts()) == repr(cell.parts()) and len(cell.headers()) == len(before[4])
    assert calls[0] > 1 and not cell.store.damaged and told(tmp_path) == before


def test_features_that_go_while_their_part_is_read_are_read_from_the_pack(tmp_path, monkeypatch):
    filled(tmp_path)
    before = told(tmp_path)
    read, calls = stores.listing.read_part, []

    def slow(path, cell, with_features):
        if not calls:
            calls.append(path)
            monkeypatch.setattr(stores.listing, "read_part", read)
            compact(tmp_path)
            path.write_bytes(b"{}")  # it was still open here
            path.unlink()
        return read(path, cell, with_features)

    monkeypatch.setattr(stores.listing, "read_part", slow)
    assert len(Store(tmp_path).cell(KEY).rows()) == len(before[3]) and told(tmp_path) == before


def test_two_that_pack_at_once_leave_each_part_once(tmp_path):
    filled(tmp_path)
    before, kept = told(tmp_path), {path: path.read_bytes() for path in files(tmp_path, "")}
    compact(tmp_path)
    first = {path: path.read_bytes() for path in files(tmp_path, "")}
    for path in first:
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)
    compact(tmp_path)  # another one, which had listed the same parts
    for path, content in {**first, **kept}.items():
        path.write_bytes(content)
    assert told(tmp_path) == before
    compact(tmp_path)
    assert len(files(tmp_path, "")) == 2 and told(tmp_path) == before


def test_packs_that_share_parts_become_one(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "PACK_ROWS", 4)
    filled(tmp_path)
    before, kept = told(tmp_path), {path: path.read_bytes() for path in files(tmp_path, "")}
    compact(tmp_path)
    some = {path: path.read_bytes() for path in files(tmp_path, "")}
    for path in some:
        path.unlink()
    for path, content in sorted(kept.items())[4:]:  # the other one saw fewer
        path.write_bytes(content)
    compact(tmp_path)
    for path, content in some.items():
        path.write_bytes(content)
    assert told(tmp_path) == before
    compact(tmp_path)
    assert told(tmp_path) == before
    parts = [
        part.name for path in files(tmp_path, ".pack") for part in stores.listing.read_parts(path, KEY.hash, False)
    ]
    assert len(parts) == len(set(parts)) == len(before[0])


def test_features_of_parts_that_never_came_go_after_a_day(tmp_path):
    cell = filled(tmp_path)
    old, new = cell.folder / "parts" / "1.npz", cell.folder / "parts" / "2.npz"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    compact(tmp_path)
    assert not old.exists() and new.exists()


# Kills.
def adds(folder, first, done):
    """Add parts without end, and say which are there."""
    cell = Store(folder).cell(KEY)
    with open(done, "a", buffering=1) as said:
        for index in range(first, first + 10**4):
            row = Row(f"i{index}", "d", {"psnr#1": index / 7}, features={"f#1": np.full(3, index, np.float32)})
            cell.add([row], header(index))
            said.write(f"{index}\n")


def packs(folder):
    """Pack without end."""
    while True:
        compact(folder)


@pytest.mark.skipif(os.name != "posix", reason="kills")
@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_any_moment_nothing_is_lost_or_counted_twice(tmp_path, monkeypatch, kills):
    monkeypatch.setattr(compaction, "PACK_ROWS", 40)
    context, rng = multiprocessing.get_context("fork"), random.Random(kills)
    done = tmp_path / "done.txt"
    done.touch()
    for kill in range(kills):
        # Two that pack at the same time, as two machines do when their runs end.
        works = [(adds, (tmp_path, kill * 10**4, done)), (packs, (tmp_path,)), (packs, (tmp_path,))]
        processes = [context.Process(target=work, args=words) for work, words in works]
        for process in processes:
            process.start()
        time.sleep(rng.uniform(0.02, 0.4))
        for process in rng.sample(processes, 3):
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        store = Store(tmp_path)
        rows, headers = store.cell(KEY).rows(), store.cell(KEY).headers()
        for index in map(int, done.read_text().split()):
            row = rows[f"i{index}", "d"]
            assert row.values == {"psnr#1": index / 7} and row.features["f#1"].tolist() == [index] * 3
        assert len(headers) == len(rows) and not store.damaged, kill
    before = repr(Store(tmp_path).cell(KEY).rows())
    compact(tmp_path)
    store = Store(tmp_path)
    assert repr(store.cell(KEY).rows()) == before and not files(tmp_path, ".json")


def measures(folder, job):
    run([Bench(job)], Store(folder), workers=1)


@pytest.mark.skipif(os.name != "posix", reason="kills")
@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.slow)])
def test_a_run_killed_at_any_moment_goes_on_and_gives_the_same(tmp_path, monkeypatch, kills):
    for name in ("FEWEST", "COMPACT_EVERY"):  # after every few outputs
        monkeypatch.setattr(f"benchmarks.runner.{name}", 5)
    job = Job(f"toys:squares?n={20 + 4 * kills}", PROTOCOLS["face"], (2.0, 3.0), ("bicubic",), ("psnr",))
    measures(tmp_path / "whole", job)
    bench, rng = Bench(job), random.Random(kills)
    context = multiprocessing.get_context("fork")
    seen = 0
    for kill in range(kills):
        process = context.Process(target=measures, args=(tmp_path / "killed", job))
        process.start()
        time.sleep(rng.uniform(0.05, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        store = Store(tmp_path / "killed")
        cells = [state.cell for state in survey(bench, store)]
        now = sum(len(cell.rows()) for cell in cells)
        assert now == sum(len(cell.headers()) for cell in cells) and now >= seen and not store.damaged, kill
        seen = now
    measures(tmp_path / "killed", job)
    whole, killed = (
        [{key: (row.values, row.gt) for key, row in state.cell.rows().items()} for state in survey(bench, Store(place))]
        for place in (tmp_path / "whole", tmp_path / "killed")
    )
    assert whole == killed
