"""A balanced k-d tree in a few flat arrays, the same for any order of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.density.tree_kernels import (
    measure_cores,
    set_inner_cores,
    sort_leaves,
    split_nodes,
)
from sigma_scale.latent.rows import in_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KDTree", "build_tree", "core_distances"]

_LEAF_POINTS = 12  # at most
_TOP_LEVELS = 5  # of the tree, split level by level; below, each subtree is a piece of work
_TASKS = 64  # pieces of work, so that threads end at about the same time
_UNROLLED = (2, 3)  # dimensions that kernels are compiled for; others take a loop
_LARGEST_INT32 = np.iinfo(np.int32).max // 2  # a dendrogram counts twice as many nodes


@dataclass(frozen=True, eq=False, kw_only=True)
class KDTree:
    """
    Points in the order of a tree, and the boxes of its nodes.

    The nodes are numbered as in a heap and all leaves lie on one level.

    Parameters
    ----------
    points : array, shape (n, d), float32 or float64
        Coordinates, leaf by leaf.
    order : array, shape (n,), int32 or int64
        Row that each point was.
    lower, upper : array, shape (nodes, d), float32 or float64
        Boxes.
    starts : array, shape (nodes, 2), int64
        First point of each node and the one after its last.
    """

    points: NDArray[Any]
    order: NDArray[Any]
    lower: NDArray[Any]
    upper: NDArray[Any]
    starts: NDArray[np.int64]

    @property
    def axes(self) -> Any:
        """Numbers of the dimensions, as a tuple where the kernels unroll them."""
        return axes_of(self.points.shape[1])

    @property
    def n_leaves(self) -> int:
        """Number of leaves; the last nodes."""
        return (len(self.lower) + 1) // 2

    def leaf_ranges(self) -> list[tuple[int, int]]:
        """Split the leaves, as node numbers, into pieces of work."""
        edges = np.linspace(0, self.n_leaves, min(_TASKS, self.n_leaves) + 1).astype(int)
        edges += self.n_leaves - 1
        return [(int(first), int(last)) for first, last in pairwise(edges)]


def axes_of(n_dimensions: int) -> Any:
    """Give the dimensions' numbers as the kernels take them."""
    if n_dimensions in _UNROLLED:
        return tuple(range(n_dimensions))
    return np.arange(n_dimensions)


def build_tree(rows: NDArray[Any], *, threads: int = 1) -> KDTree:
    """
    Build a k-d tree.

    Parameters
    ----------
    rows : array, shape (n, d), float32 or float64
        Coordinates, finite; they are copied.
    threads : int, default: 1
        Threads to use.

    Returns
    -------
    KDTree
        The same points in the same order, whatever the order of the rows: only equal rows can
        change places.
    """
    n, n_dimensions = rows.shape
    depth = max(int(np.ceil(np.log2(n / _LEAF_POINTS))), 0)
    n_nodes = 2 ** (depth + 1) - 1
    points = rows.copy()
    order = np.arange(n, dtype=np.int32 if n < _LARGEST_INT32 else np.int64)
    lower = np.empty((n_nodes, n_dimensions), rows.dtype)
    upper = np.empty((n_nodes, n_dimensions), rows.dtype)
    starts = np.empty((n_nodes, 2), np.int64)
    starts[0] = 0, n
    tree = KDTree(points=points, order=order, lower=lower, upper=upper, starts=starts)
    shared = (points, order, lower, upper, starts)
    top = min(depth, _TOP_LEVELS)

    def split(level: int, levels: int) -> None:
        nodes = range(2**level - 1, 2 ** (level + 1) - 1)
        in_threads(lambda node: split_nodes(*shared, node, levels, tree.axes), nodes, threads)

    for level in range(top):
        split(level, 1)
    split(top, depth - top)
    in_threads(
        lambda leaves: sort_leaves(points, order, starts, *leaves, tree.axes),
        tree.leaf_ranges(),
        threads,
    )
    return tree


def core_distances(
    tree: KDTree, n_neighbors: int, *, threads: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Find how far the k-th nearest other point is.

    Parameters
    ----------
    tree : KDTree
    n_neighbors : int
        k; there must be more points than that.
    threads : int, default: 1
        Threads to use.

    Returns
    -------
    cores : array, shape (n,), float64
        Squared distances, in the tree's order.
    node_cores : array, shape (nodes,), float64
        The smallest of each node.
    """
    cores = np.empty(len(tree.points))
    node_cores = np.empty(len(tree.lower))
    shared = (tree.points, tree.lower, tree.upper, tree.starts)
    in_threads(
        lambda leaves: measure_cores(*shared, *leaves, n_neighbors, cores, node_cores, tree.axes),
        tree.leaf_ranges(),
        threads,
    )
    set_inner_cores(node_cores)
    return cores, node_cores
