"""The minimum spanning tree of the mutual reachability, exact, by Boruvka's algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.density.linkage_kernels import edge_lengths
from sigma_scale.clustering.density.spanning_kernels import (
    find_nearest,
    join_components,
    keep_candidates,
    name_nodes,
    rename_points,
)
from sigma_scale.latent.rows import in_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.clustering.density.kd_tree import KDTree

__all__ = ["library_tree", "spanning_tree"]


def spanning_tree(
    tree: KDTree,
    cores: NDArray[np.float64],
    node_cores: NDArray[np.float64],
    *,
    threads: int = 1,
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """
    Find the minimum spanning tree of the mutual reachability of points.

    In each round every component of the forest found so far is joined to the one nearest to it
    [1]_. For each point the nearest one of another component is searched in the k-d tree;
    subtrees of its own component, and what is farther than its component's nearest so far, are
    passed over, and what a round has found is kept for the next [2]_.

    Parameters
    ----------
    tree : KDTree
    cores : array, shape (n,), float64
        Squared core distances of its points.
    node_cores : array, shape (nodes,), float64
        The smallest of each node.
    threads : int, default: 1
        Threads to use; the result is the same for any number.

    Returns
    -------
    edges : array, shape (n - 1, 2), int32 or int64
        Points of the tree that are joined, the lower number first.
    weights : array, shape (n - 1,), float64
        Squared mutual reachability of each edge.

    References
    ----------
    .. [1] O. Boruvka: O jistem problemu minimalnim. Prace Mor. Prirodoved. Spol. 3 (1926) 37-58.
    .. [2] W. March, P. Ram, A. Gray: Fast Euclidean minimum spanning tree: algorithm, analysis,
       and applications. KDD 2010, 603-612. L. McInnes, J. Healy: Accelerated hierarchical
       density based clustering. ICDM Workshops 2017, 33-42.
    """
    n = len(tree.points)
    kind = tree.order.dtype
    components = np.arange(n, dtype=kind)
    parents = np.arange(n, dtype=kind)
    node_components = np.empty(len(tree.lower), kind)
    candidates = np.full(n, -1, kind)
    weights = cores.copy()  # lower bounds at first
    nearest = np.empty(n)
    chosen = np.empty(n, kind)
    edges = np.empty((n - 1, 2), kind)
    edge_weights = np.empty(n - 1)
    n_edges = 0
    shared = (tree.points, tree.lower, tree.upper, tree.starts)
    state = (cores, node_cores, components, node_components, nearest, candidates, weights)
    pieces = tree.leaf_ranges()
    while n_edges < n - 1:
        name_nodes(tree.starts, components, node_components)
        keep_candidates(components, candidates, weights, nearest)
        in_threads(
            lambda leaves: find_nearest(*shared, *leaves, *state, tree.axes), pieces, threads
        )
        n_edges = join_components(
            tree.points,
            components,
            candidates,
            weights,
            parents,
            chosen,
            edges,
            edge_weights,
            n_edges,
            tree.axes,
        )
        rename_points(components, parents)
    return edges, edge_weights


def library_tree(
    tree: KDTree, cores: NDArray[np.float64], edges: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """
    Take over a spanning tree that a library has found.

    Parameters
    ----------
    tree : KDTree
    cores : array, shape (n,), float64
        Squared core distances of its points.
    edges : array, shape (n - 1, 2), int64
        Rows joined by each edge.

    Returns
    -------
    edges, weights : array
        See :func:`spanning_tree`; the weights are computed anew, in double precision.
    """
    kind = tree.order.dtype
    places = np.empty(len(tree.order), kind)
    places[tree.order] = np.arange(len(tree.order), dtype=kind)
    joined = np.sort(places[edges], axis=1)
    lengths = np.empty(len(joined))
    edge_lengths(tree.points, joined, lengths, tree.axes)
    return joined, np.maximum(lengths, cores[joined].max(axis=1))
