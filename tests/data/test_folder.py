import numpy as np
import pytest
import torch
from PIL import Image

from casarbi.data.folder import benchmark, folder
from casarbi.errors import CasarbiError
from casarbi.references import Registry


def notes(data):
    return " ".join(data.notes)


def test_ids_are_names_without_suffix_in_natural_order(put, tmp_path):
    for name in ("img10.png", "img2.PNG", "img1.Jpg"):
        put(name)
    data = folder(str(tmp_path))
    assert data.ids == ("img1", "img2", "img10")
    assert folder(str(tmp_path), n=2).ids == ("img1", "img2")


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (("a.png", "a.jpg", "b.png"), {"a.png", "a.jpg", "b"}),
        (("A.png", "a.jpg"), {"A.png", "a.jpg"}),
        (("a.png", "a.jpg", "a.png.tif"), {"a.png", "a.jpg", "a.png.tif"}),
    ],
)
def test_files_that_share_an_id_keep_their_suffix(put, tmp_path, names, ids):
    for name in names:
        put(name)
    assert set(folder(str(tmp_path)).ids) == ids


def test_first_n_does_not_change_ids(put, tmp_path):
    put("a.png")
    put("a.tif")
    assert folder(str(tmp_path), n=1).ids[0] in ("a.png", "a.tif")


def test_pixels_are_those_of_the_file(put, tmp_path):
    path = put("a.png")
    image = folder(str(tmp_path)).image("a")
    expected = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1).float() / 255
    assert torch.equal(image, expected)


def test_grey_deep_alpha_animated_and_lossy_pictures_are_named(put, tmp_path):
    put("grey.png", mode="L")
    put("alpha.png", mode="RGBA")
    put("lossy.jpg")
    Image.fromarray(np.full((4, 4), 999, np.uint16)).save(tmp_path / "deep.png")
    frames = [Image.new("L", (4, 4), level) for level in (0, 90, 180)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    said = notes(folder(str(tmp_path)))
    for part in ("channels: 2 of 5 (deep, grey)", "white: 1 of 5 (alpha)", "lossy: 1 of 5 (lossy)"):
        assert part in said
    assert "compared as 8: 1 of 5 (deep)" in said and "first is used: 1 of 5 (moving has 3)" in said


def test_skipped_files_are_named_and_litter_is_not(put, tmp_path):
    put("a.png")
    (tmp_path / "film.mp4").write_bytes(b"0")
    (tmp_path / "Thumbs.db").write_bytes(b"0")
    assert folder(str(tmp_path)).notes == ("Skipped 1 file that is no picture (film.mp4).",)


def test_damaged_picture_fails_alone(put, tmp_path):
    whole = put("good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:-40])
    (tmp_path / "empty.png").touch()
    data = folder(str(tmp_path))
    assert data.ids == ("cut", "empty", "good") and len(data.fingerprint) == 64
    assert data.image("good").shape == (3, 6, 8)
    for name in ("cut", "empty"):
        with pytest.raises(CasarbiError, match=f"{name}.png"):
            data.image(name)


def test_unknown_id_is_refused(put, tmp_path):
    put("a.png")
    with pytest.raises(CasarbiError, match="no image 'b'"):
        folder(str(tmp_path)).digest("b")


def test_single_file_is_a_data_set_of_one(put):
    path = put("one.tif")
    data = Registry("data set", "casarbi.datasets").build(f"folder:{path}")
    assert data.ids == ("one",) and data.image("one").shape == (3, 6, 8)


def test_sub_folders_are_read_on_request_only(put, tmp_path):
    put("cats/a.png")
    put("dogs/a.png")
    with pytest.raises(CasarbiError, match="sub-folder"):
        folder(str(tmp_path))
    assert folder(str(tmp_path), recursive=True).ids == ("cats/a", "dogs/a")


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_no_picture_is_an_error(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CasarbiError, match=name):
        folder(str(tmp_path / name))


@pytest.mark.parametrize("n", [0, -1, 3])
def test_n_out_of_range_is_an_error(put, tmp_path, n):
    put("a.png")
    put("b.png")
    with pytest.raises(CasarbiError, match="ask for 1 to 2"):
        folder(str(tmp_path), n=n)


@pytest.fixture
def set5(put, tmp_path):
    put("HR/baby.png", width=9, height=7)
    put("HR/bird.png", width=8, height=8)
    put("LR_bicubic/X2/babyx2.png", width=4, height=3)
    put("LR_bicubic/X2/birdx2.png", width=4, height=4)
    put("LR_bicubic/X3/babyx3.png", width=3, height=2)
    put("LR_bicubic/X2/strangerx2.png")
    return str(tmp_path)


def test_benchmark_gives_the_lr_files_there_are(set5):
    data = benchmark(set5)
    assert data.ids == ("baby", "bird")
    assert data.lr("baby", 2.0).shape == (3, 3, 4) and data.lr("baby", 3).shape == (3, 2, 3)
    assert data.lr("bird", 3) is None and data.lr("baby", 2.5) is None
    assert "lacks files at x3 (1 of 2)" in notes(data)


def test_lr_of_another_image_is_refused(set5, put):
    put("LR_bicubic/X2/babyx2.png", width=6, height=3)
    with pytest.raises(CasarbiError, match="do not belong together"):
        benchmark(set5).lr("baby", 2)


def test_lr_files_are_part_of_the_fingerprint(set5, put):
    before = benchmark(set5).fingerprint
    put("LR_bicubic/X2/babyx2.png", width=4, height=3, seed=1)
    assert benchmark(set5).fingerprint != before


def test_folder_laid_out_like_set5_is_read_as_one(set5, put):
    data = folder(set5)
    assert data.ids == ("baby", "bird") and data.lr("baby", 2) is not None
    assert "read as benchmark" in notes(data)
    put("own.png")
    assert folder(set5).ids == ("own",)


def test_benchmark_takes_its_hr_folder_too(set5):
    assert benchmark(f"{set5}/HR").fingerprint == benchmark(set5).fingerprint


def test_benchmark_without_hr_is_an_error(put, tmp_path):
    put("a.png")
    with pytest.raises(CasarbiError, match="no sub-folder HR"):
        benchmark(str(tmp_path))
