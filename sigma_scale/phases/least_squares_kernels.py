"""
Compiled loops of unmixing by least squares: each pixel's few events against a few end-members.

Spectra come as sparse rows, so that a pixel costs what its counts cost, not its channels. Nothing
is carried from one pixel to the next: the result of a pixel doesn't depend on its neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

__all__ = ["fit_least_squares", "row_divisor", "solve_non_negative"]

_EPSILON = float(np.finfo(np.float64).eps)


@njit(nogil=True, cache=True)
def solve_non_negative(
    gram: NDArray[np.float64],
    products: NDArray[np.float64],
    solution: NDArray[np.float64],
    order: NDArray[np.int64],
    factor: NDArray[np.float64],
    trial: NDArray[np.float64],
) -> bool:
    """
    Minimise ``x' G x / 2 - b' x`` over ``x >= 0``, by Lawson and Hanson's active sets.

    Parameters
    ----------
    gram : array, shape (k, k), float64
        ``G``, symmetric and positive definite, its diagonal of about one size.
    products : array, shape (k,), float64
        ``b``.
    solution : array, shape (k,), float64
        Written.
    order : array, shape (k,), int64
        Room for the numbers of the unknowns that are not zero.
    factor : array, shape (k, k), float64
        Room for their Cholesky factor.
    trial : array, shape (k,), float64
        Room for their values.

    Returns
    -------
    bool
        Whether the conditions of the minimum hold; if not, rounding kept it from going on.
    """
    size = products.shape[0]
    largest = 0.0
    for i in range(size):
        solution[i] = 0.0
        largest = max(largest, abs(products[i]))
    tolerance = 4 * size * _EPSILON * largest
    n_free = 0
    banned = -1
    for _ in range(10 * size + 10):
        # The unknown that lowers the sum fastest; one that rounding threw out at once may not
        # come back before another has moved.
        best, chosen = tolerance, -1
        for i in range(size):
            at_zero = i != banned
            for a in range(n_free):
                at_zero = at_zero and order[a] != i
            if at_zero:
                descent = products[i]
                for a in range(n_free):
                    descent -= gram[i, order[a]] * solution[order[a]]
                if descent > best:
                    best, chosen = descent, i
        if chosen < 0:
            return True
        order[n_free] = chosen
        n_free += 1
        first = n_free - 1
        banned = -1
        while n_free > 0:
            # Rows of the factor before the first that changed are still good.
            for a in range(first, n_free):
                for b in range(a + 1):
                    value = gram[order[a], order[b]]
                    for c in range(b):
                        value -= factor[a, c] * factor[b, c]
                    if a == b:
                        factor[a, a] = np.sqrt(max(value, _EPSILON * gram[order[a], order[a]]))
                    else:
                        factor[a, b] = value / factor[b, b]
            for a in range(n_free):
                value = products[order[a]]
                for c in range(a):
                    value -= factor[a, c] * trial[c]
                trial[a] = value / factor[a, a]
            for a in range(n_free - 1, -1, -1):
                value = trial[a]
                for c in range(a + 1, n_free):
                    value -= factor[c, a] * trial[c]
                trial[a] = value / factor[a, a]
            # As far towards the new values as none turns negative.
            step, blocking = 1.0, -1
            for a in range(n_free):
                if trial[a] <= 0.0:
                    before = solution[order[a]]
                    reach = before / (before - trial[a]) if before > 0.0 else 0.0
                    if blocking < 0 or reach < step:
                        step, blocking = reach, a
            for a in range(n_free):
                i = order[a]
                solution[i] += step * (trial[a] - solution[i])
            if blocking < 0:
                break
            if order[blocking] == chosen and blocking == n_free - 1 and step == 0.0:
                banned = chosen
            solution[order[blocking]] = 0.0
            for a in range(blocking, n_free - 1):
                order[a] = order[a + 1]
            n_free -= 1
            first = blocking
    return False


@njit(nogil=True, cache=True)
def row_divisor(
    counts: NDArray[Any], channels: NDArray[Any], start: int, end: int, total_from: int
) -> float:
    """What a spectrum is divided by: its counts from a channel upward, or 1 if that is negative."""
    if total_from < 0:
        return 1.0
    total = 0.0
    for e in range(start, end):
        if channels[e] >= total_from:
            total += counts[e]
    return total


@njit(nogil=True, cache=True)
def fit_least_squares(
    starts: NDArray[Any],
    channels: NDArray[Any],
    counts: NDArray[Any],
    profiles: NDArray[np.float64],
    sizes: NDArray[np.float64],
    used: NDArray[np.bool_],
    total_from: int,
    amounts: NDArray[np.float32],
    residual: NDArray[np.float32],
) -> int:
    """
    Fit each row of sparse spectra by least squares with amounts that are not negative.

    Parameters
    ----------
    starts, channels, counts : array
        Rows in CSR form; channels lie below that of ``profiles``.
    profiles : array, shape (channels, k), float64
        End-members, each of unit length; zero in channels that are not used.
    sizes : array, shape (k,), float64
        Counts in one unit of each end-member.
    used : array, shape (channels,), bool
        Channels that count.
    total_from : int
        First channel of the sum that a spectrum is divided by; negative: not divided.
    amounts : array, shape (rows, k), float32
        Counts, or share of the spectrum's sum, of each end-member: written.
    residual : array, shape (rows,), float32
        Root mean square over the channels used: written.

    Returns
    -------
    int
        Number of rows for which rounding kept the minimum from being reached.
    """
    size = profiles.shape[1]
    gram = np.zeros((size, size))
    n_used = 0
    for c in range(profiles.shape[0]):
        n_used += used[c]
        for i in range(size):
            for j in range(size):
                gram[i, j] += profiles[c, i] * profiles[c, j]
    products, solution, trial = np.empty(size), np.empty(size), np.empty(size)
    order, factor = np.empty(size, np.int64), np.empty((size, size))
    failures = 0
    for row in range(starts.shape[0] - 1):
        start, end = starts[row], starts[row + 1]
        products[:] = 0.0
        square = 0.0
        for e in range(start, end):
            c = channels[e]
            if used[c]:
                value = float(counts[e])
                square += value * value
                for i in range(size):
                    products[i] += value * profiles[c, i]
        divisor = row_divisor(counts, channels, start, end, total_from)
        if square == 0.0 or divisor <= 0.0:
            amounts[row] = 0.0
            residual[row] = 0.0
            continue
        if not solve_non_negative(gram, products, solution, order, factor, trial):
            failures += 1
        for i in range(size):
            fitted = 0.0
            for j in range(size):
                fitted += gram[i, j] * solution[j]
            square += solution[i] * (fitted - 2.0 * products[i])
            amounts[row, i] = solution[i] * sizes[i] / divisor
        residual[row] = np.sqrt(max(square, 0.0) / n_used) / divisor
    return failures
