"""Birch of maps of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.cluster import Birch as SklearnBirch
from sklearn.utils.validation import check_is_fitted

from sigma_scale.clustering.lloyd import nearest
from sigma_scale.clustering.row_checks import check_different, check_n_fit
from sigma_scale.clustering.row_source import RowSource
from sigma_scale.errors import ParameterError
from sigma_scale.latent.rows import random_generator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.latent.rows import RandomState_

__all__ = ["Birch"]


class Birch(SklearnBirch):  # type: ignore[misc]
    """
    scikit-learn's Birch, fed in batches, and applied to any number of rows.

    Rows enter the tree in their order, so that the batches make no difference. That is a loop in
    Python of some ten microseconds a row: by default a sample is fitted, and all rows are labelled
    by the nearest subcluster.

    Parameters
    ----------
    threshold : float, default: 0.5
        Radius up to which a subcluster takes rows in.
    branching_factor : int, default: 50
        Subclusters of a node at most.
    n_clusters : int, estimator or None, default: 3
        Clusters that the subclusters are joined into; None: they are the clusters.
    compute_labels : bool, default: True
        Whether a fit labels its rows.
    n_fit : int, optional, default: 100_000
        Rows to fit on at most, a uniform sample of them in their order; None: all.
    random_state : int, RandomState or None, default: None
        Seed of the sample.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        branching_factor: int = 50,
        n_clusters: Any = 3,
        compute_labels: bool = True,
        n_fit: int | None = 100_000,
        random_state: RandomState_ = None,
    ) -> None:
        super().__init__(
            threshold=threshold,
            branching_factor=branching_factor,
            n_clusters=n_clusters,
            compute_labels=compute_labels,
        )
        self.n_fit = n_fit
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002, N803
        """
        Build the tree and label each row.

        Parameters
        ----------
        X : array-like or dask.array.Array, shape (n, n_features)
            Latent coordinates of each pixel.
        y : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            If a parameter cannot work, a value is NaN or infinite, or there are fewer different
            rows than clusters.
        """
        source = RowSource.of(self, X, reset=True)
        check_n_fit(self.n_fit)
        random_generator(self.random_state)
        fitted = source
        if self.n_fit is not None and len(source) > self.n_fit:
            fitted = RowSource(source.sample(self.n_fit, random_state=self.random_state))
        if isinstance(self.n_clusters, int | np.integer) and self.n_clusters >= 1:
            check_different(fitted, int(self.n_clusters), "clusters")
        model = SklearnBirch(threshold=self.threshold, branching_factor=self.branching_factor)
        try:
            self._validate_params()
            model.set_params(n_clusters=None)  # the subclusters are joined once, at the end
            for _, rows in fitted.batches():
                model.partial_fit(rows)
            model.set_params(n_clusters=self.n_clusters)
            model.partial_fit(None)
        except (ValueError, TypeError) as error:
            raise ParameterError(f"Birch cannot be fitted: {error}") from error
        own = {*model.get_params(), "n_features_in_"}
        for name, value in vars(model).items():
            if name not in own:
                setattr(self, name, value)
        if self.compute_labels:
            self.labels_ = self._nearest(source)
        return self

    def fit_predict(self, X: ArrayLike, y: object = None) -> NDArray[np.int32]:  # noqa: ARG002, N803
        """Fit and label each row; see :meth:`fit` and :meth:`predict`."""
        return self.fit(X).predict(X)

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:  # noqa: N803
        """
        Label each row with the cluster of the nearest subcluster.

        Parameters
        ----------
        X : array-like or dask.array.Array, shape (n, n_features)
            Latent coordinates of each pixel.

        Returns
        -------
        numpy.ndarray, shape (n,), int32

        Raises
        ------
        ShapeMismatchError
            If the features are not those of the fit.
        ParameterError
            If a value is NaN or infinite.
        """
        check_is_fitted(self)
        return self._nearest(RowSource.of(self, X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _nearest(self, source: RowSource) -> NDArray[np.int32]:
        found, _ = nearest(source, self.subcluster_centers_)
        return np.asarray(self.subcluster_labels_, np.int32)[found]
