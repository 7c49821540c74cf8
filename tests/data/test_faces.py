import pytest

from casarbi.data.faces import celebahq, ffhq
from casarbi.errors import CasarbiError


@pytest.fixture
def thumbnails(put, tmp_path):
    for number in (0, 1, 1000, 60001):
        put(f"thumbnails128x128/{number // 1000 * 1000:05d}/{number:05d}.png", 128, 128)
    return str(tmp_path)


def test_ffhq_splits_by_number(thumbnails):
    assert ffhq(thumbnails).ids == ("00000", "00001", "01000", "60001")
    assert ffhq(thumbnails, split="val").ids == ("60001",)
    assert ffhq(f"{thumbnails}/thumbnails128x128", split="train", n=2).ids == ("00000", "00001")


def test_ffhq_says_how_much_of_it_is_there(thumbnails):
    said = " ".join(ffhq(thumbnails).notes)
    assert "128 px" in said and "4 of the 70,000" in said


def test_ffhq_refuses_an_unknown_or_empty_split(thumbnails, put, tmp_path):
    with pytest.raises(CasarbiError, match="choose all, train, val"):
        ffhq(thumbnails, split="test")
    put("few/00000.png", 128, 128)
    with pytest.raises(CasarbiError, match="no image of FFHQ's split 'val'"):
        ffhq(str(tmp_path / "few"), split="val")


def test_same_name_twice_is_refused(thumbnails, put):
    put("thumbnails128x128/copy/00001.png", 128, 128)
    with pytest.raises(CasarbiError, match="same name"):
        ffhq(thumbnails)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_celebahq_of_any_suffix(put, tmp_path, suffix):
    for number in range(3):
        put(f"celeba_hq_256/{number:05d}.{suffix}", 256, 256)
    data = celebahq(str(tmp_path), size=256, n=2)
    assert data.ids == ("00000", "00001") and data.image("00001").shape == (3, 256, 256)
    with pytest.raises(CasarbiError, match="squares of 1024 px"):
        celebahq(str(tmp_path / "celeba_hq_256"), size=1024)


@pytest.mark.parametrize(("width", "height"), [(178, 218), (512, 512)])
def test_other_sizes_are_refused(put, tmp_path, width, height):
    put("0.png", width, height)
    with pytest.raises(CasarbiError, match=f"0.png is {width}x{height} px .* 1024 or 256 px"):
        celebahq(str(tmp_path))


def test_one_image_of_another_size_fails_alone(put, tmp_path):
    put("00000.png", 256, 256)
    put("00001.png", 128, 128)
    data = celebahq(str(tmp_path))
    assert data.image("00000").shape == (3, 256, 256)
    with pytest.raises(CasarbiError, match="128x128"):
        data.image("00001")


def test_unreadable_files_only_are_an_error(tmp_path):
    (tmp_path / "0.png").write_bytes(b"no picture")
    with pytest.raises(CasarbiError, match="None of the 1 files"):
        celebahq(str(tmp_path))


def test_celebahq_of_another_size_than_it_comes_at(tmp_path):
    with pytest.raises(CasarbiError, match="1024 or 256 px, not size=512"):
        celebahq(str(tmp_path), size=512)
