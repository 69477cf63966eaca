"""From a minimum spanning tree to clusters: the dendrogram, which is kept, and cuts of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.density.hierarchy_kernels import (
    condense,
    gather_ties,
    select_by_epsilon,
    select_by_mass,
    select_leaves,
    stabilities,
)
from sigma_scale.clustering.density.linkage_kernels import edge_lengths, link, order_ties

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.clustering.density.kd_tree import KDTree

__all__ = ["Cut", "Dendrogram", "build_dendrogram", "cut_dendrogram"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Dendrogram:
    """
    Which clusters join at which distance, from the nearest to the farthest.

    Parameters
    ----------
    children : array, shape (n - 1, 2), int32 or int64
        What each join joins, the larger first. Points are 0 to n - 1, joins n, n + 1, ....
    sizes : array, shape (n - 1,), int32 or int64
        Points below each join.
    heights : array, shape (n - 1,), float64
        Squared mutual reachability of each join.
    """

    children: NDArray[Any]
    sizes: NDArray[Any]
    heights: NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Cut:
    """
    Clusters chosen from a dendrogram.

    Parameters
    ----------
    owners : array, shape (n,), int32 or int64
        Cluster of the condensed tree that each point leaves.
    leaving : array, shape (n,), int32 or int64
        Join of the dendrogram at which it does.
    parents : array, shape (clusters,), int32 or int64
        Cluster that each cluster is part of; -1 for the root, which is cluster 0.
    births : array, shape (clusters,), float64
        Squared distance below which a cluster is on its own.
    labels : array, shape (clusters,), int32
        Label of the chosen cluster that each cluster is or lies in; -1: none.
    peaks : array, shape (clusters,), float64
        Density at which the last point leaves that chosen cluster.
    """

    owners: NDArray[Any]
    leaving: NDArray[Any]
    parents: NDArray[Any]
    births: NDArray[np.float64]
    labels: NDArray[np.int32]
    peaks: NDArray[np.float64]


def build_dendrogram(tree: KDTree, edges: NDArray[Any], weights: NDArray[np.float64]) -> Dendrogram:
    """
    Join points along a spanning tree.

    Parameters
    ----------
    tree : KDTree
    edges : array, shape (n - 1, 2), int32 or int64
        Points of the tree that are joined, the lower number first.
    weights : array, shape (n - 1,), float64
        Squared mutual reachability of each edge. Edges of the same weight are taken from the
        shortest to the longest.

    Returns
    -------
    Dendrogram
    """
    order = np.argsort(weights)
    lengths = np.empty(len(weights))
    edge_lengths(tree.points, edges, lengths, tree.axes)
    order_ties(order, weights, lengths, edges)
    del lengths
    children = np.empty_like(edges)
    sizes = np.empty(len(edges), edges.dtype)
    link(edges, order, children, sizes)
    return Dendrogram(children=children, sizes=sizes, heights=weights[order])


def cut_dendrogram(
    dendrogram: Dendrogram,
    *,
    min_cluster_size: int,
    max_cluster_size: int = 0,
    cluster_selection_epsilon: float = 0.0,
    cluster_selection_method: str = "eom",
) -> Cut:
    """
    Choose clusters from a dendrogram.

    The dendrogram is condensed to clusters of at least ``min_cluster_size`` points; of these
    the most persistent ones are chosen (excess of mass), or the finest (leaf) [1]_, and those
    that are nearer than epsilon are not split [2]_. The whole is never one cluster.

    Joins at the same distance come apart at once, as in [1]_. There are many: a point joins all
    its nearer neighbours at its core distance. Where one lies between two clusters it belongs to
    neither, while libraries, which undo one join after the other, give it to either.

    Parameters
    ----------
    dendrogram : Dendrogram
    min_cluster_size : int
        Points of the smallest cluster, at least 2.
    max_cluster_size : int, default: 0
        Points of the largest, for "eom"; 0: no limit.
    cluster_selection_epsilon : float, default: 0.0
        Distance below which clusters are not split.
    cluster_selection_method : {"eom", "leaf"}, default: "eom"
        Which clusters to choose.

    Returns
    -------
    Cut

    References
    ----------
    .. [1] R. Campello, D. Moulavi, A. Zimek, J. Sander: Hierarchical density estimates for data
       clustering, visualization, and outlier detection. ACM TKDD 10 (2015) 5.
    .. [2] C. Malzer, M. Baum: A hybrid approach to hierarchical density-based cluster
       selection. MFI 2020, 223-228.
    """
    children, sizes, heights = dendrogram.children, dendrogram.sizes, dendrogram.heights
    kind = children.dtype
    leaders, parts = np.empty(len(children), kind), np.empty(len(children), kind)
    n_clusters = gather_ties(children, sizes, heights, min_cluster_size, leaders, parts)
    owners, leaving = np.empty(len(children) + 1, kind), np.empty(len(children) + 1, kind)
    parents, members = np.empty(n_clusters, kind), np.empty(n_clusters, kind)
    births = np.empty(n_clusters)
    condense(
        children, sizes, heights, min_cluster_size, leaders, parts,
        owners, leaving, parents, births, members,
    )  # fmt: skip
    del leaders, parts
    stability = np.empty(n_clusters)
    deaths = np.empty(n_clusters)
    stabilities(heights, owners, leaving, parents, births, members, stability, deaths)
    chosen = np.empty(n_clusters, bool)
    if cluster_selection_method == "eom":
        select_by_mass(parents, members, stability, max_cluster_size, chosen)
    else:
        select_leaves(parents, chosen)
    if cluster_selection_epsilon > 0:
        select_by_epsilon(parents, births, float(cluster_selection_epsilon) ** 2, chosen)
    labels = np.where(chosen, np.cumsum(chosen) - 1, -1).astype(np.int32)
    peaks = np.where(chosen, deaths, 0.0)
    for cluster in range(1, n_clusters):
        if not chosen[cluster]:
            labels[cluster] = labels[parents[cluster]]
            peaks[cluster] = peaks[parents[cluster]]
    return Cut(
        owners=owners,
        leaving=leaving,
        parents=parents,
        births=births,
        labels=labels,
        peaks=peaks,
    )
