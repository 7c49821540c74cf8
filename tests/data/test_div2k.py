import pytest

from casarbi.data.div2k import div2k
from casarbi.errors import CasarbiError


@pytest.fixture
def root(put, tmp_path):
    put("DIV2K_valid_HR/0801.png", 12, 9)
    put("DIV2K_valid_HR/0802.png", 8, 8)
    put("DIV2K_train_HR/0001.png", 8, 8)
    put("DIV2K_valid_LR_bicubic/X2/0801x2.png", 6, 4)
    put("DIV2K_valid_LR_bicubic/X2/0802x2.png", 4, 4)
    return tmp_path


def test_valid_with_its_official_lr(root):
    data = div2k(str(root))
    assert data.ids == ("0801", "0802") and data.image("0801").shape == (3, 9, 12)
    assert data.lr("0801", 2.0).shape == (3, 4, 6) and data.lr("0801", 4) is None
    assert any("2 of the 100 images" in note for note in data.notes)


@pytest.mark.parametrize("split", ["valid", "train"])
def test_hr_folder_itself(root, split):
    data = div2k(str(root / f"DIV2K_{split}_HR"))
    assert data.fingerprint == div2k(str(root), split=split).fingerprint
    assert (data.lr(data.ids[0], 2) is not None) == (split == "valid")


def test_lr_archive_unpacked_one_level_deeper(root):
    name = "DIV2K_valid_LR_bicubic"
    (root / name).rename(root / "inner")
    (root / name).mkdir()
    (root / "inner").rename(root / name / name)
    assert div2k(str(root)).lr("0802", 2).shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("place", "split", "sentence"),
    [
        ("", "test", "choose train or valid"),
        ("DIV2K_train_HR", "valid", "is DIV2K's train split"),
        ("DIV2K_valid_LR_bicubic", None, "no sub-folder DIV2K_valid_HR"),
        ("missing", None, "no folder"),
    ],
)
def test_bad_choices_are_named(root, place, split, sentence):
    with pytest.raises(CasarbiError, match=sentence):
        div2k(str(root / place), split=split)
