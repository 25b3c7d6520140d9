"""Correlated numbers between 0 and 1: a Gaussian copula.

z is normal with the correlation matrix R, and u = Φ(z) is uniform in each column; what is drawn at
the u-quantile of each feature keeps the features' rank correlation, whatever their distributions
(Nelsen, An Introduction to Copulas, 2006, 2.3 and 5.1). R follows from Spearman's ρ by
r = 2 sin(π ρ / 6) (Kruskal, Ordinal Measures of Association, 1958), and z = L ε by its Cholesky
factor, R = L Lᵀ.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Below it, an eigenvalue is rounding or comes from nulls: pairs of features were then correlated
# over different rows, and no numbers at all have such correlations.
EIGENVALUE_MIN = 1e-6
# Φ by linear interpolation of math.erf, to 3e-7: numpy has no erf.
_Z = np.linspace(-6.0, 6.0, 4001)
_PHI = np.array([0.5 * (1 + math.erf(z / math.sqrt(2))) for z in _Z.tolist()])


class Copula:
    """Draws rows of numbers whose rank correlations are given."""

    def __init__(self, rank_correlation: Array) -> None:
        """Take Spearman's correlations, a symmetric matrix (features, features)."""
        self._factor = np.linalg.cholesky(_nearest(2 * np.sin(np.pi * rank_correlation / 6)))

    def drawn(self, rows: int, generator: np.random.Generator) -> Array:
        """Return (rows, features) FP64 numbers from 0 to 1, uniform in each column."""
        normal = generator.standard_normal((rows, len(self._factor))) @ self._factor.T
        uniform: Array = np.interp(normal, _Z, _PHI)
        return uniform


def _nearest(matrix: Array) -> Array:
    """Return a correlation matrix near a symmetric one: its negative eigenvalues raised.

    Rebonato and Jäckel, The most general methodology to create a valid correlation matrix, 1999.
    """
    if not len(matrix):
        return matrix
    values, vectors = np.linalg.eigh(matrix)
    raised = (vectors * np.maximum(values, EIGENVALUE_MIN)) @ vectors.T
    size = np.sqrt(np.diag(raised))
    nearest: Array = raised / np.outer(size, size)
    return nearest


def rank_correlation(values: Array) -> Array:
    """Return Spearman's correlations of the columns of (rows, features) FP64 values.

    A pair of features is correlated over the rows where neither is NaN; ties get their mean rank.
    A feature that does not vary is correlated with none.
    """
    known = np.isfinite(values)
    ranks = np.column_stack(
        [_centred_ranks(column, there) for column, there in zip(values.T, known.T, strict=True)]
    )
    squares = (ranks**2).T @ known
    size = np.sqrt(squares * squares.T)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.where(size > 0, (ranks.T @ ranks) / size, 0.0)
    np.fill_diagonal(found, 1.0)
    return np.clip(found, -1.0, 1.0)


def _centred_ranks(column: Array, known: Array) -> Array:
    """The rank of each known value less the mean rank; 0 for the others, which then weigh nothing.

    Known values in the middle are at 0 too, which is what they add to a covariance.
    """
    ranks = np.zeros(len(column))
    if known.any():
        _, place, counts = np.unique(column[known], return_inverse=True, return_counts=True)
        mean_rank = np.cumsum(counts) - (counts - 1) / 2
        ranks[known] = mean_rank[place] - (known.sum() + 1) / 2
    return ranks
