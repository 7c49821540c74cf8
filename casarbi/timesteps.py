"""Which steps of a diffusion process a sampler visits."""

from __future__ import annotations

from casarbi.errors import CasarbiError


def spaced_steps(total: int, steps: int) -> list[int]:
    """So many of the steps `total` … 1, evenly spaced from the first on.

    Raises:
        CasarbiError: where there are not so many.
    """
    if not 1 <= steps <= total:
        raise CasarbiError(f"steps={steps} must be from 1 to the {total} that the network was trained with.")
    return [-(-total * i // steps) for i in range(steps, 0, -1)]
