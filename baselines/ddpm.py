"""The tables of a noise schedule that published diffusion code stores beside its weights, made from the betas."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

LONGEST_SCHEDULE = 100_000
"""Far beyond any in use; a file that asks for more is damaged, and would be obeyed for minutes."""


def ddpm_tables(betas: np.ndarray) -> dict[str, Tensor]:
    """Make the twelve tables of Ho et al. (NeurIPS 2020) under the names that IDM's and Kim's code have in common.

    Args:
        betas: beta_t, (T,) float64.

    Returns:
        Tables (T,) by name in the published order: made in float64, stored as float32.
    """
    abar = np.cumprod(1 - betas)
    before = np.append(1.0, abar[:-1])
    variance = betas * (1 - before) / (1 - abar)
    arrays = {
        "betas": betas,
        "alphas_cumprod": abar,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": np.sqrt(abar),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - abar),
        "log_one_minus_alphas_cumprod": np.log(1 - abar),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / abar),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / abar - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.maximum(variance, 1e-20)),
        "posterior_mean_coef1": betas * np.sqrt(before) / (1 - abar),
        "posterior_mean_coef2": (1 - before) * np.sqrt(1 - betas) / (1 - abar),
    }
    return {name: torch.from_numpy(array).float() for name, array in arrays.items()}


TABLES = tuple(ddpm_tables(np.array([0.5])))
"""Their names, in the published order."""


def differing(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """Names of the stored tables that are not as wanted, but for the rounding of their precision, which may be half."""
    return [name for name, table in found.items() if not _is_nearly(table, wanted[name])]


def _is_nearly(found: Tensor, wanted: Tensor) -> bool:
    if found.shape != wanted.shape or not found.is_floating_point():
        return False
    tolerance = max(1e-4, 2 * torch.finfo(found.dtype).eps)
    return torch.allclose(found.float(), wanted.to(found.dtype).float(), rtol=tolerance, atol=1e-7)
