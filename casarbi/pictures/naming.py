"""Names of pictures and of their results: one rule for what `casarbi upscale` writes and `outputs:DIR` finds.

A picture's name is its path in its folder without the suffix, or with it if another picture of the folder would bear
the same name. Its result is called NAME_LABEL.png, where the label says how large it is: x3.7, 640x480, w640 or h480.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from casarbi.scales import Size, scale_label

_SCALE = r"x(?P<after>\d+(?:\.\d+)?)|(?P<before>\d+(?:\.\d+)?)x"
_FOLDER = re.compile(_SCALE, re.IGNORECASE)
# baby_x4, baby-x4, babyx4; baby_4x, baby-4x; baby_640x480, baby_w640, baby_h480.
_SUFFIX = re.compile(
    r"(?<=.)(?:[_ -]?x(?P<after>\d+(?:\.\d+)?)|[_ -](?P<before>\d+(?:\.\d+)?)x"
    r"|_(?P<width>\d+)x(?P<height>\d+)|_w(?P<only_width>\d+)|_h(?P<only_height>\d+))$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Label:
    """What a name says of a result's size: a scale as it was written, or a width, a height or both in pixels."""

    scale: str | None = None
    width: int | None = None
    height: int | None = None

    def fits(self, lr_size: Size, size: Size) -> bool:
        """Whether a result of `size` from an LR image of `lr_size`, both (height, width), may bear this label.

        A scale fits if its product rounds to the size. One that was cut to a few decimals may be off by half of its
        last one: x5.33 fits 16/3, but x5 does not.

        Example:
            >>> Label("4").fits((10, 12), (40, 48)), Label("4").fits((40, 48), (40, 48))
            (True, False)
        """
        if self.scale is None:
            return self.height in (None, size[0]) and self.width in (None, size[1])
        scale, decimals = float(self.scale), len(self.scale.partition(".")[2])
        slack = 0.5 * 10**-decimals if decimals else 0.0
        return all(abs(n * scale - side) <= 0.5 + n * slack for n, side in zip(lr_size, size, strict=True))


def result_name(name: str, label: str, suffix: str = ".png") -> str:
    """File name of a picture's result.

    Example:
        >>> result_name("baby", "x4")
        'baby_x4.png'
    """
    return f"{name}_{label}{suffix}"


def split_label(name: str) -> tuple[str, Label] | None:
    """Take the label off a result's name without its suffix; None if it has none.

    The spellings of other programs are known too: baby_x4, baby-4x, babyx4.

    Example:
        >>> split_label("baby_x5.3"), split_label("baby")
        (('baby', Label(scale='5.3', width=None, height=None)), None)
    """
    found = _SUFFIX.search(name)
    if not found:
        return None
    width, height = found["width"] or found["only_width"], found["height"] or found["only_height"]
    sides = (int(side) if side else None for side in (width, height))
    return name[: found.start()], Label(found["after"] or found["before"], *sides)


def folder_label(name: str) -> Label | None:
    """The scale that a folder of results is named for, such as x5.3; None if it is named for none."""
    found = _FOLDER.fullmatch(name)
    return Label(found["after"] or found["before"]) if found else None


def label_of_scale(scale: float) -> str:
    """Label of a scale factor.

    Example:
        >>> label_of_scale(3.70)
        'x3.7'
    """
    return f"x{scale_label(scale)}"


def picture_names(paths: Sequence[Path], folder: Path) -> dict[Path, str]:
    """Give pictures names: the path in the folder without the suffix, with it if names would be the same otherwise.

    Upper and lower case count as the same, because results are named so and many disks fold case.

    Example:
        >>> paths = [Path("f/a.jpg"), Path("f/A.png"), Path("f/b.TIF")]
        >>> list(picture_names(paths, Path("f")).values())
        ['a.jpg', 'A.png', 'b']
    """
    inside = {path: path.relative_to(folder) for path in paths}
    names = {path: name.with_suffix("").as_posix() for path, name in inside.items()}
    while True:
        # Once more, because `a.png` beside `a.jpg` keeps a suffix that `a.png.tif` loses.
        count = Counter(name.casefold() for name in names.values())
        full = {path: inside[path].as_posix() for path, name in names.items() if count[name.casefold()] > 1}
        if all(names[path] == name for path, name in full.items()):
            return names
        names |= full


def printable_name(name: str) -> str:
    r"""Write a name that is not UTF-8, from an old archive, with \xNN for each stray byte; others stay as they are.

    Then it can be hashed, stored as JSON and written to a UTF-8 file, and is the same on every machine.

    Example:
        >>> print(printable_name("caf\udce9"), printable_name("café"))
        caf\xe9 café
    """
    if name.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in name):
        return name
    return "".join(map(_escaped, name))


def _escaped(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # a byte that os.fsdecode could not decode
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return f"\\u{ord(sign):04x}" if "\ud800" <= sign <= "\udfff" else sign


def results_among(paths: Sequence[Path], folder: Path) -> set[Path]:
    """Which pictures of a folder are results of others in it, by their names.

    A result bears the name of a picture and a label. It lies in the picture's folder, or in a folder of results: one
    inside the whole folder that repeats its tree, or one beside the picture's own folder, named as that with a label.

    Example:
        >>> paths = [Path(f"f/{name}.png") for name in ("a", "a_x2", "b_x2", "big/a_x3.7")]
        >>> sorted(path.name for path in results_among(paths, Path("f")))
        ['a_x2.png', 'a_x3.7.png']
    """
    names = {name.casefold() for name in picture_names(paths, folder).values()}
    found = set()
    for path in paths:
        parts = path.relative_to(folder).with_suffix("").parts
        split = [split_label(part) for part in parts]
        if split[-1] is None:
            continue
        bare = [known[0] if known else part for known, part in zip(split, parts, strict=True)]
        # The picture may have any tail of this path, with the folders' names as they are or without labels.
        tails = [[*parents, bare[-1]] for parents in (parts[:-1], bare[:-1])]
        candidates = (PurePosixPath(*tail[k:]) for tail in tails for k in range(len(tail)))
        if any(str(candidate).casefold() in names for candidate in candidates):
            found.add(path)
    return found
