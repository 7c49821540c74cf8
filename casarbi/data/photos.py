"""`photos`: real colour photographs that need no download, from packages this project depends on anyway.

All colour photographs in the wheels of scikit-image, scikit-learn and Matplotlib were looked at; drawings, charts,
textures in grey, and the second view of the motorcycle (the same scene twice) were left out. The shortest side is
300 px, so a protocol can crop 288 px from every one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from casarbi.data.base import measured_by
from casarbi.data.files import FileDataset, first
from casarbi.errors import CasarbiError
from casarbi.scales import Size
from casarbi.weights.hashing import sha256_file

MIN_SIDE = 300
"""Shortest side of all photographs in pixels."""


@dataclass(frozen=True)
class Photo:
    """A photograph in an installed package.

    Attributes:
        id: image id.
        package: import name.
        file: path inside the package.
        size: (height, width).
        sha256: of the file in the version it was looked at.
        subject: what it shows.
        licence: as the package states it.
    """

    id: str
    package: str
    file: str
    size: Size
    sha256: str
    subject: str
    licence: str


PHOTOS = (
    Photo(
        "matplotlib-hopper",
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        (600, 512),
        "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
        "portrait of Grace Hopper in uniform",
        "not stated",
    ),
    Photo(
        "skimage-astronaut",
        "skimage",
        "data/astronaut.png",
        (512, 512),
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "portrait of Eileen Collins in a space suit",
        "public domain (NASA)",
    ),
    Photo(
        "skimage-chelsea",
        "skimage",
        "data/chelsea.png",
        (300, 451),
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "face of a cat",
        "CC0 (Stefan van der Walt)",
    ),
    Photo(
        "skimage-coffee",
        "skimage",
        "data/coffee.png",
        (400, 600),
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "cup of espresso on a wooden table",
        "CC0 (Rachel Michetti)",
    ),
    Photo(
        "skimage-hubble",
        "skimage",
        "data/hubble_deep_field.jpg",
        (872, 1000),
        "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
        "galaxies: the Hubble eXtreme Deep Field",
        "public domain (NASA)",
    ),
    Photo(
        "skimage-ihc",
        "skimage",
        "data/ihc.png",
        (512, 512),
        "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
        "micrograph of stained glands",
        "no known restrictions (Center for Microscopy and Molecular Imaging)",
    ),
    Photo(
        "skimage-motorcycle",
        "skimage",
        "data/motorcycle_left.png",
        (500, 741),
        "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
        "motorcycle in a workshop",
        "not stated (Middlebury stereo benchmark 2014)",
    ),
    Photo(
        "skimage-retina",
        "skimage",
        "data/retina.jpg",
        (1411, 1411),
        "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
        "fundus of an eye",
        "CC0 (Mikael Häggström)",
    ),
    Photo(
        "skimage-rocket",
        "skimage",
        "data/rocket.jpg",
        (427, 640),
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        "rocket on its pad at dusk",
        "public domain (SpaceX)",
    ),
    Photo(
        "sklearn-china",
        "sklearn",
        "datasets/images/china.jpg",
        (427, 640),
        "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        "pagoda above a lake in China",
        "CC BY 2.0 (danielbuechele)",
    ),
    Photo(
        "sklearn-flower",
        "sklearn",
        "datasets/images/flower.jpg",
        (427, 640),
        "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
        "dahlia in bloom",
        "CC BY 2.0 (vultilion)",
    ),
)


@measured_by("photo")
def photos(*, n: int | None = None, min_side: int = 0) -> FileDataset:
    """Find the photographs in the installed packages; one that is missing or other than it was is left out and named.

    Args:
        n: only the first n.
        min_side: only those whose shorter side has so many pixels, for scales whose GT is large.

    Raises:
        CasarbiError: if there is none of that size, or fewer than n.
    """
    # A newer release of a package may change or drop a picture: then the others still make a data set.
    found: dict[str, Path] = {}
    left_out = []
    for photo in PHOTOS:
        path = locate(photo)
        problem = "not installed" if path is None else _problem(photo, path)
        if path is None or problem:
            left_out.append(f"{photo.id} ({problem})")
        else:
            found[photo.id] = path
    if not found:
        raise CasarbiError(
            "None of the photographs of scikit-image, scikit-learn and Matplotlib is here as it was: "
            "install these packages again with pip."
        )
    large = {photo.id for photo in PHOTOS if min(photo.size) >= min_side}
    chosen = {photo: path for photo, path in found.items() if photo in large}
    if not chosen:
        raise CasarbiError(f"No photograph has {min_side} px on its shorter side: ask for less with min_side.")
    files = first(chosen, n, "photos")
    notes = [f"Left out {len(left_out)} of {len(PHOTOS)}: {', '.join(left_out)}."] if left_out else []
    # The photographs lie in three packages; the folder of the first names the memory of their digests.
    root = next(iter(found.values())).parent
    return FileDataset("photos", root, files, notes=notes)


def locate(photo: Photo) -> Path | None:
    """Where a photograph lies, or None; the package itself is not imported."""
    # Importing scikit-learn for the path of two pictures would take a second.
    spec = find_spec(photo.package)
    places = [Path(place) / photo.file for place in (spec.submodule_search_locations or ())] if spec else []
    return next((place for place in places if place.is_file()), None)


def _problem(photo: Photo, path: Path) -> str:
    try:
        return "" if sha256_file(path) == photo.sha256 else "another file than the one listed here"
    except OSError as error:
        return f"unreadable: {error.strerror}"
