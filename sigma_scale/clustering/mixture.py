"""Gaussian mixtures of maps of any size: fitted on some pixels, applied to all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture
from sklearn.utils.validation import check_is_fitted

from sigma_scale.errors import ParameterError
from sigma_scale.latent.rows import as_matrix, as_rows, row_batches, seeded_sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.latent.rows import RandomState_

__all__ = ["GaussianMixture"]

_LOGGER = logging.getLogger(__name__)


class GaussianMixture(SklearnGaussianMixture):  # type: ignore[misc]
    """
    scikit-learn's Gaussian mixture, fitted on a sample of the rows and applied to all.

    The sample is uniform, so that the weights are those of the whole map. ``predict``,
    ``predict_proba_max``, ``score_samples``, ``score``, ``bic`` and ``aic`` hold no array of
    rows by components, and treat each row on its own: the batch makes no difference.
    (``predict_proba`` does return such an array.)

    Parameters
    ----------
    n_components : int, default: 1
        Number of Gaussians.
    covariance_type : {"full", "tied", "diag", "spherical"}, default: "full"
        Shape of the Gaussians.
    n_fit : int, default: 100_000
        Rows to fit on at most.
    random_state : int, RandomState or None, default: None
        Seed of the sample and of the start.
    tol, reg_covar, max_iter, n_init, init_params, weights_init, means_init, precisions_init, \
verbose, verbose_interval
        As in :class:`sklearn.mixture.GaussianMixture`, and so are the attributes.
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        n_fit: int = 100_000,
        random_state: RandomState_ = None,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        super().__init__(
            n_components=n_components,
            covariance_type=covariance_type,
            tol=tol,
            reg_covar=reg_covar,
            max_iter=max_iter,
            n_init=n_init,
            init_params=init_params,
            weights_init=weights_init,
            means_init=means_init,
            precisions_init=precisions_init,
            random_state=random_state,
            verbose=verbose,
            verbose_interval=verbose_interval,
        )
        self.n_fit = n_fit

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002, N803
        """
        Fit the mixture on at most ``n_fit`` rows.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Latent coordinates of each pixel.
        y : None
            Not used.

        Returns
        -------
        GaussianMixture
            The fitted model.

        Raises
        ------
        ParameterError
            If a parameter cannot work, a value is NaN or infinite, or there are fewer rows, or
            fewer different rows, than components.
        """
        matrix = as_matrix(X, name="latent coordinates")
        if self.n_fit < 1:
            raise ParameterError(f"n_fit must be at least 1, got {self.n_fit}.")
        chosen = seeded_sample(len(matrix), self.n_fit, random_state=self.random_state)
        sample = as_rows(matrix[chosen], name="latent coordinates", dtype=np.float64)
        _check_number(self.n_components, sample)
        _LOGGER.info(
            "GaussianMixture: %d components on %d of %d pixels",
            self.n_components,
            len(sample),
            len(matrix),
        )
        parameters = self.get_params()
        del parameters["n_fit"]
        try:
            # An estimator of its own: scikit-learn's fit calls fit_predict, which means all rows.
            fitted = SklearnGaussianMixture(**parameters).fit(sample)
        except ValueError as error:
            raise ParameterError(f"The Gaussian mixture cannot be fitted: {error}") from error
        for name, value in vars(fitted).items():
            if name.endswith("_"):
                setattr(self, name, value)
        return self

    def fit_predict(self, X: ArrayLike, y: object = None) -> NDArray[np.int32]:  # noqa: ARG002, N803
        """Fit on at most ``n_fit`` rows and label them all."""
        return self.fit(X).predict(X)

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:  # noqa: N803
        """
        Label each row with its most likely component.

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
        Label each row with its most likely component and say how likely it is.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Latent coordinates of each pixel.

        Returns
        -------
        labels : numpy.ndarray, shape (n,), int32
        probabilities : numpy.ndarray, shape (n,), float32
        """
        check_is_fitted(self)
        matrix = as_matrix(X, name="latent coordinates", n_features=self.n_features_in_)
        labels = np.empty(len(matrix), np.int32)
        probabilities = np.empty(len(matrix), np.float32)
        for rows, label, probability, _ in self._evaluated(matrix):
            labels[rows] = label
            probabilities[rows] = probability
        return labels, probabilities

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """
        Calculate the log-likelihood of each row.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Latent coordinates of each pixel.

        Returns
        -------
        numpy.ndarray, shape (n,), float64
        """
        check_is_fitted(self)
        matrix = as_matrix(X, name="latent coordinates", n_features=self.n_features_in_)
        scores = np.empty(len(matrix))
        for rows, _, _, score in self._evaluated(matrix):
            scores[rows] = score
        return scores

    def _evaluated(
        self, matrix: NDArray[Any]
    ) -> Iterator[tuple[slice, NDArray[np.int32], NDArray[np.float32], NDArray[np.float64]]]:
        """Labels, probabilities and log-likelihoods, batch by batch."""
        from sigma_scale.clustering.mixture_kernels import most_likely

        factors = self._cholesky_factors()
        log_determinants = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        log_weights = (
            np.log(self.weights_) + log_determinants - 0.5 * matrix.shape[1] * np.log(2 * np.pi)
        )
        for rows, batch in row_batches(matrix, name="latent coordinates", dtype=np.float64):
            labels = np.empty(len(batch), np.int32)
            probabilities = np.empty(len(batch), np.float32)
            scores = np.empty(len(batch))
            most_likely(batch, self.means_, factors, log_weights, labels, probabilities, scores)
            yield rows, labels, probabilities, scores

    def _cholesky_factors(self) -> NDArray[np.float64]:
        """Bring the factors of the precisions into the form of "full", shape (m, d, d)."""
        n_components, n_features = self.means_.shape
        factors = self.precisions_cholesky_
        if self.covariance_type == "tied":
            factors = np.broadcast_to(factors, (n_components, n_features, n_features))
        elif self.covariance_type == "diag":
            factors = factors[:, :, np.newaxis] * np.eye(n_features)
        elif self.covariance_type == "spherical":
            factors = factors[:, np.newaxis, np.newaxis] * np.eye(n_features)
        return np.ascontiguousarray(factors, dtype=np.float64)


def _check_number(n_components: int, sample: NDArray[np.float64]) -> None:
    if n_components < 1:
        raise ParameterError(f"n_components must be at least 1, got {n_components}.")
    n_different = len(np.unique(sample[: 10 * n_components], axis=0))
    if n_different < n_components:  # look at all only where the first ones do not suffice
        n_different = len(np.unique(sample, axis=0))
    if n_different < n_components:
        raise ParameterError(
            f"{n_components} components cannot be fitted on {len(sample)} pixels of which "
            f"{n_different} are different. Ask for fewer components."
        )
