"""Gaussian mixtures row by row, without an array of rows by components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["most_likely"]


@njit(nogil=True, cache=True)
def most_likely(
    rows: NDArray[np.float64],
    means: NDArray[np.float64],
    precisions_cholesky: NDArray[np.float64],
    log_weights: NDArray[np.float64],
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    log_likelihoods: NDArray[np.float64],
) -> None:
    """
    Find the most likely component of each row, its probability, and the row's log-likelihood.

    With ``P = C @ C.T`` the precision of a component, the logarithm of its weighted density is
    ``log_weight - |(x - mean) @ C|**2 / 2``; ``log_weight`` holds what does not depend on x.

    Parameters
    ----------
    rows : array, shape (n, d), float64
    means : array, shape (m, d), float64
    precisions_cholesky : array, shape (m, d, d), float64
        Upper triangular factors C.
    log_weights : array, shape (m,), float64
        log(weight) + log(det C) - d / 2 log(2 pi).
    labels : array, shape (n,), int32
        Written: the component; the first of equally likely ones.
    probabilities : array, shape (n,), float32
        Written: its probability.
    log_likelihoods : array, shape (n,), float64
        Written: logarithm of the mixture's density.
    """
    n_rows, n_features = rows.shape
    n_components = means.shape[0]
    density = np.empty(n_components)
    for row in range(n_rows):
        best = 0
        for component in range(n_components):
            squares = 0.0
            for column in range(n_features):
                projected = 0.0
                for k in range(column + 1):
                    deviation = rows[row, k] - means[component, k]
                    projected += deviation * precisions_cholesky[component, k, column]
                squares += projected * projected
            density[component] = log_weights[component] - 0.5 * squares
            if density[component] > density[best]:
                best = component
        total = 0.0
        for component in range(n_components):
            total += np.exp(density[component] - density[best])
        labels[row] = best
        probabilities[row] = 1.0 / total
        log_likelihoods[row] = density[best] + np.log(total)
