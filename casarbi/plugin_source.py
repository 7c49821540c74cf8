"""The source behind a typed `module:factory`, as a hash: an edited file is another method, whatever it calls itself.

The hash covers all `.py` files of the top-level package (or the single module) of the factory and of the class it
made, and of every module that they import, at any depth. Modules that are installed (in site-packages), Python's own
and ours are left out: files beside a user's module change between two runs, installed ones rarely do, and hashing
PyTorch would take minutes. A changed comment counts, too: measuring once too often harms less than an old number. Data
that the code reads, such as weights, has to be named by its `identity`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from casarbi.references import Reference

MOST_FILES, MOST_BYTES = 2000, 2**26
"""Limits on what is read of one plug-in; of further files only names and sizes are hashed."""

_OURS = {"casarbi", "baselines", "benchmarks", "reports"}
# A pattern, because a file that does not parse here may still be imported by another Python.
_IMPORT = re.compile(rb"^[ \t]*(?:from[ \t]+(\w[\w.]*)[ \t]+import\b|import[ \t]+([\w., \t]+))", re.MULTILINE)


def plugin_source(text: str, registered: Iterable[str], made: object) -> str:
    """SHA-256 of the source behind a reference that reads `module:factory`, or "" if its name is registered.

    Args:
        text: the reference as typed.
        registered: names of its kind that installed packages registered.
        made: what the factory made; its class may be of another module than the factory.
    """
    name = Reference.parse(text).name
    if name in set(registered):
        return ""
    # The module that was typed counts even if it is installed; those of base classes only if they are loose.
    own = {_top(name), _top(type(made).__module__)} - _OURS
    bases = {_top(base.__module__) for base in type(made).__mro__}
    files = _files(own, own | {top for top in bases if _is_loose(top)})
    return _hash(files) if files else ""


def _top(module: str) -> str:
    return module.partition(".")[0]


def _files(own: set[str], tops: set[str]) -> dict[str, Path]:
    """Files by their name below the folder that their package lies in; imported packages come along."""
    files: dict[str, Path] = {}
    todo, seen = sorted(tops), set(tops)
    while todo and len(files) <= MOST_FILES:
        top = todo.pop()
        found = dict(_files_of(top))
        files |= found
        # Imports are followed from the user's own files, and only to other files of theirs.
        if top in own or _is_loose(top):
            imported = {name for path in list(found.values())[:MOST_FILES] for name in _imports(path)}
            new = {name for name in imported - seen if _is_loose(name)}
            todo, seen = sorted({*todo, *new}), seen | imported
    return files


def _files_of(top: str) -> Iterator[tuple[str, Path]]:
    for place in _places(top):
        if place.is_file():
            yield place.name, place
        for folder, subfolders, names in os.walk(place):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith((".", "__pycache__")))
            for name in sorted(name for name in names if name.endswith(".py")):
                path = Path(folder, name)
                yield f"{top}/{path.relative_to(place).as_posix()}", path


@cache
def _places(top: str) -> tuple[Path, ...]:
    """The folders of a top-level package, or the file of a single module; nothing for those without source."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    if spec.submodule_search_locations is not None:
        return tuple(Path(folder).resolve() for folder in spec.submodule_search_locations)
    return (Path(spec.origin).resolve(),) if spec.origin and spec.origin.endswith(".py") else ()


def _is_loose(top: str) -> bool:
    """Whether a module is the user's own source: not ours, not Python's own, not installed."""
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    places = _places(top)
    return (
        bool(places)
        and top not in _OURS
        and not any(
            installed & set(place.parents) or {"site-packages", "dist-packages"} & set(place.parts) for place in places
        )
    )


def _imports(path: Path) -> set[str]:
    """Top-level names of what a file imports, wherever in it."""
    try:
        content = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
    except OSError:
        return set()
    found = [match[1] or match[2] for match in _IMPORT.finditer(content)]
    names = [name.split()[0].decode() for names in found for name in names.split(b",") if name.split()]
    return {_top(name) for name in names}


def _hash(files: dict[str, Path]) -> str:
    total, left = hashlib.sha256(), MOST_BYTES
    for count, (name, path) in enumerate(sorted(files.items())):
        try:
            size = path.stat().st_size
            left -= size
            content = path.read_bytes() if left >= 0 and count < MOST_FILES else b"size %d" % size
        except OSError as error:
            content = f"unreadable: {error.strerror}".encode()
        total.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode(errors="surrogateescape"))
    return total.hexdigest()
