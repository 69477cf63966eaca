"""Compiled loops that join points to a dendrogram, along the edges of a spanning tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sigma_scale.clustering.density.spanning_kernels import find_root

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["edge_lengths", "link", "order_ties"]

_FEW = 16  # edges that are sorted by insertion


@njit(nogil=True, cache=True)
def edge_lengths(
    points: NDArray[Any], edges: NDArray[Any], lengths: NDArray[np.float64], axes: Any
) -> None:
    """Write the squared distance between the points of each edge."""
    for edge in range(len(edges)):
        total = 0.0
        for j in range(len(axes)):
            step = np.float64(points[edges[edge, 0], j]) - np.float64(points[edges[edge, 1], j])
            total += step * step
        lengths[edge] = total


@njit(nogil=True, cache=True, inline="always")
def _is_before(lengths: Any, edges: Any, a: int, b: int) -> bool:
    if lengths[a] != lengths[b]:
        return bool(lengths[a] < lengths[b])
    if edges[a, 0] != edges[b, 0]:
        return bool(edges[a, 0] < edges[b, 0])
    return bool(edges[a, 1] < edges[b, 1])


@njit(nogil=True, cache=True)
def order_ties(
    order: NDArray[np.int64],
    weights: NDArray[np.float64],
    lengths: NDArray[np.float64],
    edges: NDArray[Any],
) -> None:
    """
    Order edges of the same weight by their length, and then by their points.

    Parameters
    ----------
    order : array, shape (m,), int64
        Edges by weight; changed within runs of the same weight.
    weights : array, shape (m,), float64
    lengths : array, shape (m,), float64
        Distance between an edge's points.
    edges : array, shape (m, 2), int
    """
    start = 0
    while start < len(order):
        weight = weights[order[start]]
        stop = start + 1
        while stop < len(order) and weights[order[stop]] == weight:
            stop += 1
        if stop - start > _FEW:
            run = order[start:stop].copy()
            run = run[np.argsort(edges[run, 1], kind="mergesort")]
            run = run[np.argsort(edges[run, 0], kind="mergesort")]
            order[start:stop] = run[np.argsort(lengths[run], kind="mergesort")]
        else:
            for i in range(start + 1, stop):
                j = i
                while j > start and _is_before(lengths, edges, order[j], order[j - 1]):
                    order[j], order[j - 1] = order[j - 1], order[j]
                    j -= 1
        start = stop


@njit(nogil=True, cache=True)
def link(
    edges: NDArray[Any], order: NDArray[np.int64], children: NDArray[Any], sizes: NDArray[Any]
) -> None:
    """
    Join points along sorted edges.

    Parameters
    ----------
    edges : array, shape (n - 1, 2), int
        Points joined by each edge of a spanning tree.
    order : array, shape (n - 1,), int64
        The edges from the lightest to the heaviest.
    children : array, shape (n - 1, 2), int
        Written: what each join joins, the larger first. Points are 0 to n - 1, joins n, n + 1,
        ....
    sizes : array, shape (n - 1,), int
        Written: points below each join.
    """
    n = len(edges) + 1
    parents = np.arange(n).astype(edges.dtype)
    tops = np.arange(n).astype(edges.dtype)
    for join in range(n - 1):
        one = find_root(parents, edges[order[join], 0])
        other = find_root(parents, edges[order[join], 1])
        size_one = sizes[tops[one] - n] if tops[one] >= n else 1
        size_other = sizes[tops[other] - n] if tops[other] >= n else 1
        if size_one < size_other or (size_one == size_other and other < one):
            one, other = other, one
        children[join, 0] = tops[one]
        children[join, 1] = tops[other]
        sizes[join] = size_one + size_other
        parents[other] = one
        tops[one] = n + join
