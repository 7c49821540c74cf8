"""Which files of a folder count as pictures, and in which order."""

import os
from pathlib import Path

import pytest
from PIL import Image

from casarbi.errors import CasarbiError
from casarbi.pictures.folders import list_images
from casarbi.pictures.reading import read_image


def fill(folder: Path, *names: str, format: str | None = None) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif", "") or format:
            Image.new("RGB", (4, 4)).save(path, format or (None if path.suffix else "PNG"))
        else:
            path.write_text("not a picture")
    return folder


def names(folder, **options):
    return [path.relative_to(folder).as_posix() for path in list_images(folder, **options).paths]


def test_natural_order(tmp_path):
    fill(tmp_path, "img10.png", "img2.png", "Img1.png", "a-2.png", "a.png", "图2.png", "图10.png")
    assert names(tmp_path) == ["a.png", "a-2.png", "Img1.png", "img2.png", "img10.png", "图2.png", "图10.png"]


def test_suffix_in_any_case_and_each_file_once(tmp_path):
    fill(tmp_path, "a.PNG", "b.JPEG", "c.Jpg", "d.png", "e.JPG", "f.TIF")
    fill(tmp_path, "lies.png", format="JPEG")
    assert names(tmp_path) == ["a.PNG", "b.JPEG", "c.Jpg", "d.png", "e.JPG", "f.TIF", "lies.png"]
    assert all(read_image(path).shape == (3, 4, 4) for path in list_images(tmp_path).paths)


def test_litter_is_passed_over_and_others_are_counted(tmp_path):
    fill(tmp_path, "a.png", "b.png", "sub.png/inner.png", ".hidden.png", "._a.png")
    fill(tmp_path, "Thumbs.db", ".DS_Store", "desktop.ini", "notes.txt", "checksums.md5")
    fill(tmp_path, "clip.mp4", "doc.pdf")
    listing = list_images(tmp_path)
    assert [path.name for path in listing.paths] == ["a.png", "b.png"]
    assert [path.name for path in listing.skipped] == ["clip.mp4", "doc.pdf"]


def test_without_a_suffix_the_content_decides(tmp_path):
    fill(tmp_path, "photo")
    (tmp_path / "LICENCE").write_text("words")
    assert names(tmp_path) == ["photo"]


def test_a_file_meant_as_a_picture_stays_listed(tmp_path):
    (tmp_path / "page.png").write_text("<html>")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.png")
    assert names(tmp_path) == ["gone.jpg", "page.png"]
    with pytest.raises(CasarbiError, match="no file .*gone.jpg"):
        read_image(tmp_path / "gone.jpg")


def test_recursive(tmp_path):
    fill(tmp_path, "b.png", "a/1.png", "a/b/c.jpg", ".git/x.png", "__MACOSX/y.png")
    assert names(tmp_path) == ["b.png"]
    assert sorted(names(tmp_path, recursive=True)) == ["a/1.png", "a/b/c.jpg", "b.png"]


def test_linked_folders_are_entered_once_and_circles_never(tmp_path):
    inside, outside = fill(tmp_path / "in", "b.png", "sub/c.png"), fill(tmp_path / "out", "d.png", "deep/e.png")
    (inside / "a_link").symlink_to(inside / "sub")  # sorts first, but the folder itself comes before a link to it
    for name, target in (("more", outside), ("again", outside), ("circle", inside), ("up", tmp_path)):
        (inside / name).symlink_to(target)
    (outside / "back").symlink_to(inside)
    assert sorted(names(inside, recursive=True)) == ["again/d.png", "again/deep/e.png", "b.png", "sub/c.png"]
    assert names(inside) == ["b.png"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([".keep"], "holds no picture: expected"),
        (["a.txt", "clip.mp4"], r"holds no picture \(only 1 other file\)"),
        (["inner/deep/0.png"], "no picture itself, but its sub-folder .*inner.deep does: name that folder"),
    ],
)
def test_no_picture_at_top_level(tmp_path, files, words):
    """F16"""
    with pytest.raises(CasarbiError, match=words) as caught:
        list_images(fill(tmp_path, *files))
    assert str(tmp_path) in str(caught.value)


def test_missing_folder_and_file_instead(tmp_path):
    with pytest.raises(CasarbiError, match="There is no folder .*nothing"):
        list_images(tmp_path / "nothing")
    with pytest.raises(CasarbiError, match="a.png is a file, expected a folder of pictures"):
        list_images(fill(tmp_path, "a.png") / "a.png")
