"""Lloyd's k-means over rows of any number."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sigma_scale.clustering.mixture_moments import Moments

if TYPE_CHECKING:
    from numpy.random import RandomState
    from numpy.typing import NDArray

    from sigma_scale.clustering.row_source import RowSource

    Floats = NDArray[np.float64]

__all__ = ["Centres", "first_centres", "label_moments", "lloyd", "nearest", "total_moments"]


_ROUNDING = 1e-20
"""Least tolerance: moves of 1e-10 standard deviations are those of rounding."""


class Centres(NamedTuple):
    """What k-means found."""

    centres: Floats
    """Shape (m, d)."""
    inertia: float
    """Weighted sum of the squared distances to the nearest centres."""
    n_iter: int
    """Steps taken."""
    converged: bool
    """Whether the last step moved the centres by less than the tolerance."""


def first_centres(rows: Floats, n_clusters: int, generator: RandomState) -> Floats:
    """
    Choose rows that lie far apart, by k-means++.

    Parameters
    ----------
    rows : array, shape (n, d), float64
        Few rows, as a sample of many.
    n_clusters : int
        Number of centres.
    generator : RandomState
        Source of chance.

    Returns
    -------
    numpy.ndarray, shape (n_clusters, d), float64

    References
    ----------
    .. [1] D. Arthur, S. Vassilvitskii: k-means++: the advantages of careful seeding. Proc. 18th
       ACM-SIAM Symposium on Discrete Algorithms (2007) 1027-1035.
    """
    from sklearn.cluster import kmeans_plusplus
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # matrix products round differently on other numbers of threads
        centres: Floats = kmeans_plusplus(rows, n_clusters, random_state=generator)[0]
    return centres


def lloyd(
    source: RowSource,
    centres: Floats,
    *,
    tol: float,
    max_iter: int,
    row_weights: Floats | None = None,
) -> Centres:
    """
    Move centres to the means of the rows nearest to them, until they rest.

    A centre without rows stays where it is.

    Parameters
    ----------
    source : RowSource
        The rows.
    centres : array, shape (m, d), float64
        Where to begin.
    tol : float
        End when the sum of the squares of the moves is at most this part of the mean variance
        of the features.
    max_iter : int
        Steps at most.
    row_weights : array, shape (n,), float64, optional
        How much each row counts.

    Returns
    -------
    Centres

    Raises
    ------
    ParameterError
        If a value is NaN or infinite.

    References
    ----------
    .. [1] S. P. Lloyd: Least squares quantization in PCM. IEEE Transactions on Information
       Theory 28 (1982) 129-137.
    """
    _, covariance = total_moments(source)
    least = max(tol, _ROUNDING) * float(np.diagonal(covariance).mean())
    converged, n_steps = False, 0
    while n_steps < max_iter and not converged:
        n_steps += 1
        moments = label_moments(source, centres, row_weights=row_weights, with_second=False)
        counts = moments.weights[:, np.newaxis]
        moves = np.divide(moments.first, counts, out=np.zeros_like(centres), where=counts > 0)
        centres = centres + moves
        converged = float((moves**2).sum()) <= least
    inertia = label_moments(source, centres, row_weights=row_weights, with_second=False).entropy
    return Centres(centres, inertia, n_steps, converged)


def label_moments(
    source: RowSource,
    centres: Floats,
    *,
    row_weights: Floats | None = None,
    with_second: bool = True,
) -> Moments:
    """
    Sum the moments of the rows nearest to each centre.

    Parameters
    ----------
    source : RowSource
        The rows.
    centres : array, shape (m, d), float64
        The centres.
    row_weights : array, shape (n,), float64, optional
        How much each row counts.
    with_second : bool, default: True
        Whether second moments are wanted.

    Returns
    -------
    Moments
        With the centres as origins; its ``entropy`` is the sum of the squared distances.
    """
    from sigma_scale.clustering.kmeans_kernels import nearest_centres, sum_by_label

    centres = np.ascontiguousarray(centres, np.float64)

    def batch_moments(rows: slice, values: Floats) -> Moments:
        part = Moments.zero(centres)
        labels = np.empty(len(values), np.int32)
        squares = np.empty(len(values))
        nearest_centres(values, centres, labels, squares)
        weights = np.ones(len(values)) if row_weights is None else row_weights[rows]
        second = part.second if with_second else part.second[:0]
        sum_by_label(values, labels, weights, centres, part.weights, part.first, second)
        part.entropy = float((squares * weights).sum())
        return part

    total = Moments.zero(centres)
    for _, part in source.map(batch_moments):
        total.add(part)
    return total


def nearest(source: RowSource, centres: Floats) -> tuple[NDArray[np.int32], float]:
    """
    Label each row with the nearest centre.

    Returns
    -------
    labels : numpy.ndarray, shape (n,), int32
    inertia : float
        Sum of the squared distances.
    """
    from sigma_scale.clustering.kmeans_kernels import nearest_centres

    centres = np.ascontiguousarray(centres, np.float64)
    labels = np.empty(len(source), np.int32)

    def label(rows: slice, values: Floats) -> float:
        squares = np.empty(len(values))
        nearest_centres(values, centres, labels[rows], squares)
        return float(squares.sum())

    inertia = 0.0
    for _, part in source.map(label):
        inertia += part
    return labels, inertia


def total_moments(source: RowSource) -> tuple[Floats, Floats]:
    """
    Mean and covariance of all rows, the latter with n - 1 in the denominator.

    Returns
    -------
    mean : numpy.ndarray, shape (d,), float64
    covariance : numpy.ndarray, shape (d, d), float64
    """
    first_row = source.take(np.zeros(1, np.int64))
    moments = label_moments(source, first_row)
    mean = moments.first[0] / len(source)
    upper = moments.second[0]
    second = upper + np.triu(upper, 1).T
    covariance = second - len(source) * np.outer(mean, mean)
    return first_row[0] + mean, covariance / max(1, len(source) - 1)
