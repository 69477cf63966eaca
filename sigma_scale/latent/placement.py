"""Places of pixels in a latent space, found from their nearest landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.spatial import cKDTree

__all__ = ["METRICS", "place_rows"]

METRICS = {"euclidean": 2.0, "manhattan": 1.0, "chebyshev": np.inf}
"""Metrics and the order of the Minkowski norm that each one is."""


def place_rows(
    rows: NDArray[Any],
    tree: cKDTree,
    positions: NDArray[np.float32],
    *,
    n_neighbors: int,
    metric: str,
    workers: int,
) -> NDArray[np.float32]:
    """
    Place each row at the weighted mean position of its nearest landmarks.

    The weight of a landmark at distance d is 1 / d**2 (Shepard's interpolation [1]_), so a row
    that is a landmark lands on it. Neighbours are exact, and all arithmetic is done row by row
    in operations that IEEE 754 rounds correctly: a row's place has the same bits in any batch.

    Parameters
    ----------
    rows : numpy.ndarray, shape (n, k)
        Features of each pixel.
    tree : scipy.spatial.cKDTree
        Landmarks, all different.
    positions : numpy.ndarray, shape (m, c), float32
        Their places in the latent space.
    n_neighbors : int
        Landmarks that have a say in the place of a row.
    metric : str
        One of :data:`METRICS`.
    workers : int
        Threads.

    Returns
    -------
    numpy.ndarray, shape (n, c), float32

    References
    ----------
    .. [1] D. Shepard: A two-dimensional interpolation function for irregularly-spaced data.
       Proceedings of the 23rd ACM National Conference (1968) 517-524.
    """
    # A list, so that a single neighbour also comes with its own axis.
    nth = list(range(1, n_neighbors + 1))
    distance, nearest = tree.query(
        np.asarray(rows, np.float64), k=nth, p=METRICS[metric], workers=workers
    )
    place = np.zeros((len(rows), positions.shape[1]))
    total = np.zeros(len(rows))
    closest = distance[:, 0]
    # One neighbour at a time: a sum over an axis may be ordered by the shape of the batch.
    for column in range(n_neighbors):
        weight = _relative_weight(closest, distance[:, column])
        total += weight
        place += weight[:, np.newaxis] * positions[nearest[:, column]].astype(np.float64)
    place /= total[:, np.newaxis]
    return place.astype(np.float32)


def _relative_weight(
    closest: NDArray[np.float64], distance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weight relative to that of the closest landmark, from 0 to 1, whatever the scale."""
    ratio = np.ones_like(distance)
    np.divide(closest, distance, out=ratio, where=distance > 0)
    return ratio * ratio
