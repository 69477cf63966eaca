"""Boxes of a grid that are occupied, and the row that stands for each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["occupied_boxes"]

_EXACT = 2.0**52  # above it a float64 has no fraction
_SHIFT = np.uint64(29)
_FOLD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio, odd
_MIX = np.uint64(0xBF58476D1CE4E5B9)


@njit(nogil=True, cache=True)
def occupied_boxes(
    rows: NDArray[np.float32],
    priorities: NDArray[np.uint64],
    scales: NDArray[np.float64],
    offsets: NDArray[np.float64],
    most: int,
    chosen: NDArray[np.int64],
) -> int:
    """
    Find the occupied boxes, and in each of them the row of the smallest priority.

    A value x of feature f lies in the box ``floor(x * scales[f] - offsets[f])``. The numbers of a
    row's boxes are folded into one: two boxes of n share it with a probability of n**2 / 2**65.

    Parameters
    ----------
    rows : array, shape (n, k), float32
    priorities : array, shape (n,), uint64
        All different.
    scales : array, shape (k,), float64
        Powers of two: boxes per unit.
    offsets : array, shape (k,), float64
        Where boxes begin, 0 to 1.
    most : int
        Stop where more boxes than this are occupied.
    chosen : array, shape (most,), int64
        Row of each box; written.

    Returns
    -------
    int
        Number of occupied boxes, or -1 if there are more than ``most``.
    """
    size = 16
    while size < 2 * most:
        size *= 2
    mask = np.uint64(size - 1)
    slots = np.full(size, -1, np.int32)
    keys = np.empty(most, np.uint64)
    found = 0
    for row in range(rows.shape[0]):
        key = np.uint64(0)
        for feature in range(rows.shape[1]):
            scaled = np.float64(rows[row, feature]) * scales[feature]
            box = np.floor(scaled)
            # Exact, where box - offset would be rounded: boxes of all sizes must nest.
            if abs(scaled) < _EXACT and scaled - box < offsets[feature]:
                box -= 1.0
            if abs(box) < _EXACT:
                number = np.int64(box)
            else:
                mantissa, exponent = math.frexp(box)
                number = np.int64(mantissa * 2.0 * _EXACT) * 512 + exponent
            key = (key ^ np.uint64(number)) * _FOLD
            key ^= key >> _SHIFT
        key *= _MIX
        key ^= key >> np.uint64(32)
        slot = key & mask
        while slots[slot] >= 0 and keys[slots[slot]] != key:
            slot = (slot + np.uint64(1)) & mask
        box_number = slots[slot]
        if box_number < 0:
            if found == most:
                return -1
            slots[slot] = found
            keys[found] = key
            chosen[found] = row
            found += 1
        elif priorities[row] < priorities[chosen[box_number]]:
            chosen[box_number] = row
    return found
