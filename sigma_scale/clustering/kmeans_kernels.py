"""Compiled loops of k-means: the nearest centre of each row, and sums by label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["nearest_centres", "sum_by_label"]

_BLOCK = 128


@njit(nogil=True, cache=True)
def nearest_centres(
    rows: NDArray[np.float64],
    centres: NDArray[np.float64],
    labels: NDArray[np.int32],
    squares: NDArray[np.float64],
) -> None:
    """
    Find the nearest centre of each row.

    Parameters
    ----------
    rows : array, shape (n, d), float64
    centres : array, shape (m, d), float64
    labels : array, shape (n,), int32
        Written: the centre; the first of equally near ones.
    squares : array, shape (n,), float64
        Written: the square of the distance.
    """
    n_features = rows.shape[1]
    block = np.empty((n_features, _BLOCK))
    square = np.empty(_BLOCK)
    least = np.empty(_BLOCK)
    best = np.empty(_BLOCK)
    for start in range(0, len(rows), _BLOCK):
        count = min(_BLOCK, len(rows) - start)
        for column in range(n_features):
            for b in range(_BLOCK):
                block[column, b] = rows[start + min(b, count - 1), column]
        least[:] = np.inf
        best[:] = 0.0
        for k in range(len(centres)):
            square[:] = 0.0
            for column in range(n_features):
                values, centre = block[column], centres[k, column]
                for b in range(_BLOCK):
                    deviation = values[b] - centre
                    square[b] += deviation * deviation
            for b in range(_BLOCK):
                nearer = square[b] < least[b]
                best[b] = k if nearer else best[b]
                least[b] = square[b] if nearer else least[b]
        for b in range(count):
            labels[start + b] = int(best[b])
            squares[start + b] = least[b]


@njit(nogil=True, cache=True)
def sum_by_label(
    rows: NDArray[np.float64],
    labels: NDArray[np.int32],
    row_weights: NDArray[np.float64],
    shifts: NDArray[np.float64],
    weights: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
) -> None:
    """
    Sum the moments of the rows of each label.

    Parameters
    ----------
    rows : array, shape (n, d), float64
    labels : array, shape (n,), int32
    row_weights : array, shape (n,), float64
        How much each row counts.
    shifts : array, shape (m, d), float64
        Origin of the moments of each label.
    weights : array, shape (m,), float64
        The sum of the weights is added to it.
    first : array, shape (m, d), float64
        The weighted sum of x - shift is added to it.
    second : array, shape (m, d, d), float64, or (0, d, d)
        The weighted sum of (x - shift) (x - shift)^T is added to its upper triangle; not if
        it is empty.
    """
    n_features = rows.shape[1]
    with_second = len(second) > 0
    for row in range(len(rows)):
        k, weight = labels[row], row_weights[row]
        weights[k] += weight
        for i in range(n_features):
            share = weight * (rows[row, i] - shifts[k, i])
            first[k, i] += share
            if with_second:
                for j in range(i, n_features):
                    second[k, i, j] += share * (rows[row, j] - shifts[k, j])
