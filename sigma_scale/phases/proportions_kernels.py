"""Compiled sums of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["sum_probabilities"]


@njit(nogil=True, cache=True)
def sum_probabilities(
    values: NDArray[Any],
    tolerance: float,
    sums: NDArray[np.float64],
    variances: NDArray[np.float64],
) -> tuple[int, int]:
    """
    Sum ``values`` p (y, x, cluster), and p (1 - p), over each row, from left to right.

    What a pixel's probabilities lack of 1 goes to the last column of ``sums`` and ``variances``
    (y, cluster + 1), as if it were noise, and so does all of a pixel with a NaN. Gives the place of
    the first pixel whose values are no probabilities, or (-1, -1).
    """
    height, width, n = values.shape
    for y in range(height):
        for x in range(width):
            total = 0.0
            missing = False
            for k in range(n):
                p = np.float64(values[y, x, k])
                if p < -tolerance or p > 1 + tolerance:
                    return y, x
                missing = missing or np.isnan(p)
                total += p
            if missing:
                sums[y, n] += 1.0
                continue
            if total > 1 + tolerance:
                return y, x
            for k in range(n):
                p = np.float64(values[y, x, k])
                sums[y, k] += p
                variances[y, k] += max(p * (1 - p), 0.0)
            rest = 1 - total
            if rest > tolerance:
                sums[y, n] += rest
                variances[y, n] += rest * (1 - rest)
    return -1, -1
