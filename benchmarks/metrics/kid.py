"""Kernel distance between two sets of feature vectors: unbiased squared MMD (Bińkowski et al. 2018)."""

from __future__ import annotations

import math

import numpy as np

from casarbi.errors import CasarbiError

_BLOCK = 1024


def kernel_distance(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Unbiased squared MMD with the kernel (u·v / D + 1)³, over all pairs, and its standard error.

    The estimator over all images, not a mean over random subsets: it has the same expectation, less variance and needs
    no seed. The standard error is that of the two-sample jackknife.

    Args:
        x: (N, D), any float type.
        y: (M, D).

    Returns:
        Value and standard error; the value may be slightly negative (GaParmar/clean-fid#36). NaN if a feature is not
        finite.

    Raises:
        CasarbiError: if a set has fewer than three vectors or the dimensions differ.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 3:
        raise CasarbiError(
            f"A kernel distance needs two sets of at least three vectors of one length, found {x.shape} and {y.shape}."
        )
    x, y = x.astype(np.float64), y.astype(np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return math.nan, math.nan
    # Row sums of the three kernel matrices; a vector's kernel with itself belongs to no unbiased mean.
    xx, yy, xy, yx = _kernel_sums(x, x), _kernel_sums(y, y), _kernel_sums(x, y), _kernel_sums(y, x)
    xx, yy = xx - _kernel_diagonal(x), yy - _kernel_diagonal(y)
    n, m, cross = len(x), len(y), xy.sum()
    within_x, within_y = xx.sum() / (n * (n - 1)), yy.sum() / (m * (m - 1))
    value = within_x + within_y - 2 * cross / (n * m)
    # Jackknife: the value without each vector in turn, of either set; from the sums alone, so in linear time.
    without_x = (xx.sum() - 2 * xx) / ((n - 1) * (n - 2)) + within_y - 2 * (cross - xy) / ((n - 1) * m)
    without_y = within_x + (yy.sum() - 2 * yy) / ((m - 1) * (m - 2)) - 2 * (cross - yx) / (n * (m - 1))
    variance = (n - 1) * without_x.var() + (m - 1) * without_y.var()
    return float(value), math.sqrt(variance)


def _kernel_sums(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sum of the kernel between each x and all y: (N,), in blocks, so that no N x M matrix is held."""
    blocks = (x[i : i + _BLOCK] @ y.T for i in range(0, len(x), _BLOCK))
    return np.concatenate([((block / x.shape[1] + 1) ** 3).sum(1) for block in blocks])


def _kernel_diagonal(x: np.ndarray) -> np.ndarray:
    return (np.einsum("nd,nd->n", x, x) / x.shape[1] + 1) ** 3
