"""What the mixtures share: scikit-learn's parameters and attributes over rows of any number."""

from __future__ import annotations

import logging
import math
import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from sigma_scale.clustering.mixture_em import run_em
from sigma_scale.clustering.mixture_starts import SAMPLE_ROWS, start_moments
from sigma_scale.clustering.row_checks import (
    check_different,
    check_n_fit,
    is_positive,
)
from sigma_scale.clustering.row_source import BATCH_ROWS, RowSource
from sigma_scale.compute import check_memory
from sigma_scale.engines import choose_engine
from sigma_scale.errors import ParameterError
from sigma_scale.latent.rows import random_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import RandomState
    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.clustering.mixture_em import Fit, Model
    from sigma_scale.clustering.mixture_moments import Gaussians, Moments

    Floats = NDArray[np.float64]

__all__ = ["StreamedMixture"]

_LOGGER = logging.getLogger(__name__)


class StreamedMixture(ABC):
    """
    Fit and application of a mixture batch by batch, over an estimator of scikit-learn.

    A subclass has that estimator as its second base, and says how sums over the rows become a model
    and a model its attributes.
    """

    # Attributes and parameters of the estimators.
    n_components: int
    covariance_type: str
    tol: float
    reg_covar: float
    max_iter: int
    n_init: int
    init_params: str
    random_state: Any
    warm_start: bool
    n_fit: int | None
    engine: str
    means_: Floats
    precisions_cholesky_: Floats
    lower_bound_: float

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002, N803
        """
        Fit the mixture.

        Parameters
        ----------
        X : array-like or dask.array.Array, shape (n, n_features)
            Latent coordinates of each pixel. A Dask array is read batch by batch and may be
            larger than the memory.
        y : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            If a parameter cannot work, a value is NaN or infinite, there are fewer rows, or
            fewer different rows, than components, or a component collapses.
        EngineUnavailableError
            If the engine asked for cannot be used.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If ``max_iter`` steps were not enough.
        """
        source = RowSource.of(self, X, reset=True)
        self._check()
        engine = choose_engine(self.engine, what=type(self).__name__)
        n_rows = len(source)
        if self.n_fit is not None and n_rows > self.n_fit:
            source = RowSource(source.sample(self.n_fit, random_state=self.random_state))
        source = source.kept()
        check_different(source, self.n_components, "components")
        _LOGGER.info(
            "%s: %d components on %d of %d pixels",
            type(self).__name__,
            self.n_components,
            len(source),
            n_rows,
        )
        if self.engine == "auto" and len(source) <= SAMPLE_ROWS:
            engine = "cpu"
        for name, value in self._fitted(source, engine).items():
            setattr(self, name, value)
        return self

    def fit_predict(self, X: ArrayLike, y: object = None) -> NDArray[np.int32]:  # noqa: ARG002, N803
        """Fit and label each row; see :meth:`fit` and :meth:`predict`."""
        return self.fit(X).predict(X)

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:  # noqa: N803
        """
        Label each row with its most likely component.

        Parameters
        ----------
        X : array-like or dask.array.Array, shape (n, n_features)
            Latent coordinates of each pixel.

        Returns
        -------
        numpy.ndarray, shape (n,), int32
        """
        return self.predict_proba_max(X)[0]

    def predict_proba_max(self, X: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.float32]]:  # noqa: N803
        """
        Label each row with its most likely component and say how likely it is.

        Parameters
        ----------
        X : array-like or dask.array.Array, shape (n, n_features)
            Latent coordinates of each pixel.

        Returns
        -------
        labels : numpy.ndarray, shape (n,), int32
        probabilities : numpy.ndarray, shape (n,), float32

        Raises
        ------
        ShapeMismatchError
            If the features are not those of the fit.
        ParameterError
            If a value is NaN or infinite.
        """
        check_is_fitted(self)
        source = RowSource.of(self, X, reset=False)
        labels = np.empty(len(source), np.int32)
        probabilities = np.empty(len(source), np.float32)
        for rows, (label, probability, _) in self._evaluated(source):
            labels[rows] = label
            probabilities[rows] = probability
        return labels, probabilities

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """
        Calculate the probability of each component for each row.

        Parameters
        ----------
        X : array-like or dask.array.Array, shape (n, n_features)
            Latent coordinates of each pixel.

        Returns
        -------
        numpy.ndarray, shape (n, n_components), float64
            As many numbers as this: of a large map ask for :meth:`predict_proba_max`.

        Raises
        ------
        MemoryLimitError
            If it would not fit.
        """
        check_is_fitted(self)
        source = RowSource.of(self, X, reset=False)
        check_memory(
            8 * len(source) * len(self.means_),
            what="The probability of each component for each pixel",
            remedy="Use predict_proba_max(), which gives that of the most likely one.",
        )
        gaussians = self._gaussians()
        result = np.empty((len(source), len(self.means_)))
        for rows, values in source.batches(batch_rows=BATCH_ROWS // 4):
            deviation = values - gaussians.means[:, np.newaxis]
            squares = (np.einsum("kbi,kij->kbj", deviation, gaussians.factors) ** 2).sum(axis=2)
            density = gaussians.log_weights - 0.5 * squares.T
            density -= density.max(axis=1, keepdims=True)
            np.exp(density, out=density)
            result[rows] = density / density.sum(axis=1, keepdims=True)
        return result

    def score_samples(self, X: ArrayLike) -> Floats:  # noqa: N803
        """
        Calculate the log-likelihood of each row.

        Parameters
        ----------
        X : array-like or dask.array.Array, shape (n, n_features)
            Latent coordinates of each pixel.

        Returns
        -------
        numpy.ndarray, shape (n,), float64
        """
        check_is_fitted(self)
        source = RowSource.of(self, X, reset=False)
        scores = np.empty(len(source))
        for rows, (_, _, score) in self._evaluated(source):
            scores[rows] = score
        return scores

    def score(self, X: ArrayLike, y: object = None) -> float:  # noqa: ARG002, N803
        """
        Calculate the mean log-likelihood of the rows.

        Parameters
        ----------
        X : array-like or dask.array.Array, shape (n, n_features)
            Latent coordinates of each pixel.
        y : None
            Not used.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        source = RowSource.of(self, X, reset=False)
        return math.fsum(scores.sum() for _, (_, _, scores) in self._evaluated(source)) / len(
            source
        )

    def _evaluated(
        self, source: RowSource
    ) -> Iterator[tuple[slice, tuple[NDArray[np.int32], NDArray[np.float32], Floats]]]:
        """Labels, probabilities and log-likelihoods, batch by batch."""
        from sigma_scale.clustering.mixture_kernels import most_likely

        gaussians = self._gaussians()

        def evaluate(_: slice, rows: Floats) -> Any:
            labels = np.empty(len(rows), np.int32)
            probabilities = np.empty(len(rows), np.float32)
            scores = np.empty(len(rows))
            most_likely(
                rows,
                gaussians.means,
                gaussians.factors,
                gaussians.log_weights,
                labels,
                probabilities,
                scores,
            )
            return labels, probabilities, scores

        return source.map(evaluate)

    @abstractmethod
    def _gaussians(self) -> Gaussians:
        """Densities of the fitted mixture."""

    @abstractmethod
    def _model_from(self, moments: Moments, source: RowSource) -> Model:
        """First M step."""

    @abstractmethod
    def _model_now(self, source: RowSource) -> Model:
        """Model of the last fit, to go on with."""

    @abstractmethod
    def _attributes(self, model: Any) -> dict[str, Any]:
        """Attributes of the estimator that a fitted model stands for."""

    def _check(self) -> None:
        if not is_positive(self.n_components):
            raise ParameterError(f"n_components must be at least 1, got {self.n_components!r}.")
        check_n_fit(self.n_fit)
        random_generator(self.random_state)
        try:
            self._validate_params()  # type: ignore[attr-defined]
        except (ValueError, TypeError) as error:
            raise ParameterError(f"The Gaussian mixture cannot be fitted: {error}") from error

    def _fitted(self, source: RowSource, engine: str) -> dict[str, Any]:
        generator = random_generator(self.random_state)
        goes_on = self.warm_start and hasattr(self, "converged_")
        best: Fit[Any] | None = None
        for _ in range(1 if goes_on else self.n_init):
            start = self._model_now(source) if goes_on else self._start(source, generator)
            fit = run_em(
                source,
                start,
                tol=self.tol,
                max_iter=self.max_iter,
                previous=self.lower_bound_ if goes_on else -np.inf,
                engine=engine,
            )
            if best is None or (fit.bounds and fit.bounds[-1] > best.bounds[-1]):
                best = fit
        if best is None:  # n_init is at least 1
            raise ParameterError(f"n_init must be at least 1, got {self.n_init}.")
        if self.max_iter and not best.converged:
            warnings.warn(
                f"The best of {self.n_init} starts did not converge in {self.max_iter} steps. "
                "Try other init_params, a larger max_iter or tol, or fewer components.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return {
            **self._attributes(best.model),
            "converged_": best.converged,
            "n_iter_": len(best.bounds),
            "lower_bound_": best.bounds[-1] if best.bounds else -np.inf,
            "lower_bounds_": best.bounds,
        }

    def _start(self, source: RowSource, generator: RandomState) -> Model:
        moments = start_moments(source, self.n_components, self.init_params, generator)
        return self._model_from(moments, source)
