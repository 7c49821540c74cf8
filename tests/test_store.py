import json
import math

import numpy as np
import pytest

from benchmarks.store import CellKey, Row, Store, column_name

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
