"""The compiled loop that assigns new rows to clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sigma_scale.clustering.density.hierarchy_kernels import density_at, strength
from sigma_scale.clustering.density.tree_kernels import box_distance, push_smaller

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["place_rows"]


@njit(nogil=True, cache=True)
def _core_of(
    points: Any, lower: Any, upper: Any, starts: Any, row: Any, heap: Any, stack: Any, bounds: Any,
    axes: Any,
) -> float:  # fmt: skip
    """Squared distance to the nearest point of which ``len(heap) - 1`` are nearer."""
    n_leaves = (len(lower) + 1) // 2
    heap[:] = np.inf
    stack[0] = 0
    bounds[0] = 0.0
    depth = 1
    while depth > 0:
        depth -= 1
        if bounds[depth] >= heap[0]:
            continue
        node = stack[depth]
        if node >= n_leaves - 1:
            for q in range(starts[node, 0], starts[node, 1]):
                distance = 0.0
                for j in range(len(axes)):
                    step = row[j] - np.float64(points[q, j])
                    distance += step * step
                if distance < heap[0]:
                    push_smaller(heap, distance)
            continue
        near = 2 * node + 1
        far = near + 1
        to_near = box_distance(lower, upper, near, row, axes)
        to_far = box_distance(lower, upper, far, row, axes)
        if to_near > to_far:
            near, far = far, near
            to_near, to_far = to_far, to_near
        stack[depth], bounds[depth] = far, to_far
        stack[depth + 1], bounds[depth + 1] = near, to_near
        depth += 2
    return float(heap[0])


@njit(nogil=True, cache=True)
def _nearest_to(
    points: Any, lower: Any, upper: Any, starts: Any, cores: Any, node_cores: Any, row: Any,
    core: float, stack: Any, bounds: Any, axes: Any,
) -> tuple[int, float]:  # fmt: skip
    """Find the point of the smallest mutual reachability, and of those the nearest one."""
    n_leaves = (len(lower) + 1) // 2
    best = np.inf
    best_distance = np.inf
    best_point = -1
    stack[0] = 0
    bounds[0] = 0.0
    depth = 1
    while depth > 0:
        depth -= 1
        node = stack[depth]
        weight = max(core, bounds[depth], node_cores[node])
        if weight > best or (weight == best and bounds[depth] >= best_distance):
            continue
        if node >= n_leaves - 1:
            for q in range(starts[node, 0], starts[node, 1]):
                distance = 0.0
                for j in range(len(axes)):
                    step = row[j] - np.float64(points[q, j])
                    distance += step * step
                weight = max(core, cores[q], distance)
                if weight < best or (weight == best and distance < best_distance):
                    best = weight
                    best_distance = distance
                    best_point = q
            continue
        near = 2 * node + 1
        far = near + 1
        to_near = box_distance(lower, upper, near, row, axes)
        to_far = box_distance(lower, upper, far, row, axes)
        if to_near > to_far:
            near, far = far, near
            to_near, to_far = to_far, to_near
        stack[depth], bounds[depth] = far, to_far
        stack[depth + 1], bounds[depth + 1] = near, to_near
        depth += 2
    return best_point, best


@njit(nogil=True, cache=True)
def place_rows(
    points: NDArray[Any],
    lower: NDArray[Any],
    upper: NDArray[Any],
    starts: NDArray[np.int64],
    cores: NDArray[np.float64],
    node_cores: NDArray[np.float64],
    heights: NDArray[np.float64],
    owners: NDArray[Any],
    leaving: NDArray[Any],
    parents: NDArray[Any],
    births: NDArray[np.float64],
    cluster_labels: NDArray[np.int32],
    peaks: NDArray[np.float64],
    n_neighbors: int,
    rows: NDArray[np.float64],
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    axes: Any,
) -> None:
    """
    Assign rows to clusters, each on its own.

    A row goes where the point of the smallest mutual reachability is, or, where that point's
    cluster is denser than the row, to the cluster around it that is not.

    Parameters
    ----------
    points, lower, upper, starts, axes
        The k-d tree.
    cores, node_cores : array, float64
        Squared core distances of its points, and the smallest of each node.
    heights : array, shape (n - 1,), float64
        Squared distances of the dendrogram's joins.
    owners, leaving, parents, births, cluster_labels, peaks
        See :class:`sigma_scale.clustering.density.hierarchy.Cut`.
    n_neighbors : int
        Neighbours that a core distance is measured with.
    rows : array, shape (m, d), float64
    labels : array, shape (m,), int32
        Written.
    probabilities : array, shape (m,), float32
        Written.
    """
    heap = np.empty(n_neighbors + 1)  # a row counts as its own neighbour, as if it were fitted
    stack = np.empty(128, np.int64)
    bounds = np.empty(128)
    for i in range(len(rows)):
        row = rows[i]
        core = _core_of(points, lower, upper, starts, row, heap, stack, bounds, axes)
        q, weight = _nearest_to(
            points, lower, upper, starts, cores, node_cores, row, core, stack, bounds, axes
        )
        owner = owners[q]
        height = heights[leaving[q]]
        if height < weight:
            height = weight
            while owner != 0 and births[owner] <= weight:
                owner = parents[owner]
        labels[i] = cluster_labels[owner]
        probabilities[i] = (
            strength(density_at(height), peaks[owner]) if cluster_labels[owner] >= 0 else 0.0
        )
