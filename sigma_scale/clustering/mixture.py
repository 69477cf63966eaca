"""Gaussian mixtures of maps of any size, by maximum likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from sigma_scale.clustering.mixture_base import StreamedMixture
from sigma_scale.clustering.mixture_em import Likeliest
from sigma_scale.clustering.mixture_moments import Gaussians, precision_factors, precisions_of
from sigma_scale.errors import ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    from numpy.random import RandomState
    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.clustering.mixture_moments import Moments
    from sigma_scale.clustering.row_source import RowSource
    from sigma_scale.latent.rows import RandomState_

    Floats = NDArray[np.float64]

__all__ = ["GaussianMixture"]


class GaussianMixture(StreamedMixture, SklearnGaussianMixture):  # type: ignore[misc]
    """
    Gaussian mixture fitted to any number of rows by EM that keeps sums alone.

    Each EM step is one pass over the rows in batches, which are cut by row number: the result is
    the same to the last bit for any chunking of the rows and any number of threads, and there is
    never an array of rows by components (but for the result of ``predict_proba``). The start and
    the steps are those of scikit-learn, and so is the result, but for rounding; of more than
    100,000 rows k-means sees a sample of 100,000, and the others go to the nearest centre.

    Parameters
    ----------
    n_components : int, default: 1
        Number of Gaussians.
    covariance_type : {"full", "tied", "diag", "spherical"}, default: "full"
        Shape of the Gaussians.
    n_fit : int, optional
        Rows to fit on at most, a uniform sample of them; None: all.
    engine : {"auto", "cpu", "gpu"}, default: "auto"
        Where the rows are evaluated; on a GPU by CuPy. ``"auto"`` leaves up to 100,000 rows to the
        processor. Results of the two agree to rounding, not to the last bit.
    random_state : int, RandomState or None, default: None
        Seed of the sample and of the start.
    tol, reg_covar, max_iter, n_init, init_params, weights_init, means_init, precisions_init, \
warm_start, verbose, verbose_interval
        As in :class:`sklearn.mixture.GaussianMixture`, and so are the attributes. Steps are
        logged (level DEBUG), not printed.
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
        n_fit: int | None = None,
        engine: str = "auto",
        random_state: RandomState_ = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        SklearnGaussianMixture.__init__(
            self,
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
            warm_start=warm_start,
            verbose=verbose,
            verbose_interval=verbose_interval,
        )
        self.n_fit = n_fit
        self.engine = engine

    def _gaussians(self) -> Gaussians:
        with np.errstate(divide="ignore"):  # a component may have died out
            log_weights = np.log(self.weights_)
        return Gaussians.of(
            self.means_, self.precisions_cholesky_, log_weights, self.covariance_type
        )

    def _model_from(self, moments: Moments, source: RowSource) -> Likeliest:
        return Likeliest.from_moments(
            moments,
            covariance_type=self.covariance_type,
            reg_covar=self.reg_covar,
            n_rows=len(source),
        )

    def _model_now(self, source: RowSource) -> Likeliest:
        return Likeliest(
            self.weights_,
            self.means_,
            self.covariances_,
            self.precisions_cholesky_,
            self.covariance_type,
            self.reg_covar,
            len(source),
        )

    def _start(self, source: RowSource, generator: RandomState) -> Likeliest:
        """Begin with what is given; what is not comes from sharing out the rows."""
        weights, means, precisions = self._given(source.n_features)
        if weights is None or means is None or precisions is None:
            shared: Any = super()._start(source, generator)
            weights = shared.weights if weights is None else weights
            means = shared.means if means is None else means
            if precisions is None:
                covariances, factors = shared.covariances, shared.precisions_cholesky
                return self._likeliest(weights, means, covariances, factors, source)
        covariances = _inverse(precisions, self.covariance_type)
        factors = precision_factors(covariances, self.covariance_type)
        return self._likeliest(weights, means, covariances, factors, source)

    def _likeliest(
        self,
        weights: Floats,
        means: Floats,
        covariances: Floats,
        factors: Floats,
        source: RowSource,
    ) -> Likeliest:
        return Likeliest(
            weights,
            means,
            covariances,
            factors,
            self.covariance_type,
            self.reg_covar,
            len(source),
        )

    def _given(self, n_features: int) -> tuple[Floats | None, Floats | None, Floats | None]:
        """Parameters to begin with that the user gave, checked."""
        m, d = self.n_components, n_features
        shapes = {
            "weights_init": (m,),
            "means_init": (m, d),
            "precisions_init": {
                "full": (m, d, d),
                "tied": (d, d),
                "diag": (m, d),
                "spherical": (m,),
            }[self.covariance_type],
        }
        found: dict[str, Floats | None] = {}
        for name, shape in shapes.items():
            given = getattr(self, name)
            found[name] = None if given is None else np.array(given, np.float64)
            value = found[name]
            if value is not None and value.shape != shape:
                raise ShapeMismatchError(
                    f"{name} must have the shape {shape} for {m} components "
                    f"({self.covariance_type}) of {d} features, got {value.shape}."
                )
            if value is not None and not np.isfinite(value).all():
                raise ParameterError(f"{name} contains NaN or infinity.")
        weights = found["weights_init"]
        if weights is not None and (weights.min() < 0 or abs(weights.sum() - 1) > 1e-6):  # noqa: PLR2004
            raise ParameterError(
                f"weights_init must not be negative and must add up to 1, got a sum of "
                f"{weights.sum():.6g} and a least of {weights.min():.6g}."
            )
        return weights, found["means_init"], found["precisions_init"]

    def _attributes(self, model: Likeliest) -> dict[str, Any]:
        return {
            "weights_": model.weights,
            "means_": model.means,
            "covariances_": model.covariances,
            "precisions_cholesky_": model.precisions_cholesky,
            "precisions_": precisions_of(model.precisions_cholesky, self.covariance_type),
        }


def _inverse(precisions: Floats, covariance_type: str) -> Floats:
    """Covariances of given precisions, which must be positive definite."""
    try:
        if covariance_type in {"full", "tied"}:
            transposed = np.swapaxes(precisions, -1, -2)
            if np.allclose(precisions, transposed):
                np.linalg.cholesky(precisions)
                return np.asarray(np.linalg.inv(0.5 * (precisions + transposed)))
        elif (precisions > 0).all():
            return np.asarray(1.0 / precisions)
    except np.linalg.LinAlgError:
        pass  # named below
    raise ParameterError(
        f"precisions_init must be symmetric and positive definite ({covariance_type})."
    )
