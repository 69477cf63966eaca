"""Weighted least squares of the columns of a peak fit, and the variances that weigh channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LEAST_VARIANCE", "first_variance", "least_variance", "solve_weighted"]

LEAST_VARIANCE = 0.1
"""Of a channel, so that empty ones don't get an infinite weight."""


def first_variance(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Guess the variance of counts by smoothing them."""
    from scipy.ndimage import uniform_filter1d

    # Weights from single small counts would pull the fit down.
    smooth = uniform_filter1d(counts, 9, mode="nearest")
    return np.asarray(np.maximum(smooth, LEAST_VARIANCE))


def least_variance(variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance with at least that of the best channel: one that never counted is no exact zero."""
    positive = variance[variance > 0]
    return np.maximum(variance, float(positive.min()) if positive.size else 1.0)


def solve_weighted(
    columns: NDArray[np.float64],
    counts: NDArray[np.float64],
    spread: NDArray[np.float64],
    *,
    non_negative: bool,
) -> NDArray[np.float64]:
    """Weighted least squares, on columns of length 1."""
    from scipy.optimize import nnls

    root = 1.0 / np.sqrt(spread)
    weighted = columns * root[:, None]
    length = np.linalg.norm(weighted, axis=0)
    weighted /= length
    target = counts * root
    if non_negative:
        amounts, _ = nnls(weighted, target)
    else:
        # Columns of length 1 keep the normal equations good-natured, and they are the quicker.
        amounts = np.linalg.pinv(weighted.T @ weighted, hermitian=True) @ (weighted.T @ target)
    return np.asarray(amounts / length)
