"""Nearest landmarks, and places of rows among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["nearest_landmarks", "place_rows"]

_EUCLIDEAN, _MANHATTAN, _CHEBYSHEV = 0, 1, 2


@njit(nogil=True, cache=True)
def _visit(
    points: NDArray[np.float64],
    numbers: NDArray[np.int32],
    row: NDArray[np.float64],
    metric: int,
    lengths: NDArray[np.float64],
    best: NDArray[np.float64],
    nearest: NDArray[np.int32],
) -> None:
    """Compare a row with all points of a bucket, in lanes, and keep the nearest."""
    for lane in range(lengths.shape[0]):
        lengths[lane] = 0.0
    for feature in range(points.shape[0]):
        value = row[feature]
        lane_values = points[feature]
        if metric == _MANHATTAN:
            for lane in range(lengths.shape[0]):
                lengths[lane] += abs(lane_values[lane] - value)
        elif metric == _CHEBYSHEV:
            for lane in range(lengths.shape[0]):
                lengths[lane] = max(lengths[lane], abs(lane_values[lane] - value))
        else:
            for lane in range(lengths.shape[0]):
                difference = lane_values[lane] - value
                lengths[lane] += difference * difference
    last = best.shape[0] - 1
    for lane in range(lengths.shape[0]):
        length = lengths[lane]
        if length > best[last] or numbers[lane] < 0:
            continue
        number = numbers[lane]
        if length == best[last] and number > nearest[last]:
            continue
        place = last
        while place > 0 and (
            best[place - 1] > length or (best[place - 1] == length and nearest[place - 1] > number)
        ):
            best[place] = best[place - 1]
            nearest[place] = nearest[place - 1]
            place -= 1
        best[place] = length
        nearest[place] = number


@njit(nogil=True, cache=True)
def _search(
    points: NDArray[np.float64],
    numbers: NDArray[np.int32],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    metric: int,
    row: NDArray[np.float64],
    bounds: NDArray[np.float64],
    left: NDArray[np.int32],
    lengths: NDArray[np.float64],
    best: NDArray[np.float64],
    nearest: NDArray[np.int32],
) -> None:
    """Visit the buckets from the nearest on, until the next can hold nothing nearer."""
    n_buckets = points.shape[0]
    for bucket in range(n_buckets):
        bounds[bucket] = 0.0
    for feature in range(row.shape[0]):
        value = row[feature]
        lows = low[feature]
        highs = high[feature]
        # Rounding is monotonic and sums have the order of the distances': never above one.
        for bucket in range(n_buckets):
            outside = max(lows[bucket] - value, value - highs[bucket], 0.0)
            if metric == _MANHATTAN:
                bounds[bucket] += outside
            elif metric == _CHEBYSHEV:
                bounds[bucket] = max(bounds[bucket], outside)
            else:
                bounds[bucket] += outside * outside
    for place in range(best.shape[0]):
        best[place] = np.inf
        nearest[place] = np.iinfo(np.int32).max
    first = 0
    for bucket in range(1, n_buckets):
        if bounds[bucket] < bounds[first]:
            first = bucket
    _visit(points[first], numbers[first], row, metric, lengths, best, nearest)
    last = best.shape[0] - 1
    n_left = 0
    for bucket in range(n_buckets):
        if bucket != first and bounds[bucket] <= best[last]:
            left[n_left] = bucket
            n_left += 1
    while n_left > 0:
        chosen = 0
        for place in range(1, n_left):
            if bounds[left[place]] < bounds[left[chosen]]:
                chosen = place
        bucket = left[chosen]
        if bounds[bucket] > best[last]:
            break
        _visit(points[bucket], numbers[bucket], row, metric, lengths, best, nearest)
        n_left -= 1
        left[chosen] = left[n_left]
    if metric == _EUCLIDEAN:
        for place in range(best.shape[0]):
            best[place] = np.sqrt(best[place])


@njit(nogil=True, cache=True)
def nearest_landmarks(
    rows: NDArray[np.float32],
    points: NDArray[np.float64],
    numbers: NDArray[np.int32],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    metric: int,
    distances: NDArray[np.float64],
    nearest: NDArray[np.int32],
) -> None:
    """
    Find the nearest landmarks of each row, exactly; of equally near ones, the first.

    Parameters
    ----------
    rows : array, shape (n, k), float32
    points : array, shape (b, k, w), float64
        Landmarks in buckets; lanes that hold none are anything.
    numbers : array, shape (b, w), int32
        Numbers of the landmarks; -1 for lanes that hold none.
    low, high : array, shape (k, b), float64
        Corners of each bucket's box.
    metric : int
        0: Euclidean, 1: Manhattan, 2: Chebyshev.
    distances : array, shape (n, m), float64
        Ascending; written. There must be m landmarks at least.
    nearest : array, shape (n, m), int32
        Numbers of the landmarks; written.
    """
    bounds = np.empty(points.shape[0])
    left = np.empty(points.shape[0], np.int32)
    lengths = np.empty(points.shape[2])
    row = np.empty(rows.shape[1])
    for n in range(rows.shape[0]):
        for feature in range(rows.shape[1]):
            row[feature] = rows[n, feature]
        _search(
            points, numbers, low, high, metric, row, bounds, left, lengths, distances[n], nearest[n]
        )


@njit(nogil=True, cache=True)
def place_rows(
    rows: NDArray[np.float32],
    points: NDArray[np.float64],
    numbers: NDArray[np.int32],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    metric: int,
    positions: NDArray[np.float32],
    radii: NDArray[np.float64],
    n_neighbors: int,
    places: NDArray[np.float32],
    novelty: NDArray[np.float32],
) -> None:
    """
    Place each row among its nearest landmarks, and say how far it is from what they know.

    Sums run over a row's neighbours in the order of their distance: a row's place has the same
    bits in any batch.

    Parameters
    ----------
    rows, points, numbers, low, high, metric
        As for :func:`nearest_landmarks`.
    positions : array, shape (l, c), float32
        Places of the landmarks.
    radii : array, shape (l,), float64
        Distance over which each landmark speaks.
    n_neighbors : int
        Landmarks that have a say in a row's place.
    places : array, shape (n, c), float32
        Weighted means; written.
    novelty : array, shape (n,), float32
        Distance of the nearest landmark over its radius; written.
    """
    bounds = np.empty(points.shape[0])
    left = np.empty(points.shape[0], np.int32)
    lengths = np.empty(points.shape[2])
    row = np.empty(rows.shape[1])
    best = np.empty(n_neighbors)
    nearest = np.empty(n_neighbors, np.int32)
    place = np.empty(positions.shape[1])
    for n in range(rows.shape[0]):
        for feature in range(rows.shape[1]):
            row[feature] = rows[n, feature]
        _search(points, numbers, low, high, metric, row, bounds, left, lengths, best, nearest)
        total = 0.0
        place[:] = 0.0
        for m in range(n_neighbors):
            # Relative to the nearest, from 0 to 1, whatever the scale.
            ratio = best[0] / best[m] if best[m] > 0 else 1.0
            weight = ratio * ratio
            total += weight
            for component in range(place.shape[0]):
                place[component] += weight * positions[nearest[m], component]
        for component in range(place.shape[0]):
            places[n, component] = place[component] / total
        novelty[n] = best[0] / radii[nearest[0]]
