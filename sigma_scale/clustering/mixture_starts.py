"""What a mixture begins with: rows shared out among the components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans

from sigma_scale.clustering.lloyd import first_centres, label_moments
from sigma_scale.clustering.mixture_moments import Moments
from sigma_scale.clustering.row_checks import one_thread
from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from numpy.random import RandomState
    from numpy.typing import NDArray

    from sigma_scale.clustering.row_source import RowSource

    Floats = NDArray[np.float64]

__all__ = ["SAMPLE_ROWS", "STARTS", "row_moments", "start_moments"]

STARTS = ("kmeans", "k-means++", "random", "random_from_data")

SAMPLE_ROWS = 100_000
"""Rows that centres to begin with are found on."""


def start_moments(
    source: RowSource, n_components: int, init_params: str, generator: RandomState
) -> Moments:
    """
    Share the rows out among the components for the first M step.

    Parameters
    ----------
    source : RowSource
        The rows.
    n_components : int
        Number of components.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}
        How, as in scikit-learn: k-means on a sample of 100,000 rows (all, where they are fewer),
        and each row to the nearest centre; "k-means++" and "random_from_data": one row of the
        sample each; "random": a random part of each row to each component.
    generator : RandomState
        Source of chance.

    Returns
    -------
    Moments

    Raises
    ------
    ParameterError
        If there is no such way to begin, or a value is NaN or infinite.
    """
    if init_params not in STARTS:
        raise ParameterError(
            f"init_params must be one of {', '.join(STARTS)}, got {init_params!r}."
        )
    if init_params == "random":
        return _random(source, n_components, generator)
    sample = source.sample(SAMPLE_ROWS, random_state=generator)
    if init_params == "random_from_data":
        return row_moments(sample[generator.choice(len(sample), n_components, replace=False)])
    if init_params == "k-means++":
        return row_moments(first_centres(sample, n_components, generator))
    with one_thread():
        found = KMeans(n_components, n_init=1, random_state=generator).fit(sample)
    return label_moments(source, found.cluster_centers_)


def row_moments(rows: Floats) -> Moments:
    """
    Moments of components that have one row each.

    Parameters
    ----------
    rows : array, shape (m, d), float64
        The rows.

    Returns
    -------
    Moments
    """
    moments = Moments.zero(np.array(rows))
    moments.weights += 1.0
    return moments


def _random(source: RowSource, n_components: int, generator: RandomState) -> Moments:
    """Random shares; the numbers are drawn in the order of the rows, as scikit-learn does."""
    shift = next(iter(source.batches()))[1].mean(axis=0)
    total = Moments.zero(np.tile(shift, (n_components, 1)))
    for _, rows in source.batches(batch_rows=1024):
        share = generator.uniform(size=(len(rows), n_components))
        share /= share.sum(axis=1, keepdims=True)
        deviation = rows - shift
        total.weights += share.sum(axis=0)
        # Not matrix products, whose rounding may depend on the number of threads.
        total.first += np.einsum("bk,bi->ki", share, deviation)
        total.second += np.einsum("bk,bi,bj->kij", share, deviation, deviation)
    return total
