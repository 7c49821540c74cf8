"""Outputs of methods as pictures: made once, by all workers, and kept in the store.

A picture's name is a hash of whatever decides its pixels, so that one that is there is the one that would be made:

    pictures/<hash>-1.png … <hash>-N.png    the images on the way to a size, as `SRModel.stages` gives them

Most methods have one. The first is written last, so that if it is there, all are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.job import Bench
from benchmarks.making import sentence
from benchmarks.runner import deal
from benchmarks.store import Store
from benchmarks.store.rows import hash_json
from casarbi.data.protocol import Pair
from casarbi.errors import CasarbiError
from casarbi.pictures.inspection import check_batch, look
from casarbi.pictures.pixels import to_uint8
from casarbi.pictures.reading import read_image
from casarbi.pictures.writing import write_image
from casarbi.sr import image_seed

VERSION = 1
"""Raised when a change of this code makes other pixels of the same model."""


@dataclass(frozen=True)
class Output:
    """One output of a method.

    Attributes:
        method: model reference.
        image: image id.
        scale: the scale.
        seed: of the run, as in a table.
        stages: whether the images on the way are kept too.
    """

    method: str
    image: str
    scale: float
    seed: int = 0
    stages: bool = False

    def path(self, bench: Bench, store: Store, stage: int = 1) -> Path:
        """File of one of its stages, counted from 1."""
        key = replace(bench.key(self.method, self.scale), seed=self.seed)
        name = hash_json([key.plain, bench.digests[self.image], self.stages, VERSION])[:20]
        return store.folder / "pictures" / f"{name}-{stage}.png"

    def read(self, bench: Bench, store: Store) -> list[np.ndarray] | None:
        """Its stages, each uint8 (H, W, 3), or None if it is not there whole."""
        found: list[np.ndarray] = []
        while (path := self.path(bench, store, len(found) + 1)).exists():
            try:
                found.append(as_levels(read_image(path)))
            except CasarbiError:  # damaged: it is made again
                path.unlink()
                return None
        return found or None


def missing(bench: Bench, store: Store, outputs: Sequence[Output]) -> list[Output]:
    """Those of some outputs that have to be made; what a model that does not open should make is left out."""
    return [one for one in outputs if bench.model(one.method) and not one.path(bench, store).exists()]


def make(
    benches: Sequence[Bench],
    store: Store,
    wanted: Sequence[Sequence[Output]],
    workers: int,
    progress: Callable[[int], None],
) -> dict[Output, str]:
    """Make outputs of each job; returns the reason for each that could not be made.

    A run that is stopped loses the outputs in hand; the next one goes on with the others.
    """
    work = [(place, output) for place, outputs in enumerate(wanted) for output in outputs]
    if work:
        store.prepare()
    failed = {}
    for output, reason in deal(benches, store, work, make_one, workers):
        progress(1)
        if reason:
            failed[output] = reason
    return failed


@torch.inference_mode()
def make_one(bench: Bench, store: Store, output: Output, header: Mapping[str, Any]) -> tuple[Output, str]:
    """Make one output and keep it; returns it with the reason why it could not be made, or "".

    Raises:
        CasarbiError: if the store's disk refuses: every other output would fail, too.
    """
    try:
        stages = _run(bench, output)
    except Exception as error:  # a plug-in may raise anything: this picture fails, the others go on
        return output, sentence(error)
    for place in reversed(range(len(stages))):
        write_image(output.path(bench, store, place + 1), stages[place])
    return output, ""


@lru_cache(maxsize=8)  # many outputs are of one picture, which may take as long to read as an output to make
def _pair(bench: Bench, image: str, scale: float) -> Pair:
    return bench.job.protocol.pairs(bench.dataset, image, [scale])[0]


def _run(bench: Bench, output: Output) -> list[torch.Tensor]:
    """Stages as (3, H, W) in [0, 1]; the last has the size of the GT."""
    model = bench.model(output.method)
    if model is None:
        raise CasarbiError(bench.failed[output.method])
    pair = _pair(bench, output.image, output.scale)
    lr, seeds = pair.lr[None].to(bench.job.device), [image_seed(output.image, output.seed)]
    bound = model.bind([output.image])
    made = bound.stages(lr, pair.size, seeds) if output.stages else [bound.upscale(lr, pair.size, seeds)]
    look(check_batch(made[-1], 1, pair.size)[0], pair.lr, pair.gt)  # refuses what is no picture
    return [images[0].cpu().clamp(0, 1) for images in made]


def as_levels(image: torch.Tensor) -> np.ndarray:
    """An image (3, H, W) in [0, 1] as uint8 (H, W, 3)."""
    return to_uint8(image.cpu()).permute(1, 2, 0).numpy()
