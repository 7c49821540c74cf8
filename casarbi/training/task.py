"""What can be trained: a task brings the network, what an item is, the loss, the validation and the file format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from casarbi.checkpoints import load_strict, read_state
from casarbi.errors import CasarbiError
from casarbi.plain import quote
from casarbi.references import TASKS, Reference

Network = TypeVar("Network", bound=nn.Module)

Batch = dict[str, Tensor]
"""What a step trains on, by name; first axis: items."""


class Recipe(ABC):
    """Makes training items from HR pictures, in worker processes: keep it small, picklable and off the GPU."""

    def draw(self, rng: np.random.Generator) -> Any:
        """Draw what all items of a batch share, such as a stage or a size; None by default."""
        return None

    @abstractmethod
    def item(self, image: Tensor, shared: Any, rng: np.random.Generator) -> Batch:
        """Make one item, without a batch axis; all randomness comes from `rng`.

        Args:
            image: uint8 (3, H, W), as cached.
            shared: what `draw` returned for this batch.
            rng: the item's own generator.
        """


@dataclass(frozen=True)
class Sheet:
    """Pictures to look at: one row per image, float32 (3, H, W) in [0, 1] of any sizes, one title per column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Tensor, ...], ...]


@dataclass(frozen=True)
class Validation:
    """What a validation found: metrics by name, and pictures."""

    metrics: dict[str, float]
    sheet: Sheet | None = None


class Task(ABC, Generic[Network]):
    """A network with everything the trainer needs to train it.

    Attributes:
        network: trained in place; its parameters that require no gradient are left alone.
        recipe: how items are made.
        settings: the whole configuration as plain JSON; a resumed run must have the same.
        best_metric: name of the metric that decides which weights were best.
        best_is_highest: its direction.
        least_side: pictures with a side below this are left out, as no patch can be cut of them.
    """

    network: Network
    recipe: Recipe
    settings: Mapping[str, Any]
    best_metric: str
    best_is_highest: bool
    least_side: int = 0

    def load(self, path: Path) -> None:
        """Begin from the weights of a file (--init), by default one that holds just the network's tensors.

        Raises:
            CasarbiError: if the file is not wholly of this network.
        """
        load_strict(self.network, read_state(path).tensors, path)

    def begin(self, first_batch: Callable[[], Batch]) -> None:  # noqa: B027
        """Prepare the network for a new run; a resumed run finds it prepared. Does nothing by default.

        Args:
            first_batch: makes the run's first batch, over all processes; on the CPU, as the network is.

        Raises:
            CasarbiError: if something that training begins with was not given.
        """

    @abstractmethod
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of a batch through `self.network`: "loss" is minimised, the others are logged; each a scalar.

        Args:
            batch: on the network's device.
            generator: on that device; all randomness of the step comes from it.
        """

    def costs(self) -> dict[str, str]:
        """What the network costs, as names and texts to print; a task may add to it."""
        return {"parameters": f"{count_parameters(self.network):,}"}

    @abstractmethod
    def validate(self, network: Network, images: Sequence[Tensor]) -> Validation:
        """Measure a network of the same layout, the averaged one, in evaluation mode and without gradients.

        Args:
            network: on the training device.
            images: the validation pictures, uint8 (3, H, W).
        """

    def facts(self) -> dict[str, str]:
        """What the header of a weights file says beside its training; in snapshots it makes them loadable as weights.

        Returns:
            Texts by name, such as the method and its settings; by default none, and snapshots serve --resume alone.
        """
        return {}

    @abstractmethod
    def save(self, path: Path, network: Network, header: Mapping[str, str]) -> None:
        """Write weights that the method's model loads without any other file; `header` and `facts` in its metadata."""


def count_parameters(network: nn.Module) -> int:
    """Trained numbers of a network."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def build_task(name: str, settings: Mapping[str, Any], seed: int) -> Task[Any]:
    """Build the task of a name, or of `module:factory`, from a preset's [settings] table.

    The seed decides the network's first weights.

    Raises:
        CasarbiError: on an unknown name or unknown settings.
    """
    factory, rest = TASKS.factory(Reference.parse(name))
    if rest.options or rest.target is not None:
        raise CasarbiError(f"The training task {quote(name)} takes its settings from the preset's [settings] alone.")
    # The network's first weights are the preset's alone, and nobody's random numbers change for it.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        task = factory(dict(settings))
    if not isinstance(task, Task):
        raise CasarbiError(f"'{name}' built a {type(task).__name__}, expected a casarbi.training.task.Task.")
    return task
