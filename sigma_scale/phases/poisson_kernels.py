"""
Compiled loops of unmixing by the likelihood of Poisson counts.

Rows and their independence are as in :mod:`~sigma_scale.phases.least_squares_kernels`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from sigma_scale.phases.least_squares_kernels import row_divisor, solve_non_negative

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

__all__ = ["fit_poisson"]

_EPSILON = float(np.finfo(np.float64).eps)
_RIDGE = 1e-9
_FIRST_STEPS = 3
_MOST_STEPS = 200
_MOST_HALVINGS = 30
_ARMIJO = 1e-4
_ZERO = 1e-12


@njit(nogil=True, cache=True)
def _model(
    listed: NDArray[np.int64],
    n_listed: int,
    profiles: NDArray[np.float64],
    amounts: NDArray[np.float64],
    model: NDArray[np.float64],
) -> None:
    """Write the fitted counts in the channels that have events."""
    for e in range(n_listed):
        total = 0.0
        for i in range(amounts.shape[0]):
            total += amounts[i] * profiles[listed[e], i]
        model[e] = total


@njit(nogil=True, cache=True)
def _log_likelihood(
    values: NDArray[np.float64], model: NDArray[np.float64], n_listed: int
) -> float:
    """Part of the log-likelihood that depends on where the counts lie."""
    total = 0.0
    for e in range(n_listed):
        if model[e] <= 0.0:
            return -np.inf
        total += values[e] * np.log(model[e])
    return total


@njit(nogil=True, cache=True)
def fit_poisson(
    starts: NDArray[Any],
    channels: NDArray[Any],
    counts: NDArray[Any],
    profiles: NDArray[np.float64],
    used: NDArray[np.bool_],
    total_from: int,
    tolerance: float,
    amounts: NDArray[np.float32],
    residual: NDArray[np.float32],
) -> int:
    """
    Fit each row of sparse spectra by the likelihood of Poisson counts.

    Parameters
    ----------
    starts, channels, counts : array
        Rows in CSR form; channels lie below that of ``profiles``.
    profiles : array, shape (channels, k), float64
        End-members, each of sum 1 over the channels used and zero in the others; in each channel
        used at least one is above zero.
    used : array, shape (channels,), bool
        Channels that count.
    total_from : int
        First channel of the sum that a spectrum is divided by; negative: not divided.
    tolerance : float
        How far the log-likelihood of each count may be below its maximum.
    amounts : array, shape (rows, k), float32
        Counts, or share of the spectrum's sum, of each end-member: written.
    residual : array, shape (rows,), float32
        Pearson's chi-square per degree of freedom: written.

    Returns
    -------
    int
        Number of rows that did not reach the tolerance.

    Notes
    -----
    With end-members of sum 1, the amounts of the maximum sum to the counts n of the row, and
    ``r_i = sum_c s_c p_ci / m_c``, with the model m, is at most 1 there. At any amounts that sum
    to n, the log-likelihood is at most ``n max(r - 1)`` below its maximum, because it is concave.
    Each step minimises the quadratic approximation over amounts that are not negative, then goes
    as far towards its minimum as the likelihood rises enough; where it doesn't, and in the first
    steps, amounts are multiplied by r (expectation maximisation, which never lowers it).
    """
    size = profiles.shape[1]
    n_used = 0
    for c in range(used.shape[0]):
        n_used += used[c]
    longest = 0
    for row in range(starts.shape[0] - 1):
        longest = max(longest, starts[row + 1] - starts[row])
    listed, values = np.empty(longest, np.int64), np.empty(longest)
    model, moved = np.empty(longest), np.empty(longest)
    current, proposed, ratio = np.empty(size), np.empty(size), np.empty(size)
    gram, products, solution = np.empty((size, size)), np.empty(size), np.empty(size)
    order, factor, trial = np.empty(size, np.int64), np.empty((size, size)), np.empty(size)
    failures = 0
    for row in range(starts.shape[0] - 1):
        start, end = starts[row], starts[row + 1]
        n_listed = 0
        total = 0.0
        for e in range(start, end):
            if used[channels[e]] and counts[e] > 0:
                listed[n_listed] = channels[e]
                values[n_listed] = counts[e]
                total += counts[e]
                n_listed += 1
        divisor = row_divisor(counts, channels, start, end, total_from)
        if total <= 0.0 or divisor <= 0.0:
            amounts[row] = 0.0
            residual[row] = 0.0
            continue
        current[:] = total / size
        _model(listed, n_listed, profiles, current, model)
        likelihood = _log_likelihood(values, model, n_listed)
        reached = False
        for step in range(_MOST_STEPS):
            ratio[:] = 0.0
            for e in range(n_listed):
                share = values[e] / model[e]
                for i in range(size):
                    ratio[i] += share * profiles[listed[e], i]
            if ratio.max() - 1.0 <= tolerance:
                reached = True
                break
            improved = False
            if step >= _FIRST_STEPS:
                gram[:] = 0.0
                for e in range(n_listed):
                    weight = values[e] / (model[e] * model[e])
                    for i in range(size):
                        scaled = weight * profiles[listed[e], i]
                        for j in range(i + 1):
                            gram[i, j] += scaled * profiles[listed[e], j]
                trace = 0.0
                for i in range(size):
                    trace += gram[i, i]
                # Few counts can leave the amounts open: a little of the identity settles them.
                ridge = _RIDGE * trace / size
                for i in range(size):
                    for j in range(i):
                        gram[j, i] = gram[i, j]
                    gram[i, i] += ridge
                    products[i] = 2.0 * ratio[i] - 1.0 + ridge * current[i]
                solve_non_negative(gram, products, solution, order, factor, trial)
                rise = 0.0
                for i in range(size):
                    rise += (ratio[i] - 1.0) * (solution[i] - current[i])
                length = 1.0
                halvings = _MOST_HALVINGS if rise > 0.0 else 0
                for _ in range(halvings):
                    whole = 0.0
                    for i in range(size):
                        proposed[i] = current[i] + length * (solution[i] - current[i])
                        whole += proposed[i]
                    if whole > 0.0:
                        proposed *= total / whole
                        _model(listed, n_listed, profiles, proposed, moved)
                        after = _log_likelihood(values, moved, n_listed)
                        noise = 16 * _EPSILON * (abs(likelihood) + total)
                        if after - likelihood >= _ARMIJO * length * rise - noise:
                            improved = True
                            break
                    length /= 2.0
            if improved:
                current[:] = proposed
            else:
                # An amount of zero would stay so.
                whole = 0.0
                for i in range(size):
                    current[i] = max(current[i], _ZERO * total) * ratio[i]
                    whole += current[i]
                current *= total / whole
            _model(listed, n_listed, profiles, current, model)
            likelihood = _log_likelihood(values, model, n_listed)
        if not reached:
            failures += 1
        pearson, n_free = 0.0, float(n_used)
        for e in range(n_listed):
            pearson += values[e] * values[e] / model[e]
        for i in range(size):
            amounts[row, i] = current[i] / divisor
            n_free -= current[i] > 0.0
        # The other channels add their model's counts, which are those of all less these.
        residual[row] = max(pearson - total, 0.0) / max(n_free, 1.0)
    return failures
