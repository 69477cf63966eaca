"""k-means of maps of any size."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.cluster import MiniBatchKMeans as SklearnMiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from sigma_scale.clustering.kmeans_base import StreamedKMeans, fitted_state, shell_of
from sigma_scale.clustering.lloyd import Centres, lloyd, nearest
from sigma_scale.clustering.mixture_starts import SAMPLE_ROWS
from sigma_scale.clustering.row_source import RowSource
from sigma_scale.errors import ParameterError
from sigma_scale.latent.rows import random_generator

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.latent.rows import RandomState_

    Floats = NDArray[np.float64]

__all__ = ["KMeans", "MiniBatchKMeans"]

_WINDOW_ROWS = 2**18
"""Rows that are read and shuffled together before they are cut into small batches."""


class KMeans(StreamedKMeans, SklearnKMeans):  # type: ignore[misc]
    """
    k-means over any number of rows by Lloyd's steps that keep sums alone.

    Up to 100,000 rows the fit is scikit-learn's own. With more, the centres of a sample of
    100,000 rows are moved by passes over all rows in batches; the batches are cut by row number,
    so that the result is the same to the last bit for any chunking and any number of threads.

    Parameters
    ----------
    n_clusters : int, default: 8
        Number of clusters.
    init : {"k-means++", "random"}, callable or array-like, default: "k-means++"
        Centres to begin with.
    n_init : int or "auto", default: "auto"
        Number of starts, of which the best is kept.
    max_iter : int, default: 300
        Steps at most.
    tol : float, default: 1e-4
        End when the squares of the moves add up to at most this part of the mean variance.
    n_fit : int, optional
        Rows to fit on at most, a uniform sample of them; None: all.
    random_state : int, RandomState or None, default: None
        Seed of the sample and of the start.
    verbose, copy_x, algorithm
        As in :class:`sklearn.cluster.KMeans`, and so are the attributes. More than 100,000 rows
        are never printed about, never changed, and always handled by Lloyd's algorithm.
    """

    _reference = SklearnKMeans

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str | Callable[..., Any] | ArrayLike = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        n_fit: int | None = None,
        random_state: RandomState_ = None,
        verbose: int = 0,
        copy_x: bool = True,
        algorithm: str = "lloyd",
    ) -> None:
        SklearnKMeans.__init__(
            self,
            n_clusters=n_clusters,
            init=init,
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
            verbose=verbose,
            random_state=random_state,
            copy_x=copy_x,
            algorithm=algorithm,
        )
        self.n_fit = n_fit

    def _streamed(self, source: RowSource, weights: Floats | None) -> dict[str, Any]:
        generator = random_generator(self.random_state)
        tol, max_iter = self.tol, self.max_iter
        best: Centres | None = None
        for _ in range(self._n_starts()):
            sample = source.sample(SAMPLE_ROWS, random_state=generator)
            centres = self._start(sample, generator)
            if weights is None:  # most of the way is made on few rows
                centres = lloyd(RowSource(sample), centres, tol=tol, max_iter=max_iter).centres
            found = lloyd(source, centres, tol=tol, max_iter=max_iter, row_weights=weights)
            if best is None or found.inertia < best.inertia:
                best = found
        if best is None:  # n_init is at least 1
            raise ParameterError(f"n_init must be at least 1, got {self.n_init}.")
        if not best.converged:
            warnings.warn(
                f"The centres still moved after {self.max_iter} steps. Raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return {
            **shell_of(SklearnKMeans, best.centres),
            "inertia_": best.inertia,
            "n_iter_": best.n_iter,
        }


class MiniBatchKMeans(StreamedKMeans, SklearnMiniBatchKMeans):  # type: ignore[misc]
    """
    k-means over any number of rows by one pass in small batches.

    Up to 100,000 rows the fit is scikit-learn's own. With more, all rows are seen once: they are
    read in order, 262,144 at a time, shuffled by the seed, and given to scikit-learn's
    ``partial_fit`` in batches of ``batch_size``. The result doesn't depend on the chunks.

    Parameters
    ----------
    n_clusters : int, default: 8
        Number of clusters.
    init : {"k-means++", "random"}, callable or array-like, default: "k-means++"
        Centres to begin with, from a sample of 100,000 rows.
    batch_size : int, default: 1024
        Rows of a small batch.
    n_fit : int, optional
        Rows to fit on at most, a uniform sample of them; None: all.
    random_state : int, RandomState or None, default: None
        Seed of the sample, the start and the order.
    reassignment_ratio : float, default: 0.01
        Centres with less than this part of the most rows are moved to random rows.
    max_iter, tol, max_no_improvement, n_init, init_size, verbose, compute_labels
        As in :class:`sklearn.cluster.MiniBatchKMeans`, and so are the attributes. Of more than
        100,000 rows there is one start and one pass, so that the first five have no part there;
        the labels are always found.
    """

    _reference = SklearnMiniBatchKMeans

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str | Callable[..., Any] | ArrayLike = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        verbose: int = 0,
        compute_labels: bool = True,
        n_fit: int | None = None,
        random_state: RandomState_ = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: int | str = "auto",
        reassignment_ratio: float = 0.01,
    ) -> None:
        SklearnMiniBatchKMeans.__init__(
            self,
            n_clusters=n_clusters,
            init=init,
            max_iter=max_iter,
            batch_size=batch_size,
            verbose=verbose,
            compute_labels=compute_labels,
            random_state=random_state,
            tol=tol,
            max_no_improvement=max_no_improvement,
            init_size=init_size,
            n_init=n_init,
            reassignment_ratio=reassignment_ratio,
        )
        self.n_fit = n_fit

    def _streamed(self, source: RowSource, weights: Floats | None) -> dict[str, Any]:
        from threadpoolctl import threadpool_limits

        generator = random_generator(self.random_state)
        centres = self._start(source.sample(SAMPLE_ROWS, random_state=generator), generator)
        model = SklearnMiniBatchKMeans(
            n_clusters=self.n_clusters,
            init=centres,
            n_init=1,
            batch_size=self.batch_size,
            random_state=generator.randint(2**31 - 1),
            reassignment_ratio=self.reassignment_ratio,
        )
        with threadpool_limits(1):  # other numbers of threads would round differently
            for rows, values in source.batches(batch_rows=_WINDOW_ROWS):
                order = generator.permutation(len(values))
                for first in range(0, len(order), self.batch_size):
                    chosen = order[first : first + self.batch_size]
                    part = None if weights is None else weights[rows][chosen]
                    model.partial_fit(values[chosen], sample_weight=part)
        state = fitted_state(model)
        _, state["inertia_"] = nearest(source, state["cluster_centers_"])
        state["n_iter_"] = 1
        return state
