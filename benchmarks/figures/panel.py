"""A panel of a figure of pictures, opened: which images, which methods, and what the store holds of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from benchmarks.experiments import MethodSpec, PanelSpec
from benchmarks.figures.declaration import PanelTable, PictureFigure
from benchmarks.figures.pictures import Output, as_levels
from benchmarks.job import Bench
from benchmarks.store import Store
from casarbi.data.protocol import Pair
from casarbi.errors import CasarbiError
from reports.figure import Picture, Table


@dataclass(frozen=True)
class OpenPanel:
    """A panel with its opened job.

    Attributes:
        figure: the figure that it is of.
        declared, spec: its declaration, and the same as a table has it.
        bench: its opened job.
        store: where its pictures are.
        pairs: LR and GT by image and scale, made when they are first asked for.
    """

    figure: PictureFigure
    declared: PanelTable
    spec: PanelSpec
    bench: Bench
    store: Store
    pairs: dict[tuple[str, float], Pair] = field(default_factory=dict)

    @property
    def scales(self) -> Sequence[float]:
        """Scales of the figure."""
        return self.figure.experiment.scales

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Ids of the pictures that are declared.

        Raises:
            CasarbiError: if the data set is shorter.
        """
        ids = self.bench.dataset.ids
        if max(self.declared.pictures) >= len(ids):
            raise CasarbiError(
                f"{self.figure.experiment.name} shows picture {max(self.declared.pictures)} of {self.bench.job.data}, "
                f"which has {len(ids)}, counted from 0."
            )
        return tuple(ids[place] for place in self.declared.pictures)

    @cached_property
    def methods(self) -> list[MethodSpec]:
        """Methods whose models open, in the declared order."""
        return [method for method in self.spec.methods if method.model and self.bench.model(method.model)]

    def pair(self, image: str, scale: float) -> Pair:
        """LR and GT of an image at a scale of the figure."""
        if (image, scale) not in self.pairs:
            pairs = self.bench.job.protocol.pairs(self.bench.dataset, image, self.scales)
            self.pairs.update({(image, pair.scale): pair for pair in pairs})
        return self.pairs[image, scale]

    def lr(self, image: str, scale: float) -> np.ndarray:
        """The LR as uint8 (h, w, 3)."""
        return as_levels(self.pair(image, scale).lr)

    def gt(self, image: str, scale: float) -> np.ndarray:
        """The GT as uint8 (H, W, 3)."""
        return as_levels(self.pair(image, scale).gt)

    def read(self, output: Output) -> list[np.ndarray] | None:
        """The stages of an output, or None if it is not made."""
        return output.read(self.bench, self.store)


@dataclass(frozen=True)
class Drawing:
    """What is drawn of a panel.

    Attributes:
        pictures: in order.
        tables: under them.
        facts: how it was drawn, as (label, text).
    """

    pictures: Sequence[Picture]
    tables: Sequence[Table] = ()
    facts: Sequence[tuple[str, str]] = ()
