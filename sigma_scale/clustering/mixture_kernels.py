"""
Compiled loops of Gaussian mixtures, which keep no array of rows by components.

All work on blocks of 128 rows, feature by feature, so that each loop runs over rows and fills the
processor's vector units. A last, shorter block is filled up with copies of a row that count for
nothing: every row goes through the same instructions, whatever batch it comes in.
"""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["exponential", "most_likely", "sum_moments"]

_PLANE = 2  # features
_BLOCK = 128
"""Rows of a block: with 50 components its densities take 50 kB."""

_NEGLIGIBLE = -70.0
"""Logarithm of a ratio of densities, 4e-31, that changes no sum that holds a 1."""

# Flags under which a loop over rows may be vectorised. The sums over rows are taken in lanes, in an
# order that is always the same; the values of single rows don't depend on any order.
_ROWS = {"contract", "nnan", "nsz"}
_SUMS = {"contract", "nnan", "nsz", "reassoc"}

_LOG2_E = 1.4426950408889634
# ln 2 in two parts: the first has so few digits that its product with a whole number is exact.
_LN2_HIGH = 6.93145751953125e-1
_LN2_LOW = 1.42860682030941723212e-6
_LOWEST = -708.0  # exp(-708) = 3e-308 is the smallest of full precision
_ROUNDER = 1.5 * 2.0**52  # adding it leaves whole numbers, in the lowest bits
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11 = (1.0 / factorial(i) for i in range(2, 12))


@intrinsic
def _as_bits(_context: Any, _value: Any) -> tuple[Any, Any]:
    def code(target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], target.get_value_type(types.int64))

    return types.int64(types.float64), code


@intrinsic
def _from_bits(_context: Any, _value: Any) -> tuple[Any, Any]:
    def code(target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], target.get_value_type(types.float64))

    return types.float64(types.int64), code


@njit(nogil=True, cache=True, fastmath=_ROWS)
def exponential(t: float) -> float:
    """
    Calculate exp(t) for t <= 0 in a way that a compiler turns into vector instructions.

    With n the whole number nearest to t / ln 2, exp(t) = 2**n exp(t - n ln 2) [1]_; the second
    factor is its Taylor series to the 11th power. The relative error is below 2e-14. Below -708
    the result is exp(-708).

    References
    ----------
    .. [1] W. J. Cody, W. Waite: Software Manual for the Elementary Functions, 1980, chapter 6.
    """
    t = max(t, _LOWEST)
    shifted = t * _LOG2_E + _ROUNDER
    n = shifted - _ROUNDER
    r = (t - n * _LN2_HIGH) - n * _LN2_LOW
    series = _C11 * r + _C10
    series = series * r + _C9
    series = series * r + _C8
    series = series * r + _C7
    series = series * r + _C6
    series = series * r + _C5
    series = series * r + _C4
    series = series * r + _C3
    series = series * r + _C2
    series = series * r + 1.0
    series = series * r + 1.0
    return series * _from_bits((_as_bits(shifted) + 1023) << 52)  # type: ignore[call-arg]


@njit(nogil=True, cache=True)
def _load(rows: NDArray[np.float64], first: int, block: NDArray[np.float64]) -> int:
    """Copy a block of rows, feature by feature; fill it up with its last row."""
    count = min(_BLOCK, len(rows) - first)
    for column in range(rows.shape[1]):
        for b in range(count):
            block[column, b] = rows[first + b, column]
        for b in range(count, _BLOCK):
            block[column, b] = block[column, count - 1]
    return count


@njit(nogil=True, cache=True, fastmath=_ROWS)
def _log_densities(
    block: NDArray[np.float64],
    means: NDArray[np.float64],
    factors: NDArray[np.float64],
    log_weights: NDArray[np.float64],
    density: NDArray[np.float64],
    highest: NDArray[np.float64],
    projected: NDArray[np.float64],
) -> None:
    """Logarithm of each component's weighted density, and the highest of each row."""
    n_features = block.shape[0]
    highest[:] = -np.inf
    for k in range(len(means)):
        own = density[k]
        if n_features == _PLANE:
            x, y = block[0], block[1]
            mean_x, mean_y, weight = means[k, 0], means[k, 1], log_weights[k]
            f_xx, f_xy, f_yy = factors[k, 0, 0], factors[k, 0, 1], factors[k, 1, 1]
            for b in range(_BLOCK):
                dx = x[b] - mean_x
                dy = y[b] - mean_y
                p = dx * f_xx
                q = dx * f_xy + dy * f_yy
                value = weight - 0.5 * (p * p + q * q)
                own[b] = value
                highest[b] = max(highest[b], value)
        else:
            own[:] = log_weights[k]
            for column in range(n_features):
                projected[:] = 0.0
                for i in range(column + 1):
                    mean, factor = means[k, i], factors[k, i, column]
                    if factor != 0.0:  # most are 0 where the covariances are diagonal
                        values = block[i]
                        for b in range(_BLOCK):
                            projected[b] += (values[b] - mean) * factor
                for b in range(_BLOCK):
                    own[b] -= 0.5 * (projected[b] * projected[b])
            for b in range(_BLOCK):
                highest[b] = max(highest[b], own[b])


@njit(nogil=True, cache=True, fastmath=_SUMS)
def _largest(values: NDArray[np.float64]) -> float:
    largest = values[0]
    for b in range(_BLOCK):
        largest = max(largest, values[b])
    return largest  # type: ignore[no-any-return]


@njit(nogil=True, cache=True, fastmath=_SUMS)
def _add_plane(
    share: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    mean: NDArray[np.float64],
    weights: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    k: int,
) -> None:
    """Add one component's moments of a block with two features."""
    mean_x, mean_y = mean[0], mean[1]
    total = s_x = s_y = s_xx = s_xy = s_yy = 0.0
    for b in range(_BLOCK):
        r = share[b]
        dx = x[b] - mean_x
        dy = y[b] - mean_y
        total += r
        s_x += r * dx
        s_y += r * dy
        s_xx += r * dx * dx
        s_xy += r * dx * dy
        s_yy += r * dy * dy
    weights[k] += total
    first[k, 0] += s_x
    first[k, 1] += s_y
    second[k, 0, 0] += s_xx
    second[k, 0, 1] += s_xy
    second[k, 1, 1] += s_yy


@njit(nogil=True, cache=True, fastmath=_SUMS)
def _add(
    share: NDArray[np.float64],
    block: NDArray[np.float64],
    mean: NDArray[np.float64],
    weights: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    k: int,
    only_diagonal: bool,  # noqa: FBT001 - numba has no keyword-only arguments
) -> None:
    """Add one component's moments of a block with any number of features."""
    total = 0.0
    for b in range(_BLOCK):
        total += share[b]
    weights[k] += total
    for i in range(len(block)):
        values, mean_i = block[i], mean[i]
        total = 0.0
        for b in range(_BLOCK):
            total += share[b] * (values[b] - mean_i)
        first[k, i] += total
        for j in range(i, i + 1 if only_diagonal else len(block)):
            others, mean_j = block[j], mean[j]
            total = 0.0
            for b in range(_BLOCK):
                total += share[b] * (values[b] - mean_i) * (others[b] - mean_j)
            second[k, i, j] += total


@njit(nogil=True, cache=True, fastmath=_ROWS)
def sum_moments(
    rows: NDArray[np.float64],
    means: NDArray[np.float64],
    factors: NDArray[np.float64],
    log_weights: NDArray[np.float64],
    only_diagonal: bool,  # noqa: FBT001 - numba has no keyword-only arguments
    weights: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
) -> tuple[float, float]:
    """
    E step and sums for the M step in one pass, with the means as the origin of the moments.

    With ``P = C @ C.T`` the precision of a component, the logarithm of its weighted density is
    ``log_weight - |(x - mean) @ C|**2 / 2``. A component whose density is below 4e-31 of the
    highest in every row of a block is left out of that block: it would not change a bit.

    Parameters
    ----------
    rows : array, shape (n, d), float64
    means : array, shape (m, d), float64
    factors : array, shape (m, d, d), float64
        Upper triangular factors C of the precisions.
    log_weights : array, shape (m,), float64
        log(weight) + log(det C) - d / 2 log(2 pi).
    only_diagonal : bool
        Whether only the diagonal of the second moments is wanted.
    weights : array, shape (m,), float64
        The sum of the responsibilities r is added to it.
    first : array, shape (m, d), float64
        The sum of r (x - mean) is added to it.
    second : array, shape (m, d, d), float64
        The sum of r (x - mean) (x - mean)^T is added to its upper triangle.

    Returns
    -------
    log_likelihood : float
        Sum over the rows of the logarithm of the mixture's density.
    entropy : float
        -sum of r log r over rows and components.
    """
    n_features = rows.shape[1]
    n_components = len(means)
    block = np.empty((n_features, _BLOCK))
    density = np.empty((n_components, _BLOCK))
    counts = np.empty(n_components, np.bool_)
    highest = np.empty(_BLOCK)
    total = np.empty(_BLOCK)
    weighted = np.empty(_BLOCK)
    log_likelihood = 0.0
    entropy = 0.0
    for start in range(0, len(rows), _BLOCK):
        count = _load(rows, start, block)
        _log_densities(block, means, factors, log_weights, density, highest, weighted)
        total[:] = 0.0
        weighted[:] = 0.0
        for k in range(n_components):
            own = density[k]
            for b in range(_BLOCK):
                own[b] -= highest[b]
            counts[k] = _largest(own) > _NEGLIGIBLE
            if counts[k]:
                for b in range(_BLOCK):
                    e = exponential(own[b])
                    total[b] += e
                    weighted[b] += e * own[b]
                    own[b] = e
        for b in range(count):
            log_total = np.log(total[b])
            log_likelihood += highest[b] + log_total
            entropy += log_total - weighted[b] / total[b]
        for b in range(_BLOCK):
            total[b] = 1.0 / total[b]
        total[count:] = 0.0  # the rows that fill up the block
        for k in range(n_components):
            if counts[k]:
                own = density[k]
                for b in range(_BLOCK):
                    own[b] *= total[b]
                if n_features == _PLANE:
                    _add_plane(own, block[0], block[1], means[k], weights, first, second, k)
                else:
                    _add(own, block, means[k], weights, first, second, k, only_diagonal)
    return log_likelihood, entropy


@njit(nogil=True, cache=True, fastmath=_ROWS)
def most_likely(
    rows: NDArray[np.float64],
    means: NDArray[np.float64],
    factors: NDArray[np.float64],
    log_weights: NDArray[np.float64],
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    log_likelihoods: NDArray[np.float64],
) -> None:
    """
    Find the most likely component of each row, its probability, and the row's log-likelihood.

    Parameters
    ----------
    rows, means, factors, log_weights
        As for :func:`sum_moments`.
    labels : array, shape (n,), int32
        Written: the component; the first of equally likely ones.
    probabilities : array, shape (n,), float32
        Written: its probability.
    log_likelihoods : array, shape (n,), float64
        Written: logarithm of the mixture's density.
    """
    n_features = rows.shape[1]
    n_components = len(means)
    block = np.empty((n_features, _BLOCK))
    density = np.empty((n_components, _BLOCK))
    highest = np.empty(_BLOCK)
    total = np.empty(_BLOCK)
    best = np.empty(_BLOCK)
    for start in range(0, len(rows), _BLOCK):
        count = _load(rows, start, block)
        _log_densities(block, means, factors, log_weights, density, highest, total)
        total[:] = 0.0
        best[:] = 0.0
        for k in range(n_components - 1, -1, -1):
            own = density[k]
            for b in range(_BLOCK):
                own[b] -= highest[b]
                best[b] = k if own[b] >= 0.0 else best[b]
            if _largest(own) > _NEGLIGIBLE:
                for b in range(_BLOCK):
                    total[b] += exponential(own[b])
        for b in range(count):
            labels[start + b] = int(best[b])
            probabilities[start + b] = 1.0 / total[b]
            log_likelihoods[start + b] = highest[b] + np.log(total[b])
