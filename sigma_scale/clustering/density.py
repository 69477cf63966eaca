"""HDBSCAN of maps of any size: exact where it can be, else fitted on some pixels."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted

from sigma_scale.errors import ParameterError
from sigma_scale.latent.rows import as_matrix, as_rows, row_batches, seeded_sample
from sigma_scale.progress import progress_bar

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.latent.rows import RandomState_

__all__ = ["HDBSCAN"]

_LOGGER = logging.getLogger(__name__)
_SELECTION_METHODS = ("eom", "leaf")


class HDBSCAN(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """
    Hierarchical density clustering, with the hdbscan library [1]_ as its engine.

    With at most ``n_fit`` rows the result is the library's own. With more, it is fitted on a
    uniform sample of ``n_fit`` rows, which keeps the ratios of the densities, and every other
    row is assigned by the library's ``approximate_predict``: to the cluster of the sampled row
    with the smallest mutual reachability, if it is dense enough there. All numbers of pixels
    are given in pixels of the whole map: for a sample they are multiplied by its share of the
    pixels, so that densities are measured over the same distances.

    Parameters
    ----------
    min_cluster_size : int, default: 100
        Smallest number of pixels that make a cluster.
    min_samples : int, optional
        Neighbours that a density is measured with, counted as the hdbscan library does; more of
        them give smoother clusters and more noise. None: ``min_cluster_size``, but at most 15
        (the library takes ``min_cluster_size``).
    max_cluster_size : int, default: 0
        Largest number of pixels of a cluster; 0: no limit.
    cluster_selection_epsilon : float, default: 0.0
        Clusters nearer than this, in units of the latent space, are not split.
    cluster_selection_method : {"eom", "leaf"}, default: "eom"
        Most persistent clusters, or the finest ones.
    n_fit : int, default: 300_000
        Rows to fit on at most.
    random_state : int, RandomState or None, default: None
        Seed of the sample.
    n_jobs : int, default: 1
        Processes that the engine uses for the distances.

    Attributes
    ----------
    labels_ : numpy.ndarray, shape (n,), int32
        Cluster of each row of the fit; -1: noise.
    probabilities_ : numpy.ndarray, shape (n,), float32
        Strength of its membership; 0 for noise.
    sample_share_ : float
        Share of the rows that the clusters were found on; 1: all of them.
    min_cluster_size_, min_samples_ : int
        The parameters for the sample.
    n_features_in_ : int
        Number of latent coordinates.

    References
    ----------
    .. [1] R. Campello, D. Moulavi, J. Sander: Density-based clustering based on hierarchical
       density estimates. PAKDD 2013, 160-172. L. McInnes, J. Healy, S. Astels: hdbscan.
       JOSS 2 (2017) 205.
    """

    labels_: NDArray[np.int32]
    probabilities_: NDArray[np.float32]
    sample_share_: float
    min_cluster_size_: int
    min_samples_: int
    n_features_in_: int

    def __init__(
        self,
        *,
        min_cluster_size: int = 100,
        min_samples: int | None = None,
        max_cluster_size: int = 0,
        cluster_selection_epsilon: float = 0.0,
        cluster_selection_method: str = "eom",
        n_fit: int = 300_000,
        random_state: RandomState_ = None,
        n_jobs: int = 1,
    ) -> None:
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.max_cluster_size = max_cluster_size
        self.cluster_selection_epsilon = cluster_selection_epsilon
        self.cluster_selection_method = cluster_selection_method
        self.n_fit = n_fit
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002, N803
        """
        Find clusters and label all rows.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Latent coordinates of each pixel.
        y : None
            Not used.

        Returns
        -------
        HDBSCAN
            The fitted model.

        Raises
        ------
        ParameterError
            If a parameter cannot work, a value is NaN or infinite, or there are fewer rows than
            the smallest cluster has.
        """
        matrix = as_matrix(X, name="latent coordinates")
        self._check_parameters(len(matrix))
        chosen = seeded_sample(len(matrix), self.n_fit, random_state=self.random_state)
        sample = as_rows(matrix[chosen], name="latent coordinates", dtype=np.float64)
        self.sample_share_ = len(sample) / len(matrix)
        self.min_cluster_size_ = max(2, round(self.min_cluster_size * self.sample_share_))
        self.min_samples_ = max(1, round(self._min_samples() * self.sample_share_))
        self._engine = self._fitted_engine(sample)
        self.n_features_in_ = matrix.shape[1]
        self.labels_ = np.empty(len(matrix), np.int32)
        self.probabilities_ = np.empty(len(matrix), np.float32)
        if len(sample) < len(matrix):
            _LOGGER.info(
                "HDBSCAN on %d of %d pixels: min_cluster_size=%d and min_samples=%d of the sample",
                len(sample),
                len(matrix),
                self.min_cluster_size_,
                self.min_samples_,
            )
            rest = np.ones(len(matrix), bool)
            rest[chosen] = False
            self.labels_[rest], self.probabilities_[rest] = self.predict_proba_max(matrix[rest])
        self.labels_[chosen] = self._engine.labels_
        self.probabilities_[chosen] = self._engine.probabilities_
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:  # noqa: N803
        """
        Assign rows to the clusters found; -1: noise.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Latent coordinates of each pixel.

        Returns
        -------
        numpy.ndarray, shape (n,), int32
        """
        return self.predict_proba_max(X)[0]

    def predict_proba_max(self, X: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.float32]]:  # noqa: N803
        """
        Assign rows to the clusters found and say how strongly they belong to them.

        Rows are treated as ones that the fit has not seen: a row of the fit may come out
        slightly different from its entry in ``labels_``.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Latent coordinates of each pixel.

        Returns
        -------
        labels : numpy.ndarray, shape (n,), int32
        probabilities : numpy.ndarray, shape (n,), float32
        """
        from hdbscan import approximate_predict

        check_is_fitted(self)
        matrix = as_matrix(X, name="latent coordinates", n_features=self.n_features_in_)
        labels = np.full(len(matrix), -1, np.int32)
        probabilities = np.zeros(len(matrix), np.float32)
        if (self._engine.labels_ < 0).all():
            return labels, probabilities  # the engine would warn for every batch
        with progress_bar("Assigning pixels to clusters", total=len(matrix)) as bar:
            for rows, batch in row_batches(matrix, name="latent coordinates", dtype=np.float64):
                labels[rows], probabilities[rows] = approximate_predict(self._engine, batch)
                bar.update(len(batch))
        return labels, probabilities

    def _check_parameters(self, n_rows: int) -> None:
        least = {"min_cluster_size": 2, "max_cluster_size": 0, "n_fit": 2}
        if self.min_samples is not None:
            least["min_samples"] = 1
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ParameterError(f"{name} must be at least {value}, got {getattr(self, name)}.")
        if self.cluster_selection_method not in _SELECTION_METHODS:
            raise ParameterError(
                f"cluster_selection_method must be one of {', '.join(_SELECTION_METHODS)}, "
                f"got {self.cluster_selection_method!r}."
            )
        if not self.cluster_selection_epsilon >= 0:
            raise ParameterError(
                "cluster_selection_epsilon must not be negative, "
                f"got {self.cluster_selection_epsilon}."
            )
        needed = max(self.min_cluster_size, self._min_samples())
        if n_rows < needed:
            raise ParameterError(
                f"HDBSCAN needs at least {needed} pixels for min_cluster_size="
                f"{self.min_cluster_size} and min_samples={self.min_samples}, but there are "
                f"{n_rows}. Lower min_cluster_size or min_samples."
            )

    def _min_samples(self) -> int:
        default = min(self.min_cluster_size, 15)
        return default if self.min_samples is None else self.min_samples

    def _sampled_limit(self) -> int:
        """Largest cluster in sampled rows; 0 stays 0, which means no limit."""
        limit = round(self.max_cluster_size * self.sample_share_)
        return max(limit, 1) if self.max_cluster_size else 0

    def _fitted_engine(self, sample: NDArray[np.float64]) -> Any:
        import hdbscan

        engine = hdbscan.HDBSCAN(
            min_cluster_size=self.min_cluster_size_,
            min_samples=self.min_samples_,
            max_cluster_size=self._sampled_limit(),
            cluster_selection_epsilon=float(self.cluster_selection_epsilon),
            cluster_selection_method=self.cluster_selection_method,
            # The whole condensed tree must not be one cluster: that is not a segmentation.
            allow_single_cluster=False,
            core_dist_n_jobs=self.n_jobs,
            prediction_data=True,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="hdbscan")
            return engine.fit(sample)
