"""Compiled loops that build a k-d tree and measure densities with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "box_distance",
    "measure_cores",
    "push_smaller",
    "set_inner_cores",
    "sort_leaves",
    "split_nodes",
]

_FEW = 16  # rows that are sorted by insertion


@njit(nogil=True, cache=True, inline="always")
def _is_before(points: Any, a: int, b: int, axis: int, axes: Any) -> bool:
    """Whether point a comes before b: by one axis, and where that is equal by the others."""
    if points[a, axis] != points[b, axis]:
        return bool(points[a, axis] < points[b, axis])
    for j in range(len(axes)):
        if points[a, j] != points[b, j]:
            return bool(points[a, j] < points[b, j])
    return False


@njit(nogil=True, cache=True, inline="always")
def _swap(points: Any, order: Any, a: int, b: int, axes: Any) -> None:
    for j in range(len(axes)):
        points[a, j], points[b, j] = points[b, j], points[a, j]
    order[a], order[b] = order[b], order[a]


@njit(nogil=True, cache=True)
def _insertion_sort(points: Any, order: Any, start: int, stop: int, axis: int, axes: Any) -> None:
    for i in range(start + 1, stop):
        j = i
        while j > start and _is_before(points, j, j - 1, axis, axes):
            _swap(points, order, j, j - 1, axes)
            j -= 1


@njit(nogil=True, cache=True)
def _select(
    points: Any, order: Any, start: int, stop: int, middle: int, axis: int, axes: Any
) -> None:
    """Move the points that come before ``middle`` in their order to the front (Hoare's select)."""
    state = np.uint64(88172645463325252)
    pivot = np.empty((1, len(axes)), points.dtype)
    while stop - start > _FEW:
        # Pivots are drawn (xorshift), so that no order of the rows makes this quadratic.
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        chosen = start + int(state % np.uint64(stop - start))
        for k in range(len(axes)):
            pivot[0, k] = points[chosen, k]
        i = start
        j = stop - 1
        while i <= j:
            while True:
                before = points[i, axis] < pivot[0, axis]
                if points[i, axis] == pivot[0, axis]:
                    for k in range(len(axes)):
                        if points[i, k] != pivot[0, k]:
                            before = points[i, k] < pivot[0, k]
                            break
                if not before:
                    break
                i += 1
            while True:
                after = points[j, axis] > pivot[0, axis]
                if points[j, axis] == pivot[0, axis]:
                    for k in range(len(axes)):
                        if points[j, k] != pivot[0, k]:
                            after = points[j, k] > pivot[0, k]
                            break
                if not after:
                    break
                j -= 1
            if i <= j:
                _swap(points, order, i, j, axes)
                i += 1
                j -= 1
        if middle <= j:
            stop = j + 1
        elif middle >= i:
            start = i
        else:
            return
    _insertion_sort(points, order, start, stop, axis, axes)


@njit(nogil=True, cache=True)
def split_nodes(
    points: NDArray[Any],
    order: NDArray[Any],
    lower: NDArray[Any],
    upper: NDArray[Any],
    starts: NDArray[np.int64],
    root: int,
    levels: int,
    axes: Any,
) -> None:
    """
    Split a node of a k-d tree at its median, and its children, for a number of levels.

    Nodes are numbered as in a heap: the children of i are 2 i + 1 and 2 i + 2. A node is split
    along the longest side of its box. Equal coordinates are ordered by the others, so that the
    tree depends on the set of points and not on the order in which they come.

    Parameters
    ----------
    points : array, shape (n, d), float32 or float64
        Coordinates; reordered in place.
    order : array, shape (n,), int32 or int64
        Reordered alike.
    lower, upper : array, shape (nodes, d), float32 or float64
        Written: the boxes.
    starts : array, shape (nodes + 1, 2), int64
        First and last-but-one point of each node; written for the children.
    root : int
        Node to begin with.
    levels : int
        How many times to split; the nodes of the last level only get their boxes.
    axes : tuple of int or array of int
        0, 1, ..., d - 1. As a tuple it makes the dimension known to the compiler.
    """
    first = root
    count = 1
    for level in range(levels + 1):
        for node in range(first, first + count):
            start, stop = starts[node, 0], starts[node, 1]
            widest = 0
            width = -1.0
            for j in range(len(axes)):
                low = points[start, j]
                high = low
                for i in range(start + 1, stop):
                    value = points[i, j]
                    low = min(low, value)
                    high = max(high, value)
                lower[node, j] = low
                upper[node, j] = high
                if np.float64(high) - np.float64(low) > width:
                    width = np.float64(high) - np.float64(low)
                    widest = j
            if level == levels:
                continue
            middle = start + (stop - start) // 2
            _select(points, order, start, stop, middle, widest, axes)
            starts[2 * node + 1, 0] = start
            starts[2 * node + 1, 1] = middle
            starts[2 * node + 2, 0] = middle
            starts[2 * node + 2, 1] = stop
        first = 2 * first + 1
        count *= 2


@njit(nogil=True, cache=True)
def sort_leaves(
    points: NDArray[Any],
    order: NDArray[Any],
    starts: NDArray[np.int64],
    first: int,
    last: int,
    axes: Any,
) -> None:
    """Order the points of leaves ``first`` to ``last`` (node numbers) by their coordinates."""
    for node in range(first, last):
        _insertion_sort(points, order, starts[node, 0], starts[node, 1], 0, axes)


@njit(nogil=True, cache=True, inline="always")
def box_distance(lower: Any, upper: Any, node: int, point: Any, axes: Any) -> float:
    """
    Squared distance from a point to a box; 0 inside.

    Rounding is monotonic, and this sums in the order in which distances are summed: it is never
    larger than the computed distance of a point in the box.
    """
    total = 0.0
    for j in range(len(axes)):
        below = np.float64(lower[node, j]) - point[j]
        above = point[j] - np.float64(upper[node, j])
        gap = max(below, above, 0.0)
        total += gap * gap
    return total


@njit(nogil=True, cache=True, inline="always")
def push_smaller(heap: Any, value: float) -> None:
    """Replace the largest value of a heap, which is its first, by a smaller one."""
    i = 0
    while True:
        child = 2 * i + 1
        if child >= len(heap):
            break
        if child + 1 < len(heap) and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= value:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = value


@njit(nogil=True, cache=True)
def measure_cores(
    points: NDArray[Any],
    lower: NDArray[Any],
    upper: NDArray[Any],
    starts: NDArray[np.int64],
    first: int,
    last: int,
    n_neighbors: int,
    cores: NDArray[np.float64],
    node_cores: NDArray[np.float64],
    axes: Any,
) -> None:
    """
    Find the squared distance to the k-th nearest other point, for the points of some leaves.

    From its own leaf a search climbs to the root and looks into the siblings that it passes,
    the nearer box first.

    Parameters
    ----------
    points, lower, upper, starts, axes
        The tree.
    first, last : int
        Leaves, as node numbers.
    n_neighbors : int
        k; the point itself does not count.
    cores : array, shape (n,), float64
        Written.
    node_cores : array, shape (nodes,), float64
        Written for these leaves: the smallest of their points.
    """
    n_leaves = (len(lower) + 1) // 2
    heap = np.empty(n_neighbors)
    point = np.empty(len(axes))
    stack = np.empty(128, np.int64)
    bounds = np.empty(128)
    for leaf in range(first, last):
        smallest = np.inf
        for p in range(starts[leaf, 0], starts[leaf, 1]):
            for j in range(len(axes)):
                point[j] = points[p, j]
            heap[:] = np.inf
            for q in range(starts[leaf, 0], starts[leaf, 1]):
                if q != p:
                    distance = 0.0
                    for j in range(len(axes)):
                        step = point[j] - np.float64(points[q, j])
                        distance += step * step
                    if distance < heap[0]:
                        push_smaller(heap, distance)
            node = leaf
            while node > 0:
                sibling = node + 1 if node % 2 else node - 1
                node = (node - 1) // 2
                stack[0] = sibling
                bounds[0] = box_distance(lower, upper, sibling, point, axes)
                depth = 1
                while depth > 0:
                    depth -= 1
                    if bounds[depth] >= heap[0]:
                        continue
                    inner = stack[depth]
                    if inner >= n_leaves - 1:
                        for q in range(starts[inner, 0], starts[inner, 1]):
                            distance = 0.0
                            for j in range(len(axes)):
                                step = point[j] - np.float64(points[q, j])
                                distance += step * step
                            if distance < heap[0]:
                                push_smaller(heap, distance)
                        continue
                    left = 2 * inner + 1
                    to_left = box_distance(lower, upper, left, point, axes)
                    to_right = box_distance(lower, upper, left + 1, point, axes)
                    if to_left <= to_right:
                        stack[depth] = left + 1
                        bounds[depth] = to_right
                        stack[depth + 1] = left
                        bounds[depth + 1] = to_left
                    else:
                        stack[depth] = left
                        bounds[depth] = to_left
                        stack[depth + 1] = left + 1
                        bounds[depth + 1] = to_right
                    depth += 2
            cores[p] = heap[0]
            smallest = min(smallest, heap[0])
        node_cores[leaf] = smallest


@njit(nogil=True, cache=True)
def set_inner_cores(node_cores: NDArray[np.float64]) -> None:
    """Give every inner node the smallest core distance of its children."""
    for node in range(len(node_cores) // 2 - 1, -1, -1):
        node_cores[node] = min(node_cores[2 * node + 1], node_cores[2 * node + 2])
