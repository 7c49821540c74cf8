import json
import math
import os
import shutil

import numpy as np
import pytest

from benchmarks.store import CellKey, Store
from benchmarks.store.rows import ListHash, Row, column_name, hash_json

KEY = CellKey({"method": "bicubic"}, "folder", "abc", 2.0, 0)
HEADER = {"rows": 1, "seconds": {}}


@pytest.fixture
def cell(tmp_path):
    return Store(tmp_path).cell(KEY)


def test_values_and_features_come_back(cell):
    vector = np.arange(4, dtype=np.float32)
    cell.add([Row('é,;"=1+1', "d1", {"psnr#1": 30.25}, size=(8, 9), gt="ff", features={"f#1": vector})], HEADER)
    row = cell.rows()['é,;"=1+1', "d1"]
    assert row.values == {"psnr#1": 30.25} and row.size == (8, 9) and np.array_equal(row.features["f#1"], vector)


def test_infinity_is_kept_in_valid_json(cell):
    cell.add([Row("a", "d", {"psnr#1": math.inf})], HEADER)
    text = next((cell.folder / "parts").glob("*.json")).read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"bare {name}"))
    assert cell.rows()["a", "d"].values["psnr#1"] == math.inf


def test_two_parts_with_one_image_count_once_and_the_older_wins(cell):
    cell.add([Row("a", "d", {"psnr#1": 1.0})], HEADER)
    cell.add([Row("a", "d", {"psnr#1": 2.0, "ssim#1": 0.5})], HEADER)
    assert list(cell.rows()) == [("a", "d")]
    assert cell.rows()["a", "d"].values == {"psnr#1": 1.0, "ssim#1": 0.5}


def test_success_after_failure_clears_the_reason(cell):
    cell.add([Row("a", "d", failures={"": "out of memory"})], HEADER)
    assert cell.rows()["a", "d"].failures == {"": "out of memory"}
    cell.add([Row("a", "d", {"psnr#1": 2.0}, {"ssim#1": "too small"})], HEADER)
    row = cell.rows()["a", "d"]
    assert row.failures == {"ssim#1": "too small"} and row.has("psnr#1") and row.has("ssim#1")


def test_another_digest_is_another_row(cell):
    cell.add([Row("a", "d1", {"psnr#1": 1.0})], HEADER)
    cell.add([Row("a", "d2", {"psnr#1": 2.0})], HEADER)
    assert {key: row.values["psnr#1"] for key, row in cell.rows().items()} == {("a", "d1"): 1.0, ("a", "d2"): 2.0}


@pytest.mark.parametrize("damage", ["", "{", '{"rows": [{"image": 1}]}', "[]"])
def test_a_damaged_part_is_as_if_it_were_not_there(cell, damage):
    cell.add([Row("a", "d", {"psnr#1": 1.0})], HEADER)
    next((cell.folder / "parts").glob("*.json")).write_text(damage)
    assert cell.rows() == {} and cell.headers() == []


def test_cut_off_features_are_measured_again(cell):
    cell.add([Row("a", "d", features={"f#1": np.ones(3)})], HEADER)
    path = next((cell.folder / "parts").glob("*.npz"))
    path.write_bytes(path.read_bytes()[:50])
    assert cell.rows() == {}


def test_without_features_their_columns_are_still_known(cell):
    cell.add([Row("a", "d", features={"f#1": np.ones(3)}), Row("b", "d", {"psnr#1": 1.0})], HEADER)
    rows = cell.rows(with_features=False)
    assert rows["a", "d"].has("f#1") and not rows["b", "d"].has("f#1")


def test_every_part_of_a_key_counts():
    variants = [
        KEY,
        CellKey({"method": "liif"}, "folder", "abc", 2.0, 0),
        CellKey({"method": "bicubic"}, "photos", "abc", 2.0, 0),
        CellKey({"method": "bicubic"}, "folder", "abd", 2.0, 0),
        CellKey({"method": "bicubic"}, "folder", "abc", 2.5, 0),
        CellKey({"method": "bicubic"}, "folder", "abc", 2.0, 1),
    ]
    assert len({key.hash for key in variants}) == len(variants)


def test_a_changed_backbone_is_another_column():
    assert column_name("lpips", {"sha256": "a"}) != column_name("lpips", {"sha256": "b"})


def only(cell, suffix):
    (path,) = (cell.folder / "parts").glob(f"*{suffix}")
    return path


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_every_flipped_bit_is_noticed_and_named(cell, suffix):
    cell.add([Row("a", "d", {"psnr#1": 31.5}, features={"f#1": np.ones(3, np.float32)})], HEADER)
    path, (truth,) = only(cell, suffix), cell.rows().values()
    whole = path.read_bytes()
    for position in range(0, len(whole) * 8, 37):
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        store = Store(cell.store.folder)
        rows = store.cell(KEY).rows()
        assert rows == {} and set(store.damaged) == {only(cell, ".json")}, (position, truth)


def test_a_part_of_another_cell_is_not_taken(cell):
    other = cell.store.cell(CellKey({"method": "liif"}, "folder", "abc", 2.0, 0))
    other.add([Row("a", "d", {"psnr#1": 1.0})], HEADER)
    cell.add([Row("b", "d", {"psnr#1": 2.0})], HEADER)
    shutil.copy(only(other, ".json"), cell.folder / "parts" / "0.json")
    assert [image for image, _ in cell.rows()] == ["b"]
    assert "another cell" in cell.store.damaged[cell.folder / "parts" / "0.json"]


def test_parts_from_before_there_was_a_hash_stay_valid(cell):
    cell.add([Row("a", "d", {"psnr#1": math.inf}, features={"f#1": np.ones(3)})], HEADER)
    body = json.loads(only(cell, ".json").read_text())
    only(cell, ".json").write_text(json.dumps({"header": body["header"], "rows": body["rows"]}))
    (row,) = Store(cell.store.folder).cell(KEY).rows().values()
    assert row.values == {"psnr#1": math.inf} and row.features["f#1"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("value", ["NaN", "1e999", "true", '"30"', "[30]", "null", "1" * 5000])
def test_a_value_that_is_no_measurement_is_not_taken_even_without_a_hash(cell, value):
    cell.add([Row("a", "d", {"psnr#1": 30.0})], HEADER)
    text = only(cell, ".json").read_text().replace("30.0", value)
    only(cell, ".json").write_text(text[: text.index(', "sha256"')] + "}")
    store = Store(cell.store.folder)
    assert store.cell(KEY).rows() == {} and len(store.damaged) == 1


@pytest.mark.skipif(os.name != "posix", reason="pipes and links")
def test_what_is_no_file_is_named_and_nothing_waits_for_it(cell):
    cell.add([Row("a", "d", {"psnr#1": 1.0})], HEADER)
    parts = cell.folder / "parts"
    (parts / "1.json").mkdir()
    os.mkfifo(parts / "2.json")
    (parts / "3.json").symlink_to(parts / "nothing")
    (parts / "4.json").symlink_to("/dev/zero")
    (parts / "5.json").symlink_to(parts / "5.json")
    assert list(cell.rows()) == [("a", "d")]
    said = {path.name: why for path, why in cell.store.damaged.items()}
    assert said["1.json"] == "it is a folder" and said["2.json"] == said["4.json"] == "it is no regular file"
    assert said["3.json"] == "No such file or directory" and "symbolic links" in said["5.json"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="a superuser may read everything")
def test_a_part_that_may_not_be_read_is_named(cell):
    cell.add([Row("a", "d", {"psnr#1": 1.0})], HEADER)
    only(cell, ".json").chmod(0)
    assert cell.rows() == {} and "Permission denied" in cell.store.damaged.values()


def test_a_damaged_cell_json_is_said_and_written_again(cell):
    cell.add([Row("a", "d", {"psnr#1": 1.0})], HEADER)
    (cell.folder / "cell.json").write_text('{"key": []}')
    assert list(cell.rows()) == [("a", "d")] and cell.folder / "cell.json" in cell.store.damaged
    cell.add([Row("b", "d", {"psnr#1": 1.0})], HEADER)
    again = Store(cell.store.folder)
    assert len(again.cell(KEY).rows()) == 2 and not again.damaged


def test_a_newer_generation_wins_and_within_one_the_older_part(cell):
    cell.add([Row("a", "d", {"psnr#1": 1.0, "ssim#1": 0.5})], HEADER)
    cell.add([Row("a", "d", {"psnr#1": 2.0})], HEADER, generation=1)
    cell.add([Row("a", "d", {"psnr#1": 3.0})], HEADER, generation=1)
    cell.add([Row("a", "d", {"psnr#1": 4.0})], HEADER)
    assert cell.rows()["a", "d"].values == {"psnr#1": 2.0, "ssim#1": 0.5} and cell.generation() == 1


def test_a_failure_of_a_newer_generation_hides_older_values_until_it_is_mended(cell):
    cell.add([Row("a", "d", {"psnr#1": 1.0})], HEADER)
    cell.add([Row("a", "d", failures={"": "out of memory"})], HEADER, generation=1)
    assert cell.rows()["a", "d"].values == {} and cell.rows()["a", "d"].failures
    cell.add([Row("a", "d", {"psnr#1": 2.0})], HEADER, generation=1)
    assert cell.rows()["a", "d"].values == {"psnr#1": 2.0} and not cell.rows()["a", "d"].failures


def test_a_name_that_is_not_utf8_is_kept(cell):
    cell.add([Row("caf\udce9", "d", {"psnr#1": 1.0})], HEADER)
    assert list(cell.rows()) == [("caf\udce9", "d")]


def test_prepare_sweeps_what_killed_runs_left(cell):
    cell.add([Row("a", "d", {"psnr#1": 1.0})], HEADER)
    draft = cell.folder / "parts" / ".01234567890123456789-89abcdef.npz"
    draft.touch()
    os.utime(draft, (0, 0))
    cell.store.prepare()
    assert not draft.exists() and len(cell.rows()) == 1


@pytest.mark.parametrize("values", [({"b": 1, "a": "é"}, "psnr", ["d1", "d2"]), (1, [])])
def test_hashes_of_lists_that_begin_alike_are_those_of_the_lists(values):
    *first, last = values
    begun = ListHash(*first)
    assert [begun.of(last), begun.of("other")] == [hash_json([*first, last]), hash_json([*first, "other"])]
