"""What is read, where results go, and what is known before the first picture."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from casarbi.errors import CasarbiError
from casarbi.upscaling.preflight import LARGEST_SIDE, check_existing, probe_folders, read_sizes
from casarbi.upscaling.target import TargetSize
from casarbi.upscaling.worklist import Item, list_work

TWICE = TargetSize.parse(scale="2")


def picture(path: Path, size=(6, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    return path


def results(work, root):
    return [item.result.relative_to(root).as_posix() for item in work.items]


def test_results_lie_beside_a_file_and_beside_a_folder(tmp_path):
    one, two = picture(tmp_path / "a.jpg"), picture(tmp_path / "in" / "b.png")
    work = list_work([one, two.parent], "x3.7", None)
    assert results(work, tmp_path) == ["a_x3.7.png", "in_x3.7/b_x3.7.png"]


def test_results_in_out_never_share_a_name(tmp_path):
    files = [picture(tmp_path / name) for name in ("1/a.jpg", "1/a.png", "1/A.bmp", "2/a.png", "3/a.png")]
    work = list_work(files, "x2", tmp_path / "out")
    assert results(work, tmp_path / "out") == [
        *("a.jpg_x2.png", "a.png_x2.png", "A.bmp_x2.png"),
        *("a_x2.png", "a-2_x2.png"),
    ]


def test_a_name_does_not_depend_on_what_else_is_enlarged(tmp_path):
    """`upscale a.png` and then `upscale a.jpg` have two results, whether the folder or each file is named."""
    files = [picture(tmp_path / "in" / name) for name in ("a.jpg", "a.png", "b.png")]
    whole = results(list_work([tmp_path / "in"], "x2", tmp_path / "out"), tmp_path)
    alone = [name for file in files for name in results(list_work([file], "x2", tmp_path / "out"), tmp_path)]
    assert whole == alone == ["out/a.jpg_x2.png", "out/a.png_x2.png", "out/b_x2.png"]


def test_sub_folders_are_kept_and_files_taken_once(tmp_path):
    folder = tmp_path / "in"
    files = [picture(folder / "b.png"), picture(folder / "sub" / "a.png")]
    work = list_work([files[0], folder, folder], "x2", tmp_path / "out", recursive=True)
    assert sorted(results(work, tmp_path / "out")) == ["b_x2.png", "sub/a_x2.png"]


def test_an_input_is_never_a_target(tmp_path):
    one, two = picture(tmp_path / "a.png"), picture(tmp_path / "a_x2.png")
    work = list_work([one, two], "x2", None)
    assert [item.source for item in work.items] == [two]
    assert work.failed == [(one, f"{two} is an input and is not overwritten: name another file with -o.")]
    assert not list_work([one], "x2", one).items
    (tmp_path / "link.png").symlink_to(one)
    assert not list_work([one], "x2", tmp_path / "link.png").items


def test_out_as_a_file(tmp_path):
    one, two = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    assert list_work([one], "x2", tmp_path / "big.webp").items == [Item(one, tmp_path / "big.webp")]
    with pytest.raises(CasarbiError, match="names one file, but there are 2 pictures: name a folder"):
        list_work([one, two], "x2", tmp_path / "big.webp")
    with pytest.raises(CasarbiError, match="ends in '.gif'"):
        list_work([one], "x2", tmp_path / "big.gif")


def test_a_folder_without_pictures_is_listed(tmp_path):
    work = list_work([tmp_path, picture(tmp_path / "in" / "a.png")], "x2", None)
    assert len(work.items) == 1 and "name that folder" in work.failed[0][1]


@pytest.mark.parametrize("place", ["in", "in/large", "in/day1", "in_x2"])
@pytest.mark.parametrize("label", ["x2", "640x480", "w640", "x3.7"])
def test_results_of_earlier_runs_are_no_inputs(tmp_path, place, label):
    """Wherever results lie in the folder, and whatever the size of the later run."""
    names = ("day1/pic.png", "pic.png", "pic_x2_old.png", "lone_x2.png")
    inputs = [picture(tmp_path / "in" / name) for name in names]
    for item in list_work([tmp_path / "in"], label, tmp_path / place, recursive=True).items:
        picture(item.result)
    for later in (tmp_path / place, tmp_path / "elsewhere"):
        work = list_work([tmp_path / "in"], "x2", later, recursive=True)
        assert {item.source for item in work.items} == set(inputs)
        assert len(work.left_out) == (0 if place == "in_x2" else 4)


def test_results_beside_the_folders_they_come_from_are_no_inputs(tmp_path):
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in_x2" / "a_x2.png")
    assert len(list_work([tmp_path], "x2", tmp_path / "out", recursive=True).items) == 1
    alone = list_work([tmp_path / "in_x2"], "x2", None)
    assert len(alone.items) == 1 and not alone.left_out  # nothing there says of what it is a result


def test_an_existing_result_stops_everything(tmp_path):
    files = [picture(tmp_path / "in" / name) for name in ("a.png", "b.png", "c.png")]
    work = list_work(files, "x2", tmp_path)
    check_existing(work)
    picture(tmp_path / "b_x2.png")
    with pytest.raises(CasarbiError, match=r"b_x2.png is not replaced: --overwrite replaces it, --keep makes only"):
        check_existing(work)
    picture(tmp_path / "c_x2.png")
    with pytest.raises(
        CasarbiError, match=r"2 of 3 results are there already, such as .*b_x2.png, and are not replaced"
    ):
        check_existing(work)


def test_keep_keeps_whole_results_of_the_size_alone(tmp_path):
    files = [picture(tmp_path / "in" / f"{name}.png") for name in "abcd"]
    picture(tmp_path / "a_x2.png", (12, 8))
    picture(tmp_path / "b_x2.png", (12, 9))
    (tmp_path / "c_x2.png").write_bytes(b"half")
    work = list_work(files, "x2", tmp_path)
    read_sizes(work, TWICE, keep=True)
    assert work.kept == [tmp_path / "a_x2.png"] and [item.source.stem for item in work.items] == ["d"]
    assert "b_x2.png is 12x9 px, expected 12x8 px" in work.failed[0][1]
    assert "c_x2.png is no whole picture, expected 12x8 px" in work.failed[1][1]
    assert work.total == 4


@pytest.mark.parametrize(("suffix", "limit"), [(".jpg", "65,500"), (".webp", "16,383")])
def test_a_side_that_the_format_cannot_hold_is_known_before_the_work(tmp_path, suffix, limit):
    wide, small = picture(tmp_path / "wide.png", (40_000, 1)), picture(tmp_path / "small.png")
    work = list_work([wide, small], "x2", tmp_path, format_name=suffix[1:])
    read_sizes(work, TWICE, keep=False)
    assert [(item.source, item.sizes) for item in work.items] == [(small, ((4, 6), (8, 12)))]
    assert f"would become 80000x2 px, but {'JPEG' if suffix == '.jpg' else 'WebP'} ends at {limit}" in work.failed[0][1]


def test_limits_are_those_of_the_writers(tmp_path):
    from casarbi.pictures.writing import write_image

    for suffix, side in LARGEST_SIDE.items():
        write_image(tmp_path / f"a{suffix}", torch.zeros(3, 1, side))
        with pytest.raises(CasarbiError, match="cannot be written"):
            write_image(tmp_path / f"b{suffix}", torch.zeros(3, 1, side + 1))


def test_a_place_that_refuses_is_named_and_nothing_is_left(tmp_path):
    probe_folders([tmp_path / "new" / "deep" / "a.png", tmp_path / "b.png"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(CasarbiError, match="Nothing can be written in .*file.deep: Not a directory: name another"):
        probe_folders([tmp_path / "file" / "deep" / "a.png"])
    with pytest.raises(CasarbiError, match="Nothing can be written in /proc/nope"):
        probe_folders([Path("/proc/nope/a.png")])
