"""What the chains of every diffusion model share: the noise of a batch, the steps that are visited, one signature.

A sampler is a plain function `sampler(x, predict, steps, noise) -> result`:

- x: the noisiest state (B, C, H, W);
- predict(x, step): what the network says of a state, such as its noise or its clean image, of the same shape;
- steps: the chain, its noisiest step first, planned beforehand;
- noise(): standard normal values shaped as x, called whenever the chain draws, in the order of its steps.

What one sampler needs beside these are keywords of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from casarbi.errors import CasarbiError
from casarbi.sr import image_seed

MOST_THREADS = 8
"""Threads that draw noise for a device other than the CPU."""

Noise = Callable[[], Tensor]
"""Makes standard normal values of a shape that was fixed before, new ones at every call."""


def image_noise(name: str, seeds: Sequence[int], shape: Sequence[int], device: torch.device | str = "cpu") -> Noise:
    """Noise of a batch in which each image has a generator of its own, so that no image depends on its neighbours.

    Values are drawn on the CPU, which makes them the same for every device; for another device they are drawn ahead,
    while it computes.

    Args:
        name: of the chain: chains of other names draw other values from the same seed.
        seeds: one per image.
        shape: of one image's values, (C, H, W).
        device: where the values are taken.
    """
    device, shape = torch.device(device), tuple(shape)
    generators = [torch.Generator().manual_seed(image_seed(name, seed)) for seed in seeds]
    if device.type != "cpu":
        return DrawnAhead(generators, shape, device)
    return lambda: torch.stack([torch.randn(shape, generator=each) for each in generators])


class DrawnAhead:
    """Noise for a device whose next values threads draw while it computes: drawing takes as long as a small network."""

    def __init__(self, generators: Sequence[torch.Generator], shape: tuple[int, ...], device: torch.device) -> None:
        self._generators, self._shape, self._device = generators, shape, device
        self._pool = ThreadPoolExecutor(min(MOST_THREADS, len(generators)))
        self._next = self._begin()

    def __call__(self) -> Tensor:
        """The values that were drawn ahead, (B, *shape) on the device; the next ones are begun."""
        values = torch.stack(list(self._next))
        self._next = self._begin()
        # Only a copy from pinned memory goes on beside other work.
        return (values.pin_memory() if self._device.type == "cuda" else values).to(self._device, non_blocking=True)

    def _begin(self) -> Iterator[Tensor]:
        # Each image's generator draws once at a time, in the order of the calls.
        return self._pool.map(lambda each: torch.randn(self._shape, generator=each), self._generators)


def spaced_steps(total: int, steps: int) -> list[int]:
    """Choose `steps` of the steps `total`, …, 1, evenly spaced and beginning with `total`.

    Example:
        >>> spaced_steps(15, 4)
        [15, 12, 8, 4]

    Raises:
        CasarbiError: if there are not so many.
    """
    if not 1 <= steps <= total:
        raise CasarbiError(f"steps={steps} must be from 1 to the {total} that the network was trained with.")
    # Rounded up, so that the first one is always `total`.
    return [-(-total * i // steps) for i in range(steps, 0, -1)]
