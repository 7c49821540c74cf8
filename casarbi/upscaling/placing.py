"""What `casarbi upscale` reads, where each result goes and whether it can: all of it before the first picture."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from casarbi.console import disk_trouble
from casarbi.errors import CasarbiError
from casarbi.pictures.folders import PICTURE_SUFFIXES, list_images
from casarbi.pictures.naming import picture_names, result_name, results_among, split_label
from casarbi.pictures.size import picture_size
from casarbi.pictures.writing import result_suffix
from casarbi.scales import Size
from casarbi.upscaling.target import WantedSize

LARGEST_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
"""Longest side in pixels of the formats that have a limit a picture may meet (libjpeg, libwebp)."""


@dataclass(frozen=True)
class Job:
    """One picture to enlarge.

    Attributes:
        source: the file to read.
        target: the file to write; no input, and no other job's.
        sizes: (height, width) of the picture and of its result, None until surveyed or if the header does not say.
    """

    source: Path
    target: Path
    sizes: tuple[Size, Size] | None = None


@dataclass
class Plan:
    """What will be written where.

    Attributes:
        jobs: what is to be done.
        failed: pictures and arguments for which nothing can be done, with the reason.
        skipped: files in the folders that are no pictures.
        left_out: pictures in the folders that are results of earlier runs.
        kept: results that are there already and stay.
    """

    jobs: list[Job] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    skipped: int = 0
    left_out: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Pictures that were asked for."""
        return len(self.jobs) + len(self.failed) + len(self.kept)


@dataclass(frozen=True)
class _Wish:
    """A picture, the folder for its result, and its name there."""

    source: Path
    folder: Path
    name: str


def plan(
    photos: Sequence[Path],
    label: str,
    out: Path | None,
    *,
    recursive: bool = False,
    format_name: str | None = None,
    quality: int | None = None,
) -> Plan:
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
    result = Plan()
    as_file = out is not None and out.suffix.lower() in PICTURE_SUFFIXES and not out.is_dir()
    suffix = result_suffix(out if as_file else None, format_name, quality)
    names: dict[Path, dict[str, str]] = {}
    wishes: dict[str, _Wish] = {}
    for photo in photos:
        found = _of_folder(photo, label, out, recursive, result) if photo.is_dir() else [_of_file(photo, out, names)]
        for wish in found:  # a file named twice, or by itself and by its folder, is enlarged once
            wishes.setdefault(os.path.abspath(wish.source), wish)
    sources = {wish.source.resolve() for wish in wishes.values()}
    if as_file and out is not None:
        if len(wishes) + len(result.failed) > 1:
            raise CasarbiError(f"-o {out} names one file, but there are {len(wishes)} pictures: name a folder.")
        pairs = [(wish.source, out) for wish in wishes.values()]
    else:
        pairs = list(_settle(list(wishes.values()), label, suffix))
    for source, target in pairs:
        if target.resolve() in sources or (target.exists() and source.exists() and target.samefile(source)):
            result.failed.append((source, f"{target} is an input and is not overwritten: name another file with -o."))
        else:
            result.jobs.append(Job(source, target))
    return result


def _of_file(photo: Path, out: Path | None, names: dict[Path, dict[str, str]]) -> _Wish:
    """A file named by itself; `names` keeps the pictures' names of each folder that was looked at."""
    folder = photo.parent
    if folder not in names:
        try:
            listed = list_images(folder).paths
        except CasarbiError:  # reading the picture says what is wrong
            listed = ()
        names[folder] = {path.name: name for path, name in picture_names(listed, folder).items()}
    return _Wish(photo, out or folder, names[folder].get(photo.name, photo.stem))


def _of_folder(folder: Path, label: str, out: Path | None, recursive: bool, result: Plan) -> list[_Wish]:
    """The pictures of a folder without the results of earlier runs; what cannot be used is noted in `result`."""
    try:
        listing = list_images(folder, recursive=recursive)
    except CasarbiError as error:
        result.failed.append((folder, str(error)))
        return []
    earlier = results_among(listing.paths, folder) | set(_in_out(listing.paths, folder, out))
    result.skipped += len(listing.skipped)
    result.left_out += [path for path in listing.paths if path in earlier]
    if len(earlier) == len(listing.paths):
        reason = f"{folder} holds only results of earlier runs, such as {listing.paths[0].name}: name the pictures."
        result.failed.append((folder, reason))
    root = out or folder.resolve().with_name(result_name(folder.resolve().name, label, ""))
    names = picture_names(listing.paths, folder)
    wishes = {path: root / names[path] for path in listing.paths if path not in earlier}
    return [_Wish(path, place.parent, place.name) for path, place in wishes.items()]


def _in_out(paths: Sequence[Path], folder: Path, out: Path | None) -> Iterator[Path]:
    """Labelled pictures in a folder for results inside the folder: they are results, even of pictures that are gone."""
    if out is None or not out.is_dir() or not out.resolve().is_relative_to(folder.resolve()) or out.samefile(folder):
        return
    yield from (p for p in paths if p.resolve().is_relative_to(out.resolve()) and split_label(p.stem))


def _settle(wishes: Sequence[_Wish], label: str, suffix: str) -> Iterator[tuple[Path, Path]]:
    """Give every result a file of its own: of pictures from several folders that share a name, -2, -3 … follow it."""
    taken: set[str] = set()
    for wish in wishes:
        names = (wish.name, *(f"{wish.name}-{n}" for n in range(2, len(wishes) + 2)))
        files = (wish.folder / result_name(name, label, suffix) for name in names)
        # File systems that fold case would take A.png and a.png for one file.
        free = next(file for file in files if str(file).casefold() not in taken)
        taken.add(str(free).casefold())
        yield wish.source, free


def check_existing(todo: Plan) -> None:
    """Refuse to replace results that are there.

    Raises:
        CasarbiError: naming one of them and the options that decide.
    """
    there = [job.target for job in todo.jobs if job.target.exists()]
    if len(there) == 1:
        found = f"{there[0]} is"
    elif there:
        found = f"{len(there)} of {todo.total} results are there already, such as {there[0]}, and are"
    else:
        return
    raise CasarbiError(
        f"{found} not replaced: --overwrite replaces {'it' if len(there) == 1 else 'them'}, --keep makes only the "
        "rest, -o names another place."
    )


def survey(todo: Plan, wanted: WantedSize, *, keep: bool) -> None:
    """Look at the headers of all pictures: sizes are noted, and what cannot be made or written is told before any work.

    Args:
        todo: the plan, which is changed: jobs get their sizes, move to `failed`, or to `kept`.
        wanted: how large results shall be.
        keep: whether results that are there stay. They must have the size that is asked for.
    """
    jobs, todo.jobs = todo.jobs, []
    for job in jobs:
        try:
            job = replace(job, sizes=_sizes(job, wanted))
            if keep and job.target.exists():
                _check_kept(job)
                todo.kept.append(job.target)
            else:
                todo.jobs.append(job)
        except CasarbiError as error:
            todo.failed.append((job.source, str(error)))


def _sizes(job: Job, wanted: WantedSize) -> tuple[Size, Size] | None:
    size_in = picture_size(job.source)
    if size_in is None:
        return None
    size = wanted.target(size_in)
    limit = LARGEST_SIDE.get(job.target.suffix.lower())
    if limit and max(size) > limit:
        kind = "WebP" if job.target.suffix.lower() == ".webp" else "JPEG"
        raise CasarbiError(
            f"{job.source} would become {size[1]}x{size[0]} px, but {kind} ends at {limit:,} px per side: write PNG or "
            "TIFF."
        )
    return size_in, size


def _check_kept(job: Job) -> None:
    found = picture_size(job.target)
    if job.sizes is None or found == job.sizes[1]:
        return
    height, width = job.sizes[1]
    state = f"is {found[1]}x{found[0]} px" if found else "is no whole picture"
    raise CasarbiError(
        f"{job.target} {state}, expected {width}x{height} px: it is neither kept nor replaced; delete it, or give "
        "--overwrite."
    )


def probe_places(targets: Sequence[Path]) -> None:
    """Try to write in every folder that results will go to, or in its nearest parent that is there; nothing is left.

    Raises:
        CasarbiError: if a folder refuses.
    """
    for folder in dict.fromkeys(target.parent for target in targets):
        place = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
        try:
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(b"\0")
        except OSError as error:
            reason = disk_trouble(OSError(error.errno, error.strerror, os.fspath(folder)))
            raise CasarbiError(f"Nothing can be written in {reason}: name another folder with -o.") from None
