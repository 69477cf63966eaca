"""Compiled loops of Boruvka's algorithm on a k-d tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sigma_scale.clustering.density.tree_kernels import box_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["find_nearest", "join_components", "keep_candidates", "name_nodes", "rename_points"]

MIXED = -1
"""Component of a node whose points belong to several."""


@njit(nogil=True, cache=True)
def keep_candidates(
    components: NDArray[Any],
    candidates: NDArray[Any],
    weights: NDArray[np.float64],
    nearest: NDArray[np.float64],
) -> None:
    """
    Drop candidates that have come into the same component, and bound each component by the rest.

    Parameters
    ----------
    components : array, shape (n,), int
        Component of each point: the number of one of its points.
    candidates : array, shape (n,), int
        Nearest point of another component as of an earlier round, or -1. One that belongs to
        another component still is the nearest one still.
    weights : array, shape (n,), float64
        Squared mutual reachability of the candidates; for -1 and for dropped ones a lower bound,
        as nothing comes nearer when components grow.
    nearest : array, shape (n,), float64
        Written: the smallest weight of each component's candidates.
    """
    nearest[:] = np.inf
    for p in range(len(components)):
        if candidates[p] >= 0:
            if components[candidates[p]] == components[p]:
                candidates[p] = -1
            elif weights[p] < nearest[components[p]]:
                nearest[components[p]] = weights[p]


@njit(nogil=True, cache=True)
def find_nearest(
    points: NDArray[Any],
    lower: NDArray[Any],
    upper: NDArray[Any],
    starts: NDArray[np.int64],
    first: int,
    last: int,
    cores: NDArray[np.float64],
    node_cores: NDArray[np.float64],
    components: NDArray[Any],
    node_components: NDArray[Any],
    nearest: NDArray[np.float64],
    candidates: NDArray[Any],
    weights: NDArray[np.float64],
    axes: Any,
) -> None:
    """
    Find, for points of some leaves, the nearest point of another component.

    Nearest is what has the smallest mutual reachability, and of those with the same the smallest
    distance. What is farther than the component's nearest so far is not looked for. Threads read
    and lower these bounds without a lock: a bound is the weight of some candidate at any time,
    and only what is larger is left out, so the best candidate of a component is always found.

    Parameters
    ----------
    points, lower, upper, starts, axes
        The tree.
    first, last : int
        Leaves, as node numbers.
    cores, node_cores : array, float64
        Squared core distances of points, and the smallest of each node.
    components, node_components : array, int
        Component of each point, and of each node that lies in one; else ``MIXED``.
    nearest : array, shape (n,), float64
        Smallest weight found for each component; lowered.
    candidates, weights : array, shape (n,)
        Written, see :func:`keep_candidates`.
    """
    n_leaves = (len(lower) + 1) // 2
    point = np.empty(len(axes))
    stack = np.empty(128, np.int64)
    bounds = np.empty(128)
    for leaf in range(first, last):
        for p in range(starts[leaf, 0], starts[leaf, 1]):
            if candidates[p] >= 0:
                continue
            own = components[p]
            core = cores[p]
            limit = nearest[own]
            if max(core, weights[p]) > limit:
                continue
            for j in range(len(axes)):
                point[j] = points[p, j]
            best = np.inf
            best_distance = np.inf
            best_point = -1
            node = leaf
            sibling = leaf
            while True:
                if node_components[sibling] != own:
                    stack[0] = sibling
                    bounds[0] = (
                        0.0 if sibling == leaf else box_distance(lower, upper, sibling, point, axes)
                    )
                    depth = 1
                    while depth > 0:
                        depth -= 1
                        inner = stack[depth]
                        bound = bounds[depth]
                        weight = max(core, bound, node_cores[inner])
                        if weight > limit or weight > best:
                            continue
                        if weight == best and bound >= best_distance:
                            continue
                        if inner >= n_leaves - 1:
                            for q in range(starts[inner, 0], starts[inner, 1]):
                                if components[q] == own:
                                    continue
                                distance = 0.0
                                for j in range(len(axes)):
                                    step = point[j] - np.float64(points[q, j])
                                    distance += step * step
                                weight = max(core, cores[q], distance)
                                if weight < best or (weight == best and distance < best_distance):
                                    best = weight
                                    best_distance = distance
                                    best_point = q
                            continue
                        left = 2 * inner + 1
                        right = left + 1
                        to_left = box_distance(lower, upper, left, point, axes)
                        to_right = box_distance(lower, upper, right, point, axes)
                        if to_left > to_right:
                            left, right = right, left
                            to_left, to_right = to_right, to_left
                        if node_components[right] != own:
                            stack[depth] = right
                            bounds[depth] = to_right
                            depth += 1
                        if node_components[left] != own:
                            stack[depth] = left
                            bounds[depth] = to_left
                            depth += 1
                if node == 0:
                    break
                sibling = node + 1 if node % 2 else node - 1
                node = (node - 1) // 2
            limit = nearest[own]
            if best <= limit:
                nearest[own] = best
                candidates[p] = best_point
                weights[p] = best
            else:  # what was left out may be nearer than the best, but not nearer than the limit
                weights[p] = max(weights[p], limit)


@njit(nogil=True, cache=True, inline="always")
def find_root(parents: Any, p: int) -> int:
    """Root of a tree of a union-find; the way is halved."""
    while parents[p] != p:
        parents[p] = parents[parents[p]]
        p = parents[p]
    return p


@njit(nogil=True, cache=True)
def join_components(
    points: NDArray[Any],
    components: NDArray[Any],
    candidates: NDArray[Any],
    weights: NDArray[np.float64],
    parents: NDArray[Any],
    chosen: NDArray[Any],
    edges: NDArray[Any],
    edge_weights: NDArray[np.float64],
    n_edges: int,
    axes: Any,
) -> int:
    """
    Add the best edge of each component, and join the components.

    Of edges of the same weight the shorter is better, and of these the one from the first
    point. Where such ties close a circle, its last edge is left out.

    Parameters
    ----------
    points, axes
        The tree's points.
    components, candidates, weights
        See :func:`keep_candidates`.
    parents : array, shape (n,), int
        Union-find of the points' components; changed.
    chosen : array, shape (n,), int
        Overwritten.
    edges : array, shape (n - 1, 2), int
        Written from ``n_edges`` on.
    edge_weights : array, shape (n - 1,), float64
        Written likewise.
    n_edges : int
        Edges so far.

    Returns
    -------
    int
        Edges now.
    """
    chosen[:] = -1
    for p in range(len(components)):
        if candidates[p] < 0:
            continue
        rival = chosen[components[p]]
        if rival < 0 or weights[p] < weights[rival]:
            chosen[components[p]] = p
        elif weights[p] == weights[rival]:
            ours = 0.0
            theirs = 0.0
            for j in range(len(axes)):
                step = np.float64(points[p, j]) - np.float64(points[candidates[p], j])
                ours += step * step
                step = np.float64(points[rival, j]) - np.float64(points[candidates[rival], j])
                theirs += step * step
            if ours < theirs:
                chosen[components[p]] = p
    for component in range(len(components)):
        p = chosen[component]
        if p < 0:
            continue
        q = candidates[p]
        one = find_root(parents, p)
        other = find_root(parents, q)
        if one != other:
            parents[max(one, other)] = min(one, other)
            edges[n_edges, 0] = min(p, q)
            edges[n_edges, 1] = max(p, q)
            edge_weights[n_edges] = weights[p]
            n_edges += 1
    return n_edges


@njit(nogil=True, cache=True)
def rename_points(components: NDArray[Any], parents: NDArray[Any]) -> None:
    """Give every point the number of its component."""
    for p in range(len(components)):
        # A root is the first point of its component, so those before p are up to date.
        parents[p] = parents[parents[p]]
        components[p] = parents[p]


@njit(nogil=True, cache=True)
def name_nodes(
    starts: NDArray[np.int64], components: NDArray[Any], node_components: NDArray[Any]
) -> None:
    """Give every node the component of its points, or ``MIXED``."""
    n_leaves = (len(node_components) + 1) // 2
    for node in range(len(node_components) - 1, -1, -1):
        if node < n_leaves - 1:
            one = node_components[2 * node + 1]
            node_components[node] = one if node_components[2 * node + 2] == one else MIXED
            continue
        start, stop = starts[node, 0], starts[node, 1]
        one = components[start]
        for p in range(start + 1, stop):
            if components[p] != one:
                one = MIXED
                break
        node_components[node] = one
