"""Labels of pixels: their order, their edits, and how well they match known phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = ["NOISE", "agreement", "contingency", "merge_by_majority", "order_by_size", "relabel"]

NOISE = -1
"""Label of pixels that belong to no cluster."""


def order_by_size(labels: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """
    Number the clusters from 0 in the order of their size, the largest first.

    Parameters
    ----------
    labels : array-like of int
        Cluster of each pixel; negative ones are noise.

    Returns
    -------
    ordered : numpy.ndarray of the same shape, int32
        New labels without gaps; noise is -1. Of clusters of equal size the one with the lower
        label comes first.
    original : numpy.ndarray, shape (n_clusters,), int64
        Original label of each new one.
    """
    values = _as_labels(labels, "labels")
    found, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    clusters = np.flatnonzero(found >= 0)
    largest_first = clusters[np.argsort(-counts[clusters], kind="stable")]
    new = np.full(len(found), NOISE, np.int32)
    new[largest_first] = np.arange(len(largest_first))
    return new[inverse].reshape(values.shape), found[largest_first].astype(np.int64)


def relabel(labels: ArrayLike, mapping: Mapping[int, int]) -> NDArray[np.int32]:
    """
    Replace labels by others; several may be mapped to one, which merges them.

    Parameters
    ----------
    labels : array-like of int
        Cluster of each pixel.
    mapping : mapping of int to int
        New label of each label that is to change. The others stay as they are.

    Returns
    -------
    numpy.ndarray of the same shape, int32

    Raises
    ------
    ParameterError
        If a label that is to change does not occur.
    """
    values = _as_labels(labels, "labels")
    found, inverse = np.unique(values, return_inverse=True)
    missing = sorted(set(mapping) - set(found.tolist()))
    if missing:
        raise ParameterError(
            f"There is no label {', '.join(map(str, missing))} to change; "
            f"there are: {', '.join(map(str, found.tolist()))}."
        )
    new = np.array([mapping.get(label, label) for label in found.tolist()], np.int32)
    return new[inverse].reshape(values.shape)


def contingency(labels: ArrayLike, truth: ArrayLike) -> pd.DataFrame:
    """
    Count the pixels of each cluster in each known phase.

    Parameters
    ----------
    labels, truth : array-like of int, same shape
        Cluster and known phase of each pixel.

    Returns
    -------
    pandas.DataFrame, int64
        One row per label, one column per known phase, noise and unknown (-1) among them.

    Raises
    ------
    ShapeMismatchError
        If the two have different shapes.
    EmptyMapError
        If there are no pixels.
    """
    values, known = _as_labels(labels, "labels"), _as_labels(truth, "known phases")
    if values.shape != known.shape:
        raise ShapeMismatchError(
            f"The labels have the shape {values.shape} and the known phases {known.shape}: "
            "they must describe the same pixels."
        )
    rows, row = np.unique(values, return_inverse=True)
    columns, column = np.unique(known, return_inverse=True)
    cells = np.bincount(
        row.ravel() * len(columns) + column.ravel(), minlength=rows.size * columns.size
    )
    return pd.DataFrame(
        cells.reshape(len(rows), len(columns)).astype(np.int64),
        index=pd.Index(rows, name="label"),
        columns=pd.Index(columns, name="phase"),
    )


def merge_by_majority(labels: ArrayLike, truth: ArrayLike) -> NDArray[np.int32]:
    """
    Give each cluster the known phase that most of its pixels belong to.

    With as many clusters as pixels everything would fit: compare the result with the truth
    (``sklearn.metrics.adjusted_rand_score``) only where clusters are few.

    Parameters
    ----------
    labels : array-like of int
        Cluster of each pixel; -1 is noise and stays so.
    truth : array-like of int, same shape
        Known phase of each pixel; -1 is unknown and has no say.

    Returns
    -------
    numpy.ndarray of the same shape, int32

    Raises
    ------
    ShapeMismatchError
        If the two have different shapes.
    EmptyMapError
        If there are no pixels.
    """
    table = contingency(labels, truth)
    phases = table.columns.to_numpy()
    known = table.to_numpy()[:, phases >= 0]
    phases = phases[phases >= 0]
    mapping = {}
    for label, counts in zip(table.index.tolist(), known, strict=True):
        in_a_phase = label >= 0 and counts.any()
        mapping[label] = int(phases[np.argmax(counts)]) if in_a_phase else NOISE
    return relabel(labels, mapping)


def _as_labels(labels: ArrayLike, name: str) -> NDArray[np.integer]:
    values = np.asarray(labels)
    if values.size == 0:
        raise EmptyMapError(f"There are no pixels in the {name}.")
    if values.dtype.kind not in "iub":
        raise ParameterError(f"The {name} must be whole numbers, got {values.dtype}.")
    return values


def agreement(labels: ArrayLike, truth: ArrayLike) -> float:
    """
    Score a segmentation against known phases.

    Parameters
    ----------
    labels : array-like of int
        Cluster of each pixel; noise (-1) counts as one more phase, a wrong one.
    truth : array-like of int, of the same shape
        Known phase of each pixel.

    Returns
    -------
    float
        Adjusted Rand index [1]_ of the clusters, merged by majority: 1 is perfect, 0 is chance.

    Raises
    ------
    ShapeMismatchError
        If the shapes differ.

    References
    ----------
    .. [1] L. Hubert and P. Arabie: Comparing partitions. Journal of Classification 2 (1985)
       193-218.
    """
    from sklearn.metrics import adjusted_rand_score

    merged = merge_by_majority(labels, truth)
    return float(adjusted_rand_score(np.asarray(truth).ravel(), np.asarray(merged).ravel()))
