import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from casarbi.data import fingerprints, headers, memory
from casarbi.errors import CasarbiError
from casarbi.sr import create_model


def save(path: Path, grey: int, size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), grey, np.uint8)).save(path)
    return path


def look_up(folder: Path, *ids: str, size: tuple[int, int] = (8, 6), scale: float = 1) -> list[int]:
    """Grey levels that the model gives for some ids, asked for at a size and a scale."""
    lr = torch.zeros(len(ids), 3, round(size[0] / scale), round(size[1] / scale))
    result = create_model(f"outputs:{folder}").bind(ids).upscale(lr, size, [0] * len(ids))
    assert result.shape == (len(ids), 3, *size)
    return [round(image.mean().item() * 255) for image in result]


def test_matched_by_id_not_by_position(tmp_path):
    for name, grey in (("img2", 2), ("img10", 10), ("img1", 1), ("deep/img1", 99)):
        save(tmp_path / f"{name}.png", grey)
    assert look_up(tmp_path, "img10", "img1", "deep/img1", "img2") == [10, 1, 99, 2]


SCALED = {"x5.3/baby": 5.3, "X5.3/baby": 5.3, "5.3x/baby": 5.3, "baby_x5.3": 5.3, "babyx5": 5, "x4/baby_x4": 4}


@pytest.mark.parametrize(("name", "scale"), (SCALED | {"baby-4x": 4}).items())
def test_scale_in_a_folder_or_at_the_end_is_left_out_but_compared(tmp_path, name, scale):
    size = (round(10 * scale), round(7 * scale))
    save(tmp_path / f"{name}.png", 7, size)
    save(tmp_path / "other.png", 8)
    assert look_up(tmp_path, "baby", size=size, scale=scale) == [7]
    for other in (1, 3, 8):  # `3_x4.png` is no result of picture 3 at scale 1
        with pytest.raises(CasarbiError, match=f"other sizes or scales only .*{size[1]}x{size[0]} px at x"):
            look_up(tmp_path, "baby", size=size, scale=other)


@pytest.mark.parametrize(
    ("label", "lr_size", "size", "fits"),
    [
        ("x3.7", (24, 36), (89, 133), True),
        ("x3.7", (24, 36), (96, 144), False),
        ("x5.33", (480, 480), (2560, 2560), True),
        ("x5", (480, 480), (2560, 2560), False),
        ("133x89", (24, 36), (89, 133), True),
        ("89x133", (24, 36), (89, 133), False),
        ("w133", (24, 36), (89, 133), True),
        ("h133", (24, 36), (89, 133), False),
    ],
)
def test_every_label_of_upscale_is_compared(tmp_path, label, lr_size, size, fits):
    save(tmp_path / f"baby_{label}.png", 7, size)
    model = create_model(f"outputs:{tmp_path}").bind(["baby"])
    if fits:
        assert model.upscale(torch.zeros(1, 3, *lr_size), size, [0]).shape == (1, 3, *size)
    else:
        with pytest.raises(CasarbiError, match="at other sizes or scales only"):
            model.upscale(torch.zeros(1, 3, *lr_size), size, [0])


def test_results_without_a_reference_are_listed(tmp_path):
    for name in ("baby_x4", "x4/bird", "cat", "sub/dog_x4", "old"):
        save(tmp_path / f"{name}.png", 7)
    model = create_model(f"outputs:{tmp_path}")
    assert model.leftovers(["baby", "bird", "cat", "sub/dog"]) == ["old.png"]
    assert sorted(model.leftovers(["baby"])) == ["cat.png", "old.png", "sub/dog_x4.png", "x4/bird.png"]


def test_one_folder_holds_several_scales(tmp_path):
    save(tmp_path / "x4" / "baby.png", 4, (8, 12))
    save(tmp_path / "x5.3" / "baby.png", 5, (11, 16))
    assert look_up(tmp_path, "baby", size=(11, 16), scale=5.3) == [5]
    assert look_up(tmp_path, "baby", size=(8, 12), scale=4) == [4]


def test_own_name_comes_before_a_scale_at_the_end(tmp_path):
    save(tmp_path / "img.png", 1)
    save(tmp_path / "img_x2.png", 2)
    assert look_up(tmp_path, "img", "img_x2") == [1, 2]


def test_names_outside_ascii(tmp_path):
    names = ["图 像", "café (1)", "100% #2", "-dash", "🙂"]
    for grey, name in enumerate(names):
        save(tmp_path / f"{name}.png", grey)
    assert look_up(tmp_path, *reversed(names)) == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"bird.png": (8, 6)}, "no result for the image 'baby' at 6x8 px"),
        ({"babi.png": (8, 6)}, "near: babi"),
        ({"baby.png": (6, 8)}, "other sizes or scales only .baby.png 8x6 px.: expected 6x8 px"),
        ({"baby.png": (8, 6), "x1/baby.png": (8, 6)}, "more than one result for 'baby' .* keep one"),
        ({"x1/baby.png": (8, 6), "1x/baby.jpg": (8, 6)}, "more than one result"),
    ],
)
def test_no_single_fitting_picture_is_refused(tmp_path, files, words):
    for name, size in files.items():
        save(tmp_path / name, 1, size)
    with pytest.raises(CasarbiError, match=words):
        look_up(tmp_path, "baby")


def test_folder_that_is_missing_or_empty(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(CasarbiError, match=str(folder)):
            create_model(f"outputs:{folder}")
    with pytest.raises(CasarbiError, match="lacks its folder"):
        create_model("outputs")


def test_needs_a_data_set(tmp_path):
    save(tmp_path / "baby.png", 1)
    with pytest.raises(CasarbiError, match="only be evaluated on a data set"):
        create_model(f"outputs:{tmp_path}").upscale(torch.zeros(1, 3, 2, 2), (8, 6), [0])


def test_identity_follows_content_not_place_or_time(tmp_path):
    """Equal names, sizes and times, other pixels."""
    for folder, grey in (("a", 1), ("b", 1), ("c", 2)):
        os.utime(save(tmp_path / folder / "baby.bmp", grey), (1, 1))
    a, b, c = (create_model(f"outputs:{tmp_path / folder}").identity for folder in "abc")
    assert a == b != c
    os.utime(save(tmp_path / "a" / "baby.bmp", 3), (1, 1))
    assert create_model(f"outputs:{tmp_path / 'a'}").identity != a


def test_change_while_running_is_noticed(tmp_path):
    path = save(tmp_path / "baby.png", 1)
    model = create_model(f"outputs:{tmp_path}").bind(["baby"])
    save(path, 2)
    with pytest.raises(CasarbiError, match="changed while"):
        model.upscale(torch.zeros(1, 3, 2, 2), (8, 6), [0])


def test_files_are_opened_and_hashed_once_whatever_the_number_of_runs(tmp_path, monkeypatch):
    """Half of a run with nothing to measure went into 25,000 results that had not changed."""
    monkeypatch.setenv("CASARBI_HOME", str(tmp_path / "home"))
    clock = time.time_ns
    monkeypatch.setattr(memory.time, "time_ns", lambda: clock() + 10**10)  # as if nothing had changed for a while
    looked = []
    for module, name in ((fingerprints, "hash_file"), (headers, "open_picture")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda path, real=real: looked.append(path.name) or real(path))
    for name in ("a", "b"):
        save(tmp_path / "results" / "x1" / f"{name}.png", 1)

    first = create_model(f"outputs:{tmp_path}/results").identity
    assert sorted(looked) == ["a.png", "a.png", "b.png", "b.png"]
    assert create_model(f"outputs:{tmp_path}/results").identity == first and len(looked) == 4
    save(tmp_path / "results" / "x1" / "b.png", 2)
    assert create_model(f"outputs:{tmp_path}/results").identity != first and looked[4:] == ["b.png", "b.png"]
    assert look_up(tmp_path / "results", "a", "b") == [1, 2]


def test_lossy_results_are_noted(tmp_path):
    """Told by content, as a JPEG may be named .png."""
    save(tmp_path / "a.png", 1)
    assert create_model(f"outputs:{tmp_path}").info.warning == ""
    save(tmp_path / "b.jpg", 1).rename(tmp_path / "b.png")
    assert "1 of 2 results are in a lossy format, such as b.png" in create_model(f"outputs:{tmp_path}").info.warning
