"""How many images go through a network at once: as many as fit into a GPU's memory, fewer if that was too many."""

from __future__ import annotations

from collections.abc import Callable

import torch

from casarbi.devices import free_bytes

SAFETY = 2
"""What a method says of its memory is right within this factor."""


def images_that_fit(device: torch.device, bytes_per_image: int | None) -> int:
    """Images that one call of a network may get.

    On a CPU it is 1: convolutions and matrix products choose the order of their sums by the shape of the batch, so the
    last bits of an image would depend on how many others are beside it, and more at once are no faster. Any other
    device rounds anyway, and needs many to be busy.
    """
    free = free_bytes(device)
    return max(1, free // (SAFETY * bytes_per_image)) if free and bytes_per_image else 1


def in_parts(total: int, count: int, work: Callable[[slice], None]) -> None:
    """Do work on `total` images, `count` at a time; a part that does not fit into memory is tried again by halves.

    Raises:
        torch.OutOfMemoryError: if one image alone does not fit.
    """
    done = 0
    while done < total:
        part = slice(done, min(done + count, total))
        try:
            work(part)
        except torch.OutOfMemoryError:
            if count == 1:
                raise
            count = min(count, total - done) // 2
        else:
            done = part.stop
