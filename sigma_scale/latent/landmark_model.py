"""Models that know landmarks and their places, and place every other row among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sigma_scale import compute
from sigma_scale.latent.mapped import map_rows
from sigma_scale.latent.sources import feature_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sigma_scale.latent.placement import Placement

__all__ = ["LandmarkModel"]


class LandmarkModel(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """
    Base of models whose fit ends in landmarks and their places.

    A fit sets ``n_features_in_``, ``embedding_`` and ``_placement``, and ``feature_names_in_``
    where features have names. The parameter ``n_jobs`` is the number of threads.
    """

    embedding_: NDArray[np.float32]
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    n_jobs: int
    _placement: Placement

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def transform(self, X: Any) -> Any:  # noqa: N803
        """
        Place every row by its nearest landmarks.

        Parameters
        ----------
        X : array-like, shape (n, n_features) or (y, x, n_features)
            Features of each pixel, the same as in the fit and in the same order.

        Returns
        -------
        array, shape (n, n_components) or (y, x, n_components), float32
            A NumPy array; a lazy Dask array for a Dask array; an xarray.DataArray for a map,
            lazy if it is, with NaN where a pixel has NaN.

        Raises
        ------
        ParameterError
            If a value is NaN or infinite, or the features have other names.
        ShapeMismatchError
            If their number is another.
        """
        check_is_fitted(self)
        placement = self._placement
        return self._mapped(X, lambda rows: placement.place(rows)[0], self._n_features_out)

    def novelty(self, X: Any) -> Any:  # noqa: N803
        """
        Say how far each row is from what the landmarks know.

        That is its distance to the nearest landmark, in units of how far neighbours are from each
        other around that landmark. Pixels like those of the fit are below 1, or little above. From
        :data:`~sigma_scale.latent.placement.NOVELTY_THRESHOLD` (2) on a pixel is in a place of the
        feature space where no landmark is: a phase that the fit has not seen, or an artefact. It
        is placed all the same, near what is least unlike it.

        Parameters
        ----------
        X : array-like, shape (n, n_features) or (y, x, n_features)
            As for :meth:`transform`.

        Returns
        -------
        array, shape (n,) or (y, x), float32
            As :meth:`transform` gives it.
        """
        check_is_fitted(self)
        placement = self._placement
        return self._mapped(X, lambda rows: placement.place(rows)[1][:, np.newaxis], 1)[..., 0]

    def transform_with_novelty(self, X: Any) -> tuple[Any, Any]:  # noqa: N803
        """
        Give :meth:`transform` and :meth:`novelty` in one pass.

        Parameters
        ----------
        X : array-like, shape (n, n_features) or (y, x, n_features)
            As for :meth:`transform`.

        Returns
        -------
        places : array, shape (n, n_components) or (y, x, n_components), float32
        novelty : array, shape (n,) or (y, x), float32
        """
        check_is_fitted(self)
        placement = self._placement

        def both(rows: NDArray[np.float32]) -> NDArray[np.float32]:
            places, novelty = placement.place(rows)
            return np.column_stack([places, novelty])

        together = self._mapped(X, both, self._n_features_out + 1)
        return together[..., :-1], together[..., -1]

    def _mapped(
        self,
        features: Any,
        function: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        n_outputs: int,
    ) -> Any:
        names = getattr(self, "feature_names_in_", None)
        source = feature_source(
            features,
            model=type(self).__name__,
            n_features=self.n_features_in_,
            names=None if names is None else tuple(names),
        )
        return map_rows(
            function, source, n_outputs, workers=self._workers(), description="Placing pixels"
        )

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def _workers(self) -> int:
        return compute.local_workers() if self.n_jobs < 0 else self.n_jobs
