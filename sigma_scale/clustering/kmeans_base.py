"""What the kinds of k-means share: scikit-learn's parameters and attributes over many rows."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from sigma_scale.clustering.lloyd import first_centres, nearest
from sigma_scale.clustering.row_checks import check_different, check_n_fit, one_thread
from sigma_scale.clustering.row_source import RowSource
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.latent.rows import random_generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import RandomState
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["SMALL_ROWS", "StreamedKMeans", "fitted_state", "shell_of"]

SMALL_ROWS = 100_000
"""Rows up to which scikit-learn itself fits, so that the results are its own."""

_LEAST_DIFFERENT = 2


class StreamedKMeans(ABC):
    """Fit and application batch by batch, over an estimator of scikit-learn."""

    _reference: type[Any]

    n_clusters: int
    init: Any
    n_init: Any
    max_iter: int
    tol: float
    random_state: Any
    n_fit: int | None
    cluster_centers_: Floats
    labels_: NDArray[np.int32]

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:  # noqa: ARG002, N803
        """
        Find the centres and label each row.

        Parameters
        ----------
        X : array-like or dask.array.Array, shape (n, n_features)
            Latent coordinates of each pixel.
        y : None
            Not used.
        sample_weight : array-like, shape (n,), optional
            How much each row counts.

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
        weights = _row_weights(sample_weight, len(source))
        self._check()
        fitted = source
        if self.n_fit is not None and len(source) > self.n_fit:
            if weights is not None:
                raise ParameterError(
                    f"sample_weight goes with all rows, but n_fit={self.n_fit} asks for a sample. "
                    "Give one of them."
                )
            fitted = RowSource(source.sample(self.n_fit, random_state=self.random_state))
        fitted = fitted.kept()
        _check_number(fitted, self.n_clusters)
        small = len(fitted) <= SMALL_ROWS
        values = self._fitted_small(fitted, weights) if small else self._streamed(fitted, weights)
        if getattr(self, "compute_labels", True):
            if not small or len(fitted) < len(source):
                values["labels_"], _ = nearest(source, values["cluster_centers_"])
            values["labels_"] = np.asarray(values["labels_"], np.int32)
        else:
            values.pop("labels_", None)
        for name, value in values.items():
            setattr(self, name, value)
        return self

    def fit_predict(
        self,
        X: ArrayLike,  # noqa: N803
        y: object = None,  # noqa: ARG002
        sample_weight: ArrayLike | None = None,
    ) -> NDArray[np.int32]:
        """Fit and label each row; see :meth:`fit`."""
        self.fit(X, sample_weight=sample_weight)
        return self.labels_ if hasattr(self, "labels_") else self.predict(X)

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:  # noqa: N803
        """
        Label each row with the nearest centre.

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
        return nearest(RowSource.of(self, X, reset=False), self.cluster_centers_)[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.sparse = False
        return tags

    @abstractmethod
    def _streamed(self, source: RowSource, weights: Floats | None) -> dict[str, Any]:
        """Fit many rows; attributes of the estimator by name."""

    def _check(self) -> None:
        check_n_fit(self.n_fit)
        random_generator(self.random_state)
        try:
            self._validate_params()  # type: ignore[attr-defined]
        except (ValueError, TypeError) as error:
            raise ParameterError(f"k-means cannot be fitted: {error}") from error

    def _fitted_small(self, source: RowSource, weights: Floats | None) -> dict[str, Any]:
        """Let scikit-learn fit few rows, in an object of its own."""
        model = self._reference(**{k: getattr(self, k) for k in self._reference().get_params()})
        try:
            with one_thread():
                model.fit(source.take(np.arange(len(source))), sample_weight=weights)
        except ValueError as error:
            raise ParameterError(f"k-means cannot be fitted: {error}") from error
        return fitted_state(model)

    def _start(self, sample: Floats, generator: RandomState) -> Floats:
        """Centres to begin with, from a sample of the rows."""
        init: str | Callable[..., Any] | ArrayLike = self.init
        if isinstance(init, str):
            if init == "k-means++":
                return first_centres(sample, self.n_clusters, generator)
            return sample[generator.choice(len(sample), self.n_clusters, replace=False)]
        if callable(init):
            init = init(sample, self.n_clusters, random_state=generator)
        centres = np.array(init, np.float64)
        shape = (self.n_clusters, sample.shape[1])
        if centres.shape != shape:
            raise ShapeMismatchError(f"init must have the shape {shape}, got {centres.shape}.")
        return centres

    def _n_starts(self) -> int:
        """As scikit-learn: ten random starts, one of any other kind."""
        if self.n_init == "auto":
            return 10 if isinstance(self.init, str) and self.init == "random" else 1
        return 1 if not isinstance(self.init, str) else int(self.n_init)


def _check_number(source: RowSource, n_clusters: int) -> None:
    """As scikit-learn: too few different rows leave clusters empty, unless there is but one."""
    if len(source) < n_clusters:
        raise ParameterError(
            f"{n_clusters} clusters cannot be made of n_samples={len(source)} pixels. Ask for "
            "fewer clusters."
        )
    if n_clusters > 1:
        check_different(source, _LEAST_DIFFERENT, "clusters")


def _row_weights(given: ArrayLike | None, n_rows: int) -> Floats | None:
    if given is None:
        return None
    weights = np.asarray(given, np.float64)
    if weights.ndim == 0:
        weights = np.full(n_rows, float(weights))
    if weights.shape != (n_rows,):
        raise ShapeMismatchError(
            f"sample_weight must have one number for each of {n_rows} rows: "
            f"sample_weight.shape == {weights.shape}, expected {(n_rows,)}!"
        )
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() <= 0:
        raise ParameterError(
            "sample_weight must hold numbers that are not negative and not all zero."
        )
    return weights


def fitted_state(model: Any) -> dict[str, Any]:
    """All that a fit has set, but for the features, which are the caller's."""
    own = {*model.get_params(), "n_features_in_", "feature_names_in_"}
    return {name: value for name, value in vars(model).items() if name not in own}


def shell_of(reference: type[Any], centres: Floats) -> dict[str, Any]:
    """What scikit-learn's methods need besides the centres, as a fit to these alone sets it."""
    model = reference(n_clusters=len(centres), init=centres, n_init=1, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # two centres may be the same
        model.fit(centres)
    model.cluster_centers_ = centres
    return fitted_state(model)
