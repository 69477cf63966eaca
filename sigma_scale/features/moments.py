"""
Means and standard deviations that don't depend on how an array is cut into chunks.

Floating-point sums depend on their order. Here the sums of each chunk are kept without any
rounding error, as a few floats whose sum is exact, and rounded once at the very end.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["ExactSums", "add_sums", "chunk_sums", "mean_and_std"]


class ExactSums(NamedTuple):
    """Number, sum and sum of squares of some values, exact."""

    number: int
    first: Fraction | None
    """None if a value is infinite."""
    second: Fraction | None


def chunk_sums(values: NDArray[np.float32]) -> list[ExactSums]:
    """
    Exact sums of each feature of a chunk.

    Parameters
    ----------
    values : array, shape (..., features), float32
        Squares of float32 are exact in float64, which is why wider types won't do. NaN stands for
        what was not measured and takes no part.
    """
    columns = values.reshape(-1, values.shape[-1])
    return [_column_sums(column.astype(np.float64)) for column in columns.T]


def _column_sums(column: NDArray[np.float64]) -> ExactSums:
    missing = np.isnan(column)
    if missing.any():
        column = column[~missing]
    if not np.isfinite(column).all():
        return ExactSums(column.size, None, None)
    return ExactSums(column.size, _exact_sum(column), _exact_sum(column * column))


def _exact_sum(values: NDArray[np.float64]) -> Fraction:
    """
    Sum without rounding error.

    Each round splits off the leading bits of all values, few enough for their sum to be exact,
    until nothing is left (error-free vector transformation; Rump, Ogita and Oishi, SIAM J. Sci.
    Comput. 31, 189, 2008).
    """
    total = Fraction(0)
    while values.size and (largest := float(np.abs(values).max())) > 0:
        unit = math.ldexp(1.0, math.frexp(largest)[1] + math.frexp(values.size)[1])
        leading = (values + unit) - unit
        total += Fraction(float(leading.sum()))
        values = values - leading
    return total


def add_sums(parts: Iterable[list[ExactSums]]) -> list[ExactSums]:
    """Add up the sums of several chunks, feature by feature."""
    return [_add(column) for column in zip(*parts, strict=True)]


def _add(sums: Iterable[ExactSums]) -> ExactSums:
    number, first, second = 0, Fraction(0), Fraction(0)
    finite = True
    for part in sums:
        number += part.number
        if part.first is None or part.second is None:
            finite = False
        else:
            first, second = first + part.first, second + part.second
    return ExactSums(number, first, second) if finite else ExactSums(number, None, None)


def mean_and_std(sums: Iterable[ExactSums]) -> NDArray[np.float64]:
    """
    Mean and population standard deviation of each feature.

    Returns
    -------
    array, shape (2, features), float64
        NaN for a feature without values, or with infinite ones.
    """
    return np.array([_moments(part) for part in sums]).T


def _moments(sums: ExactSums) -> tuple[Any, Any]:
    if sums.first is None or sums.second is None or sums.number == 0:
        return math.nan, math.nan
    mean = sums.first / sums.number
    variance = sums.second / sums.number - mean * mean
    return float(mean), math.sqrt(variance)
