"""Places of pixels in a latent space, found from their nearest landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.latent.neighbour_kernels import nearest_landmarks, place_rows
from sigma_scale.latent.rows import in_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["METRICS", "NOVELTY_THRESHOLD", "LandmarkIndex", "Placement", "radii_of"]

METRICS = ("euclidean", "manhattan", "chebyshev")
"""Distances between features, in the order of their numbers in the kernels."""

NOVELTY_THRESHOLD = 2.0
"""Novelty from which on a row is unlike the landmarks: twice as far as these are apart."""

_BUCKET = 128  # landmarks compared at once: measured to be the quickest, 64 and 256 are close
_LANES = 8
_BATCH = 4096
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class LandmarkIndex:
    """
    Landmarks in buckets of neighbours, for exact searches.

    Halving at the median of the widest feature, as in a k-d tree, gives buckets of equal size.
    A search takes the distance to the box of every bucket, and visits the near ones; both are
    loops over lanes of numbers that lie side by side.

    Attributes
    ----------
    points : numpy.ndarray, shape (b, k, w), float64
        Landmarks by bucket, feature and lane.
    numbers : numpy.ndarray, shape (b, w), int32
        Their numbers; -1 for empty lanes.
    low, high : numpy.ndarray, shape (k, b), float64
        Corners of the box of each bucket.
    metric : int
        Number of the metric in :data:`METRICS`.
    """

    points: NDArray[np.float64]
    numbers: NDArray[np.int32]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    metric: int

    @classmethod
    def of(cls, landmarks: NDArray[np.float32], metric: str) -> LandmarkIndex:
        """
        Put landmarks into buckets.

        Parameters
        ----------
        landmarks : numpy.ndarray, shape (m, k), float32
            Their features.
        metric : str
            One of :data:`METRICS`.

        Returns
        -------
        LandmarkIndex
        """
        features = landmarks.astype(np.float64)
        buckets = [np.arange(len(features))]
        while max(len(bucket) for bucket in buckets) > _BUCKET:
            buckets = [half for bucket in buckets for half in _halves(features, bucket)]
        # Whole vectors of a processor's lanes.
        width = -(-max(len(bucket) for bucket in buckets) // _LANES) * _LANES
        points = np.zeros((len(buckets), features.shape[1], width))
        numbers = np.full((len(buckets), width), -1, np.int32)
        low, high = np.empty((2, features.shape[1], len(buckets)))
        for number, bucket in enumerate(buckets):
            members = features[bucket]
            points[number, :, : len(bucket)] = members.T
            numbers[number, : len(bucket)] = bucket
            low[:, number], high[:, number] = members.min(axis=0), members.max(axis=0)
        return cls(points, numbers, low, high, METRICS.index(metric))

    def query(
        self, rows: NDArray[np.float32], n_neighbors: int, *, workers: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """
        Find the nearest landmarks of each row; of equally near ones, the first.

        Parameters
        ----------
        rows : numpy.ndarray, shape (n, k), float32
        n_neighbors : int
            At most as many as there are landmarks.
        workers : int
            Threads.

        Returns
        -------
        distances : numpy.ndarray, shape (n, n_neighbors), float64
        nearest : numpy.ndarray, shape (n, n_neighbors), int32
        """
        distances = np.empty((len(rows), n_neighbors))
        nearest = np.empty((len(rows), n_neighbors), np.int32)

        def batch(first: int) -> None:
            part = slice(first, first + _BATCH)
            nearest_landmarks(
                rows[part],
                self.points,
                self.numbers,
                self.low,
                self.high,
                self.metric,
                distances[part],
                nearest[part],
            )

        in_threads(batch, range(0, len(rows), _BATCH), workers)
        return distances, nearest


@dataclass(frozen=True)
class Placement:
    """
    What a row's place is made from.

    Attributes
    ----------
    index : LandmarkIndex
        The landmarks.
    positions : numpy.ndarray, shape (m, c), float32
        Their places in the latent space.
    radii : numpy.ndarray, shape (m,), float64
        Distance over which each of them speaks.
    n_neighbors : int
        Landmarks that have a say in the place of a row.
    """

    index: LandmarkIndex
    positions: NDArray[np.float32]
    radii: NDArray[np.float64]
    n_neighbors: int

    def place(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """
        Place each row at the weighted mean position of its nearest landmarks.

        The weight of a landmark at distance d is 1 / d**2 (Shepard's interpolation [1]_), so a
        row that is a landmark lands on it. Neighbours are exact, and the arithmetic of a row is
        its own, in operations that IEEE 754 rounds correctly: its place has the same bits in any
        batch.

        Parameters
        ----------
        rows : numpy.ndarray, shape (n, k), float32
            Features of each pixel.

        Returns
        -------
        places : numpy.ndarray, shape (n, c), float32
        novelty : numpy.ndarray, shape (n,), float32
            Distance of the nearest landmark in units of its radius; see :func:`radii_of`.

        References
        ----------
        .. [1] D. Shepard: A two-dimensional interpolation function for irregularly-spaced data.
           Proceedings of the 23rd ACM National Conference (1968) 517-524.
        """
        places = np.empty((len(rows), self.positions.shape[1]), np.float32)
        novelty = np.empty(len(rows), np.float32)
        index = self.index
        place_rows(
            rows,
            index.points,
            index.numbers,
            index.low,
            index.high,
            index.metric,
            self.positions,
            self.radii,
            self.n_neighbors,
            places,
            novelty,
        )
        return places, np.minimum(novelty, np.float32(_LARGEST))


def radii_of(distances: NDArray[np.float64], nearest: NDArray[np.int32]) -> NDArray[np.float64]:
    """
    Distance over which each landmark speaks: how far neighbours are from each other around it.

    That is the median, over a landmark and its neighbours, of the distance to the farthest of
    their neighbours. The median keeps a landmark that is itself far from all others from
    speaking for the emptiness around it.

    Parameters
    ----------
    distances, nearest : numpy.ndarray, shape (m, n_neighbors)
        Neighbours of the landmarks among themselves, each one its own first.

    Returns
    -------
    numpy.ndarray, shape (m,), float64
    """
    radii: NDArray[np.float64] = np.median(distances[:, -1][nearest], axis=1)
    return radii


def _halves(
    features: NDArray[np.float64], bucket: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    members = features[bucket]
    widest = int(np.argmax(members.max(axis=0) - members.min(axis=0)))
    order = np.argsort(members[:, widest], kind="stable")
    half = len(bucket) // 2
    return bucket[order[:half]], bucket[order[half:]]
