"""Variational Gaussian mixtures of maps of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.mixture import BayesianGaussianMixture as SklearnBayesianGaussianMixture

from sigma_scale.clustering.lloyd import total_moments
from sigma_scale.clustering.mixture_base import StreamedMixture
from sigma_scale.clustering.mixture_moments import Gaussians, precisions_of
from sigma_scale.clustering.mixture_variational import (
    Posterior,
    Prior,
    expected_log_weights,
    stick_weights,
)
from sigma_scale.errors import ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sigma_scale.clustering.mixture_moments import Moments
    from sigma_scale.clustering.row_source import RowSource
    from sigma_scale.latent.rows import RandomState_

__all__ = ["BayesianGaussianMixture"]


class BayesianGaussianMixture(StreamedMixture, SklearnBayesianGaussianMixture):  # type: ignore[misc]
    """
    Variational Gaussian mixture fitted to any number of rows by EM that keeps sums alone.

    It goes as :class:`GaussianMixture` does, with the same promises.

    Parameters
    ----------
    n_components : int, default: 1
        Number of Gaussians; those that are not needed get a small weight.
    covariance_type : {"full", "tied", "diag", "spherical"}, default: "full"
        Shape of the Gaussians.
    n_fit : int, optional
        Rows to fit on at most, a uniform sample of them; None: all.
    engine : {"auto", "cpu", "gpu"}, default: "auto"
        Where the rows are evaluated, as in :class:`GaussianMixture`.
    random_state : int, RandomState or None, default: None
        Seed of the sample and of the start.
    tol, reg_covar, max_iter, n_init, init_params, weight_concentration_prior_type, \
weight_concentration_prior, mean_precision_prior, mean_prior, degrees_of_freedom_prior, \
covariance_prior, warm_start, verbose, verbose_interval
        As in :class:`sklearn.mixture.BayesianGaussianMixture`, and so are the attributes. The
        lower bound grows with the number of rows, and with it what ``tol`` means.
    """

    def __init__(
        self,
        *,
        n_components: int = 1,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weight_concentration_prior_type: str = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: float | ArrayLike | None = None,
        n_fit: int | None = None,
        engine: str = "auto",
        random_state: RandomState_ = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        SklearnBayesianGaussianMixture.__init__(
            self,
            n_components=n_components,
            covariance_type=covariance_type,
            tol=tol,
            reg_covar=reg_covar,
            max_iter=max_iter,
            n_init=n_init,
            init_params=init_params,
            weight_concentration_prior_type=weight_concentration_prior_type,
            weight_concentration_prior=weight_concentration_prior,
            mean_precision_prior=mean_precision_prior,
            mean_prior=mean_prior,
            degrees_of_freedom_prior=degrees_of_freedom_prior,
            covariance_prior=covariance_prior,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
            verbose_interval=verbose_interval,
        )
        self.n_fit = n_fit
        self.engine = engine

    def _gaussians(self) -> Gaussians:
        terms = expected_log_weights(
            self.weight_concentration_,
            self.mean_precision_,
            self.degrees_of_freedom_,
            self.means_.shape[1],
        )
        return Gaussians.of(self.means_, self.precisions_cholesky_, terms, self.covariance_type)

    def _model_from(self, moments: Moments, source: RowSource) -> Posterior:
        return Posterior.from_moments(self._prior(source), moments)

    def _model_now(self, source: RowSource) -> Posterior:
        return Posterior(
            self._prior(source),
            self.weight_concentration_,
            self.mean_precision_,
            self.means_,
            self.degrees_of_freedom_,
            self.covariances_,
            self.precisions_cholesky_,
        )

    def _prior(self, source: RowSource) -> Prior:
        """Prior, from the rows where the user gave none."""
        d = source.n_features
        mean, covariance = self.mean_prior, self.covariance_prior
        if mean is None or covariance is None:
            own_mean, own_covariance = total_moments(source)
            mean = own_mean if mean is None else mean
            if covariance is None:
                diagonal = np.diagonal(own_covariance)
                covariance = {
                    "full": own_covariance,
                    "tied": own_covariance,
                    "diag": diagonal,
                    "spherical": diagonal.mean(),
                }[self.covariance_type]
        shape = {"full": (d, d), "tied": (d, d), "diag": (d,), "spherical": ()}
        mean = _of_shape("mean_prior", mean, (d,))
        covariance = _of_shape("covariance_prior", covariance, shape[self.covariance_type])
        freedom = self.degrees_of_freedom_prior
        if freedom is not None and freedom <= d - 1:
            raise ParameterError(
                f"degrees_of_freedom_prior must be more than {d - 1} for {d} features, got "
                f"{freedom}."
            )
        concentration = self.weight_concentration_prior
        return Prior(
            self.weight_concentration_prior_type,
            1.0 / self.n_components if concentration is None else concentration,
            mean,
            1.0 if self.mean_precision_prior is None else self.mean_precision_prior,
            d if freedom is None else freedom,
            covariance,
            self.covariance_type,
            self.reg_covar,
        )

    def _attributes(self, model: Posterior) -> dict[str, Any]:
        prior = model.prior
        return {
            "weight_concentration_prior_": prior.weight_concentration,
            "mean_precision_prior_": prior.mean_precision,
            "mean_prior_": prior.mean,
            "degrees_of_freedom_prior_": prior.degrees_of_freedom,
            "covariance_prior_": prior.covariance,
            "weight_concentration_": model.weight_concentration,
            "mean_precision_": model.mean_precision,
            "means_": model.means,
            "degrees_of_freedom_": model.degrees_of_freedom,
            "covariances_": model.covariances,
            "precisions_cholesky_": model.precisions_cholesky,
            "precisions_": precisions_of(model.precisions_cholesky, self.covariance_type),
            "weights_": stick_weights(model.weight_concentration),
        }


def _of_shape(name: str, given: Any, shape: tuple[int, ...]) -> Any:
    value = np.array(given, np.float64)
    if value.shape != shape:
        raise ShapeMismatchError(f"{name} must have the shape {shape}, got {value.shape}.")
    if not np.isfinite(value).all():
        raise ParameterError(f"{name} contains NaN or infinity.")
    return value
