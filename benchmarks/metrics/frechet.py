"""Fréchet distance between two sets of feature vectors (Heusel et al. 2017, eq. 6), from the vectors themselves."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from casarbi.errors import CasarbiError


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Fréchet distance between the Gaussians fitted to two sets: |m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½).

    With A, B the centred sets over the root of their degrees of freedom, so that S1 = AᵀA and S2 = BᵀB, the trace of
    the root is the sum of the singular values of ABᵀ: real by construction, where a matrix square root turns complex
    (mseitzer/pytorch-fid#13, #100). No set of fewer vectors than dimensions needs special care.

    Args:
        x: (N, D), any float type.
        y: (M, D).

    Returns:
        The distance in float64; NaN where a feature is not finite. A negative result within rounding of zero is 0.0, a
        larger one stays to be seen.

    Raises:
        CasarbiError: where a set has fewer than two vectors or the dimensions differ.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise CasarbiError(
            f"A Fréchet distance needs two sets of at least two vectors of one length, found {x.shape} and {y.shape}."
        )
    a, b = (torch.from_numpy(np.asarray(features, dtype=np.float64)) for features in (x, y))
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = ((v - mean) / math.sqrt(len(v) - 1) for v, mean in ((a, mean_a), (b, mean_b)))
    if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        return math.nan
    spread = float(a.square().sum() + b.square().sum())
    distance = float((mean_a - mean_b).square().sum()) + spread - 2 * _root_trace(a, b)
    return 0.0 if -1e-6 * spread <= distance < 0 else distance


def _root_trace(a: Tensor, b: Tensor) -> float:
    """Trace of the root of (AᵀA)(BᵀB) for (N, D) and (M, D)."""
    if min(len(a), len(b)) <= a.shape[1]:
        return float(torch.linalg.svdvals(a @ b.T).sum())
    # The D x D form: eigenvalues of L (BᵀB) Lᵀ with LᵀL = AᵀA are the squares of these singular values.
    factor = _factor(a)
    eigenvalues = torch.linalg.eigvalsh(factor @ (b.T @ b) @ factor.T)
    return float(eigenvalues.clamp_min(0).sqrt().sum())


def _factor(a: Tensor) -> Tensor:
    """L of D x D with LᵀL = AᵀA."""
    lower, failed = torch.linalg.cholesky_ex(a.T @ a)
    return torch.linalg.qr(a, mode="r").R if failed else lower.T
