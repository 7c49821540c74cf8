"""Fréchet distance between two sets of feature vectors (Heusel et al. 2017, eq. 6)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from casarbi.errors import CasarbiError


class Moments(NamedTuple):
    """Mean (D,) and unbiased covariance (D, D) of feature vectors, float64."""

    mean: np.ndarray
    covariance: np.ndarray


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Fréchet distance between the Gaussians fitted to two sets: |m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½).

    Sets of no more vectors than dimensions, whose covariances are singular, need no special care: with A and B the
    centred sets over the roots of their degrees of freedom, S1 = AᵀA and S2 = BᵀB, the trace of the root is the sum of
    the singular values of ABᵀ, real by construction. A matrix square root of such a product turns
    complex (mseitzer/pytorch-fid#13, #100) or wrong without an error.

    Args:
        x: (N, D), any float type.
        y: (M, D).

    Returns:
        The distance in float64; NaN if a feature is not finite. A negative result within rounding of zero is 0.0, a
        larger one is returned as it is.

    Raises:
        CasarbiError: if a set has fewer than two vectors or the dimensions differ.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise CasarbiError(
            f"A Fréchet distance needs two sets of at least two vectors of one length, found {x.shape} and {y.shape}."
        )
    if min(len(x), len(y)) > x.shape[1]:
        return moments_distance(feature_moments(x), feature_moments(y))
    (mean_x, a), (mean_y, b) = _centred(x), _centred(y)
    spread = float(np.sum(a * a) + np.sum(b * b))
    return _distance(mean_x, mean_y, spread, _singular_sum(a @ b.T))


def feature_moments(x: np.ndarray) -> Moments:
    """Mean and covariance of (N, D) feature vectors."""
    mean, a = _centred(x)
    return Moments(mean, a.T @ a)  # NumPy sees the transpose and computes one triangle


def moments_distance(first: Moments, second: Moments) -> float:
    """Fréchet distance from means and covariances; see `frechet_distance`.

    The eigenvalues of S1 S2 are those of the symmetric LᵀS2L, L being the Cholesky factor of S1: the symmetric form
    that mseitzer/pytorch-fid#117 proposes, with a factor that costs less than the root of S1.
    """
    spread = float(np.trace(first.covariance) + np.trace(second.covariance))
    if not (math.isfinite(spread) and np.isfinite(first.mean).all() and np.isfinite(second.mean).all()):
        return math.nan
    return _distance(first.mean, second.mean, spread, _root_trace(first.covariance, second.covariance))


def _centred(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and A with AᵀA the covariance."""
    a = x.astype(np.float64)
    mean = a.mean(0)
    a -= mean
    a /= math.sqrt(len(x) - 1)
    return mean, a


def _distance(mean_x: np.ndarray, mean_y: np.ndarray, spread: float, root_trace: float) -> float:
    distance = float(np.sum((mean_x - mean_y) ** 2)) + spread - 2 * root_trace
    return 0.0 if -1e-6 * spread <= distance < 0 else distance


def _root_trace(s1: np.ndarray, s2: np.ndarray) -> float:
    """Trace of (S1 S2)^½ of two covariances."""
    lower, failed = torch.linalg.cholesky_ex(torch.from_numpy(s1))
    if failed:  # singular: dead features, repeated images
        return _singular_sum(_root_factor(s1) @ _root_factor(s2).T)
    from scipy.linalg.lapack import dsygst  # takes 0.1 s to import, which only large sets need

    # LAPACK's own half-cost product, on one triangle; transposed views because it counts columns first.
    product, _ = dsygst(s2.T, lower.numpy().T, itype=2, lower=0)
    eigenvalues = torch.linalg.eigvalsh(torch.from_numpy(product.T), UPLO="L")
    return float(eigenvalues.clamp_min(0).sqrt().sum())


def _root_factor(s: np.ndarray) -> np.ndarray:
    """F with FᵀF = S for a covariance that need not be definite."""
    eigenvalues, vectors = torch.linalg.eigh(torch.from_numpy(s))
    return (vectors * eigenvalues.clamp_min(0).sqrt()).T.numpy()


def _singular_sum(matrix: np.ndarray) -> float:
    """Sum of singular values; NaN if an entry is not finite."""
    # By NumPy, as the product before: the threads of its library and those of PyTorch's would wait for each other.
    return float(np.linalg.svd(matrix, compute_uv=False).sum()) if np.isfinite(matrix).all() else math.nan
