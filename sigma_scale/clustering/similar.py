"""Clusters that the noise of single pixels does not tell apart, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.clustering.labels import NOISE, order_by_size
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.latent.rows import as_matrix, row_batches

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["merge_similar"]


def merge_similar(
    labels: ArrayLike, features: ArrayLike, *, max_distance: float = 4.0
) -> NDArray[np.int32]:
    """
    Merge clusters whose mean features lie within the scatter of single pixels.

    A mixture of many Gaussians splits one phase into several clusters. Pixels of one phase
    scatter about its mean by their counting noise, so two clusters whose means are only a few
    standard deviations of that scatter apart are one phase.

    Parameters
    ----------
    labels : array-like of int, shape (y, x) or (n,)
        Cluster of each pixel; -1 is noise and stays so.
    features : array-like, shape (y, x, line) or (n, line)
        Features of each pixel. Pixels with NaN take no part in means and scatter.
    max_distance : float, default: 4.0
        Largest mean Mahalanobis distance between the means of clusters that are merged.

    Returns
    -------
    numpy.ndarray of the shape of the labels, int32
        New labels in the order of their size, 0 the largest.

    Raises
    ------
    ShapeMismatchError
        If labels and features describe different pixels.
    ParameterError
        If the distance is negative or not a number.

    Notes
    -----
    The distance of two means is measured with the covariance of the features within clusters,
    pooled over all of them [1]_. Clusters are joined by average linkage, so that a few clusters
    of mixed pixels make no bridge between two phases.

    References
    ----------
    .. [1] P. Mahalanobis: On the generalized distance in statistics. Proceedings of the National
       Institute of Sciences of India 2 (1936) 49-55.
    """
    if not max_distance >= 0:
        raise ParameterError(f"max_distance must not be negative, got {max_distance}.")
    ordered, original = order_by_size(labels)
    values = np.asarray(features)
    if values.shape[:-1] != ordered.shape:
        raise ShapeMismatchError(
            f"The labels have the shape {ordered.shape} and the features {values.shape}: "
            "they must describe the same pixels."
        )
    if len(original) <= 1:
        return ordered
    rows = as_matrix(values.reshape(-1, values.shape[-1]), name="features")
    group = _groups(_whitened_means(ordered.ravel(), rows, len(original)), max_distance)
    # Noise looks up the last entry.
    merged, _ = order_by_size(np.append(group, NOISE)[ordered])
    return merged


def _whitened_means(
    labels: NDArray[np.int32], rows: NDArray[np.generic], n_clusters: int
) -> NDArray[np.float64]:
    """Mean of each cluster in units in which the scatter within clusters is 1."""
    n_features = rows.shape[1]
    valid = (labels >= 0) & np.isfinite(rows).all(axis=1)
    labels, rows = labels[valid], rows[valid]
    count = np.maximum(np.bincount(labels, minlength=n_clusters), 1)[:, np.newaxis]
    sums = [np.bincount(labels, column, minlength=n_clusters) for column in rows.T]
    means = np.stack(sums, axis=1) / count
    scatter = np.zeros((n_features, n_features))
    for batch, values in row_batches(rows, name="features", dtype=np.float64):
        deviation = values - means[labels[batch]]
        scatter += deviation.T @ deviation
    scatter /= max(len(rows) - n_clusters, 1)
    # In units of each feature's own spread first, so that a floor can be set for all of them.
    spread = np.sqrt(np.diagonal(scatter) + means.var(axis=0))
    spread[spread == 0] = 1.0
    variance, directions = np.linalg.eigh(scatter / np.outer(spread, spread))
    # Rounding alone tells nothing apart where there is no scatter, as in shares that add to one.
    floor = n_features * float(np.finfo(np.float32).eps)
    whitened: NDArray[np.float64] = (
        means / spread @ directions / np.sqrt(np.maximum(variance, floor))
    )
    return whitened


def _groups(means: NDArray[np.float64], max_distance: float) -> NDArray[np.int32]:
    """Group of each mean by average linkage, cut at a distance."""
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(means, method="average", metric="euclidean")
    return np.asarray(fcluster(tree, max_distance, criterion="distance") - 1, np.int32)
