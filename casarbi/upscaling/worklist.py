"""Which pictures `casarbi upscale` reads, and where each result goes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from casarbi.errors import CasarbiError
from casarbi.pictures.folders import PICTURE_SUFFIXES, list_images
from casarbi.pictures.naming import picture_names, result_name, results_among, split_label
from casarbi.pictures.writing import result_suffix
from casarbi.scales import Size


@dataclass(frozen=True)
class Item:
    """One picture to enlarge.

    Attributes:
        source: the file to read.
        result: the file to write; it is no input, and no other item's result.
        sizes: (height, width) of the picture and of its result; None until `read_sizes`, or if the header does not say.
    """

    source: Path
    result: Path
    sizes: tuple[Size, Size] | None = None


@dataclass
class Worklist:
    """What there is to do, and what cannot or need not be done.

    Attributes:
        items: pictures that will be enlarged.
        failed: pictures and arguments for which nothing can be done, with the reason.
        skipped: files in the folders that are no pictures.
        left_out: pictures in the folders that are results of earlier runs.
        kept: results that are there already and stay.
    """

    items: list[Item] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    skipped: int = 0
    left_out: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Pictures that were asked for."""
        return len(self.items) + len(self.failed) + len(self.kept)


@dataclass(frozen=True)
class _Named:
    """A picture, the folder for its result, and its name there."""

    source: Path
    folder: Path
    name: str


def list_work(
    photos: Sequence[Path],
    label: str,
    out: Path | None,
    *,
    recursive: bool = False,
    format_name: str | None = None,
    quality: int | None = None,
) -> Worklist:
    """Decide which files are read and where each result goes; see `casarbi.pictures.naming` for their names.

    Without `out` the result of `a.jpg` is `a_LABEL.png` beside it, and those of a folder `f` go to a folder `f_LABEL`
    beside it. A name depends on the picture and the folder it lies in alone, not on what else is enlarged. Results of
    earlier runs that lie in a folder are no inputs, unless they are named themselves.

    Args:
        photos: files and folders.
        label: what the names of results bear, such as `x3.7`.
        out: a folder, or for a single picture a file with a suffix that can be written.
        recursive: look into the folders' sub-folders.
        format_name: format of the results, one of `FORMATS`; PNG if it is None and `out` is no file.
        quality: 1 to 100, of JPEG and WebP.

    Raises:
        CasarbiError: if `out` is a file and there are several pictures, its suffix names no format or another than
            `format_name`, or the format has no quality.
    """
    work = Worklist()
    # OUT is a file if it looks like a picture and is no folder of that name.
    as_file = out if out and out.suffix.lower() in PICTURE_SUFFIXES and not out.is_dir() else None
    suffix = result_suffix(as_file, format_name, quality)
    found = _find(photos, label, out, recursive, work)
    if as_file and len(found) + len(work.failed) > 1:
        raise CasarbiError(f"-o {out} names one file, but there are {len(found)} pictures: name a folder.")
    pairs = [(picture.source, as_file) for picture in found] if as_file else list(_settle(found, label, suffix))
    # No result may replace an input, under whatever name: links, and disks that fold case, can give one file two names.
    sources = {source.resolve() for source, _ in pairs}
    for source, result in pairs:
        if result.resolve() in sources or (result.exists() and source.exists() and result.samefile(source)):
            work.failed.append((source, f"{result} is an input and is not overwritten: name another file with -o."))
        else:
            work.items.append(Item(source, result))
    return work


def _find(photos: Sequence[Path], label: str, out: Path | None, recursive: bool, work: Worklist) -> list[_Named]:
    """Each picture once, even if it is named twice, or by itself and by its folder."""
    names: dict[Path, dict[str, str]] = {}
    found: dict[str, _Named] = {}
    for photo in photos:
        pictures = _of_folder(photo, label, out, recursive, work) if photo.is_dir() else [_of_file(photo, out, names)]
        for picture in pictures:
            found.setdefault(os.path.abspath(picture.source), picture)
    return list(found.values())


def _of_file(photo: Path, out: Path | None, names: dict[Path, dict[str, str]]) -> _Named:
    """A picture that was named itself; `names` remembers the names of the pictures of each folder."""
    folder = photo.parent
    if folder not in names:
        try:
            listed = list_images(folder).paths
        except CasarbiError:  # reading the picture says what is wrong
            listed = ()
        names[folder] = {path.name: name for path, name in picture_names(listed, folder).items()}
    return _Named(photo, out or folder, names[folder].get(photo.name, photo.stem))


def _of_folder(folder: Path, label: str, out: Path | None, recursive: bool, work: Worklist) -> list[_Named]:
    """The pictures of a folder without the results of earlier runs; what cannot be used is noted in `work`."""
    try:
        listing = list_images(folder, recursive=recursive)
    except CasarbiError as error:
        work.failed.append((folder, str(error)))
        return []
    # A second run on the same folder must not enlarge the results of the first.
    earlier = results_among(listing.paths, folder) | set(_in_out(listing.paths, folder, out))
    work.skipped += len(listing.skipped)
    work.left_out += [path for path in listing.paths if path in earlier]
    if len(earlier) == len(listing.paths):
        reason = f"{folder} holds only results of earlier runs, such as {listing.paths[0].name}: name the pictures."
        work.failed.append((folder, reason))
    root = out or folder.resolve().with_name(result_name(folder.resolve().name, label, ""))
    names = picture_names(listing.paths, folder)
    named = {path: root / names[path] for path in listing.paths if path not in earlier}
    return [_Named(path, place.parent, place.name) for path, place in named.items()]


def _in_out(paths: Sequence[Path], folder: Path, out: Path | None) -> Iterator[Path]:
    """Labelled pictures in `out`, if it lies inside the folder: they are results, even if their pictures are gone."""
    if out is None or not out.is_dir() or not out.resolve().is_relative_to(folder.resolve()) or out.samefile(folder):
        return
    yield from (p for p in paths if p.resolve().is_relative_to(out.resolve()) and split_label(p.stem))


def _settle(named: Sequence[_Named], label: str, suffix: str) -> Iterator[tuple[Path, Path]]:
    """Give every result a file of its own: pictures of several folders that share a name get -2, -3 and so on."""
    taken: set[str] = set()
    for picture in named:
        names = (picture.name, *(f"{picture.name}-{n}" for n in range(2, len(named) + 2)))
        files = (picture.folder / result_name(name, label, suffix) for name in names)
        # File systems that fold case would take A.png and a.png for one file.
        free = next(file for file in files if str(file).casefold() not in taken)
        taken.add(str(free).casefold())
        yield picture.source, free
