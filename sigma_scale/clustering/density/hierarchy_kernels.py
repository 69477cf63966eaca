"""Compiled loops over a dendrogram: condensing it, choosing clusters from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "condense",
    "density_at",
    "gather_ties",
    "label_points",
    "select_by_epsilon",
    "select_by_mass",
    "select_leaves",
    "stabilities",
    "strength",
]


@njit(nogil=True, cache=True)
def gather_ties(
    children: NDArray[Any],
    sizes: NDArray[Any],
    heights: NDArray[np.float64],
    least: int,
    leaders: NDArray[Any],
    parts: NDArray[Any],
) -> int:
    """
    Gather joins at the same distance, which come apart at once, and count the clusters.

    Parameters
    ----------
    children, sizes : array
        See :func:`link`.
    heights : array, shape (n - 1,), float64
        Squared distance of each join.
    least : int
        Points of the smallest cluster.
    leaders : array, shape (n - 1,), int
        Written: the highest of the joins that each join comes apart with.
    parts : array, shape (n - 1,), int
        Written for the leaders: how many parts of at least that size they come apart into.

    Returns
    -------
    int
        Number of clusters, the whole among them.
    """
    n = len(children) + 1
    leaders[:] = np.arange(n - 1)
    parts[:] = 0
    count = 1
    for join in range(n - 2, -1, -1):
        leader = leaders[join]
        for side in range(2):
            child = children[join, side] - n
            if child < 0:
                continue
            if heights[child] == heights[join]:
                leaders[child] = leader
            elif sizes[child] >= least:
                parts[leader] += 1
                if parts[leader] > 1:
                    count += 1 if parts[leader] > 2 else 2  # noqa: PLR2004
    return count


@njit(nogil=True, cache=True)
def condense(
    children: NDArray[Any],
    sizes: NDArray[Any],
    heights: NDArray[np.float64],
    least: int,
    leaders: NDArray[Any],
    parts: NDArray[Any],
    owners: NDArray[Any],
    leaving: NDArray[Any],
    parents: NDArray[Any],
    births: NDArray[np.float64],
    members: NDArray[Any],
) -> None:
    """
    Turn a dendrogram into a tree of clusters that points leave one by one.

    Parameters
    ----------
    children, sizes, heights, least, leaders, parts
        See :func:`gather_ties`.
    owners : array, shape (n,), int
        Written: the cluster that each point leaves.
    leaving : array, shape (n,), int
        Written: the join at which it does.
    parents : array, shape (clusters,), int
        Written: the cluster that a cluster leaves; -1 for the root, which is cluster 0. Parents
        come before their children.
    births : array, shape (clusters,), float64
        Written: squared distance of the join at which it does; infinity for the root.
    members : array, shape (clusters,), int
        Written: points of a cluster when it begins.
    """
    n = len(children) + 1
    inner_owners = np.zeros(n - 1, owners.dtype)
    inner_leaving = np.full(n - 1, -1, leaving.dtype)
    parents[0] = -1
    births[0] = np.inf
    members[0] = n
    count = 1
    for join in range(n - 2, -1, -1):
        leader = leaders[join]
        owner = inner_owners[leader]
        gone = inner_leaving[leader]
        for side in range(2):
            child = children[join, side]
            if child < n:
                owners[child] = owner
                leaving[child] = leader if gone < 0 else gone
                continue
            child -= n
            if leaders[child] == leader:
                continue
            inner_owners[child] = owner
            inner_leaving[child] = gone
            if gone >= 0:
                continue
            if sizes[child] < least:
                inner_leaving[child] = leader
            elif parts[leader] > 1:
                inner_owners[child] = count
                parents[count] = owner
                births[count] = heights[join]
                members[count] = sizes[child]
                count += 1


@njit(nogil=True, cache=True, inline="always")
def density_at(height: float) -> float:
    """Density at which a join comes apart: one over its distance."""
    return 1.0 / np.sqrt(height) if height > 0 else np.inf


@njit(nogil=True, cache=True)
def stabilities(
    heights: NDArray[np.float64],
    owners: NDArray[Any],
    leaving: NDArray[Any],
    parents: NDArray[Any],
    births: NDArray[np.float64],
    members: NDArray[Any],
    stability: NDArray[np.float64],
    deaths: NDArray[np.float64],
) -> None:
    """
    Sum how long points stay in each cluster, in densities, and find when its last one leaves.

    Parameters
    ----------
    heights, owners, leaving, parents, births, members
        See :func:`condense`.
    stability : array, shape (clusters,), float64
        Written: the sum over its points of the density at which a point leaves less that at
        which the cluster begins.
    deaths : array, shape (clusters,), float64
        Written: the density at which the last of its points or clusters leaves.
    """
    stability[:] = 0
    deaths[:] = 0
    for p in range(len(owners)):
        owner = owners[p]
        density = density_at(heights[leaving[p]])
        stability[owner] += density - density_at(births[owner])
        deaths[owner] = max(deaths[owner], density)
    for cluster in range(1, len(parents)):
        owner = parents[cluster]
        density = density_at(births[cluster])
        stability[owner] += (density - density_at(births[owner])) * members[cluster]
        deaths[owner] = max(deaths[owner], density)


@njit(nogil=True, cache=True)
def select_by_mass(
    parents: NDArray[Any],
    members: NDArray[Any],
    stability: NDArray[np.float64],
    largest: int,
    chosen: NDArray[np.bool_],
) -> None:
    """
    Choose the clusters of the largest total stability, none within another, not the root.

    Parameters
    ----------
    parents, members, stability
        See :func:`condense` and :func:`stabilities`.
    largest : int
        Most points of a cluster; 0: no limit.
    chosen : array, shape (clusters,), bool
        Written.
    """
    below = np.zeros(len(parents))
    chosen[:] = False
    for cluster in range(len(parents) - 1, 0, -1):
        total = stability[cluster]
        chosen[cluster] = not (
            below[cluster] > total or (largest > 0 and members[cluster] > largest)
        )
        if not chosen[cluster]:
            total = below[cluster]
        below[parents[cluster]] += total
    inside = np.zeros(len(parents), np.bool_)
    for cluster in range(1, len(parents)):
        inside[cluster] = inside[parents[cluster]]
        if inside[cluster]:
            chosen[cluster] = False
        inside[cluster] |= chosen[cluster]


@njit(nogil=True, cache=True)
def select_leaves(parents: NDArray[Any], chosen: NDArray[np.bool_]) -> None:
    """Choose the clusters that have none below them, but not the root."""
    chosen[:] = True
    chosen[0] = False
    for cluster in range(1, len(parents)):
        chosen[parents[cluster]] = False


@njit(nogil=True, cache=True)
def select_by_epsilon(
    parents: NDArray[Any],
    births: NDArray[np.float64],
    epsilon: float,
    chosen: NDArray[np.bool_],
) -> None:
    """
    Replace clusters that begin at less than a distance by what they are part of beyond it.

    Parameters
    ----------
    parents, births
        See :func:`condense`.
    epsilon : float
        The distance, squared.
    chosen : array, shape (clusters,), bool
        Changed. A cluster just below the root is never replaced.
    """
    for cluster in range(1, len(parents)):
        if not chosen[cluster] or births[cluster] >= epsilon:
            continue
        chosen[cluster] = False
        while parents[cluster] != 0 and births[cluster] <= epsilon:
            cluster = parents[cluster]  # noqa: PLW2901
        chosen[cluster] = True


@njit(nogil=True, cache=True, inline="always")
def strength(density: float, peak: float) -> float:
    """Strength of a membership: the density in units of the cluster's last, at most 1."""
    if peak == 0 or density == np.inf:
        return 1.0
    return min(density, peak) / peak


@njit(nogil=True, cache=True)
def label_points(
    heights: NDArray[np.float64],
    owners: NDArray[Any],
    leaving: NDArray[Any],
    cluster_labels: NDArray[np.int32],
    peaks: NDArray[np.float64],
    order: NDArray[Any],
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float32],
) -> None:
    """
    Label points, and say how strongly they belong to their clusters.

    Parameters
    ----------
    heights, owners, leaving
        See :func:`condense`.
    cluster_labels : array, shape (clusters,), int32
        Label of the chosen cluster that each cluster is or lies in; -1: none.
    peaks : array, shape (clusters,), float64
        Density at which that chosen cluster ends.
    order : array, shape (n,), int
        Row of each point.
    labels : array, shape (n,), int32
        Written, by row.
    probabilities : array, shape (n,), float32
        Written, by row.
    """
    for p in range(len(owners)):
        owner = owners[p]
        label = cluster_labels[owner]
        labels[order[p]] = label
        probabilities[order[p]] = (
            strength(density_at(heights[leaving[p]]), peaks[owner]) if label >= 0 else 0.0
        )
