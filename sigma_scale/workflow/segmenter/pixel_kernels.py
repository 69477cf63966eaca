"""Compiled loops over all pixels: which of them lie in a polygon, and how many a cluster has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["count_labels", "mark_inside", "sort_edges"]


@njit(nogil=True, cache=True)
def sort_edges(
    corners: NDArray[np.float64], n_bands: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Sort a polygon's edges into horizontal bands, so that a point is compared with few of them.

    Parameters
    ----------
    corners : array, shape (corner, 2), float64
        Corners in order; edge k goes from corner k to the next, the last one to the first.
    n_bands : int
        Bands of equal height between the lowest and the highest corner.

    Returns
    -------
    starts : array, shape (n_bands + 1,), int64
        Where each band's edges begin.
    edges : array, shape (entry,), int64
        Edges that reach into each band, one band after the other.
    """
    n_edges = len(corners)
    low, high = corners[:, 1].min(), corners[:, 1].max()
    scale = n_bands / (high - low) if high > low else 0.0
    first, last = np.empty(n_edges, np.int64), np.empty(n_edges, np.int64)
    starts = np.zeros(n_bands + 1, np.int64)
    for edge in range(n_edges):
        ends = corners[edge, 1], corners[(edge + 1) % n_edges, 1]
        # The same expression as for points: it grows with y, rounding included.
        first[edge] = min(int((min(ends) - low) * scale), n_bands - 1)
        last[edge] = min(int((max(ends) - low) * scale), n_bands - 1)
        for band in range(first[edge], last[edge] + 1):
            starts[band + 1] += 1
    starts = np.cumsum(starts)
    place = starts.copy()
    edges = np.empty(starts[-1], np.int64)
    for edge in range(n_edges):
        for band in range(first[edge], last[edge] + 1):
            edges[place[band]] = edge
            place[band] += 1
    return starts, edges


@njit(nogil=True, cache=True)
def mark_inside(
    rows: NDArray[Any],
    start: int,
    stop: int,
    corners: NDArray[np.float64],
    starts: NDArray[np.int64],
    edges: NDArray[np.int64],
    inside: NDArray[np.bool_],
) -> int:
    """
    Mark the points inside a polygon, by the even-odd rule.

    Parameters
    ----------
    rows : array, shape (n, >= 2), float32 or float64
        Points; those with NaN lie nowhere.
    start, stop : int
        Rows to look at.
    corners : array, shape (corner, 2), float64
    starts, edges : array, int64
        From :func:`sort_edges`.
    inside : array, shape (n,), bool
        Written.

    Returns
    -------
    int
        Points inside.
    """
    n_edges, n_bands = len(corners), len(starts) - 1
    left, right = corners[:, 0].min(), corners[:, 0].max()
    low, high = corners[:, 1].min(), corners[:, 1].max()
    scale = n_bands / (high - low) if high > low else 0.0
    found = 0
    for i in range(start, stop):
        x, y = np.float64(rows[i, 0]), np.float64(rows[i, 1])
        # NaN fails every comparison.
        if not (left <= x <= right and low <= y <= high):
            inside[i] = False
            continue
        band = min(int((y - low) * scale), n_bands - 1)
        odd = False
        for entry in range(starts[band], starts[band + 1]):
            edge = edges[entry]
            after = edge + 1 if edge + 1 < n_edges else 0
            x0, y0, x1, y1 = (
                corners[edge, 0], corners[edge, 1], corners[after, 0], corners[after, 1],
            )  # fmt: skip
            upwards = y0 < y
            # An edge has its upper end but not its lower one: corners count once.
            if upwards != (y1 < y):
                side = (x1 - x) * (y1 - y0) - (y1 - y) * (x1 - x0)
                odd ^= (side > 0.0) == upwards
        inside[i] = odd
        found += odd
    return found


@njit(nogil=True, cache=True)
def count_labels(labels: NDArray[np.int32], counts: NDArray[np.int64]) -> None:
    """
    Count the pixels of each cluster.

    Parameters
    ----------
    labels : array, shape (n,), int32
        Cluster of each pixel; -1 is noise.
    counts : array, shape (cluster + 1,), int64
        Added to: the noise first.
    """
    for label in labels:
        counts[label + 1] += 1
