"""
Expectation and maximisation over rows of any number.

A pass evaluates the rows batch by batch and keeps sums alone (:class:`Moments`); the batches are
cut by row number and their sums added in that order, so that a fit is the same to the last bit for
any chunking of the rows and any number of threads.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import numpy as np

from sigma_scale.clustering.mixture_moments import Gaussians, Moments, precision_factors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.clustering.row_source import RowSource

    Floats = NDArray[np.float64]

__all__ = ["Fit", "Likeliest", "Model", "array_moments", "expectation", "run_em"]

_LOGGER = logging.getLogger(__name__)

_ARRAY_CELLS = 2**24
"""Rows times components that are held on a GPU at a time: some arrays of 128 MB."""


class Model(Protocol):
    """What EM needs of a mixture."""

    def gaussians(self) -> Gaussians:
        """Densities for the E step."""
        ...

    def updated(self, moments: Moments) -> Self:
        """M step."""
        ...

    def bound(self, moments: Moments) -> float:
        """Lower bound that has to rise, after an M step with these moments."""
        ...


ModelT = TypeVar("ModelT", bound=Model)


@dataclass(frozen=True, eq=False)
class Fit(Generic[ModelT]):
    """
    How a run of EM ended.

    Parameters
    ----------
    model : Model
        The mixture.
    bounds : list of float
        Lower bound after each step.
    converged : bool
        Whether the last step changed it by less than the tolerance.
    """

    model: ModelT
    bounds: list[float]
    converged: bool


@dataclass(frozen=True, eq=False)
class Likeliest:
    """
    A mixture fitted by maximum likelihood.

    Parameters
    ----------
    weights : array, shape (m,)
        Share of each component.
    means : array, shape (m, d)
    covariances, precisions_cholesky : array
        In the shapes of scikit-learn's attributes.
    covariance_type : {"full", "tied", "diag", "spherical"}
    reg_covar : float
        Added to each variance.
    n_rows : int
        Rows that it is fitted to.
    """

    weights: Floats
    means: Floats
    covariances: Floats
    precisions_cholesky: Floats
    covariance_type: str
    reg_covar: float
    n_rows: int

    @classmethod
    def from_moments(
        cls, moments: Moments, *, covariance_type: str, reg_covar: float, n_rows: int
    ) -> Likeliest:
        """Make the mixture that fits sums over rows best."""
        counts, means, covariances = moments.estimate(covariance_type, reg_covar)
        return cls(
            counts / counts.sum(),
            means,
            covariances,
            precision_factors(covariances, covariance_type),
            covariance_type,
            reg_covar,
            n_rows,
        )

    def gaussians(self) -> Gaussians:
        """Densities for the E step."""
        with np.errstate(divide="ignore"):  # a weight may be given as 0
            log_weights = np.log(self.weights)
        return Gaussians.of(self.means, self.precisions_cholesky, log_weights, self.covariance_type)

    def updated(self, moments: Moments) -> Likeliest:
        """M step."""
        return self.from_moments(
            moments,
            covariance_type=self.covariance_type,
            reg_covar=self.reg_covar,
            n_rows=self.n_rows,
        )

    def bound(self, moments: Moments) -> float:
        """Mean log-likelihood of the rows before the M step."""
        return moments.log_likelihood / self.n_rows


def expectation(source: RowSource, gaussians: Gaussians, *, engine: str = "cpu") -> Moments:
    """
    Evaluate all rows and sum what an M step needs.

    Parameters
    ----------
    source : RowSource
        The rows.
    gaussians : Gaussians
        The mixture.
    engine : {"cpu", "gpu"}, default: "cpu"
        Where to; on a GPU with CuPy.

    Returns
    -------
    Moments
        With the means as their origins.

    Raises
    ------
    ParameterError
        If a value is NaN or infinite.
    """
    total = Moments.zero(gaussians.means)
    if engine == "gpu":
        import cupy

        per_row = len(gaussians.means) * (source.n_features + 1)
        batch_rows = max(1, _ARRAY_CELLS // per_row)
        for _, rows in source.batches(batch_rows=batch_rows):
            total.add(array_moments(rows, gaussians, xp=cupy, to_numpy=cupy.asnumpy))
        return total
    from sigma_scale.clustering.mixture_kernels import sum_moments

    def batch_moments(_: slice, rows: Floats) -> Moments:
        part = Moments.zero(gaussians.means)
        part.log_likelihood, part.entropy = sum_moments(
            rows,
            gaussians.means,
            gaussians.factors,
            gaussians.log_weights,
            gaussians.only_diagonal,
            part.weights,
            part.first,
            part.second,
        )
        return part

    for _, part in source.map(batch_moments):
        total.add(part)
    return total


def array_moments(rows: Floats, gaussians: Gaussians, *, xp: Any, to_numpy: Any) -> Moments:
    """
    Evaluate a batch of rows with any library of the array API standard.

    Parameters
    ----------
    rows : array, shape (b, d), float64
        The rows.
    gaussians : Gaussians
        The mixture.
    xp : module
        CuPy, NumPy or another library of the standard.
    to_numpy : callable
        Makes a NumPy array of one of the library's.

    Returns
    -------
    Moments
    """
    values = xp.asarray(rows)
    means, factors = xp.asarray(gaussians.means), xp.asarray(gaussians.factors)
    deviation = values[None, :, :] - means[:, None, :]
    projected = xp.matmul(deviation, factors)
    density = xp.asarray(gaussians.log_weights)[:, None] - 0.5 * xp.sum(projected**2, axis=2)
    highest = xp.max(density, axis=0)
    density = density - highest[None, :]
    share = xp.exp(density)
    total = xp.sum(share, axis=0)
    share = share / total[None, :]
    log_total = xp.log(total)
    weighted = share[:, :, None] * deviation
    return Moments(
        gaussians.means,
        to_numpy(xp.sum(share, axis=1)),
        to_numpy(xp.sum(weighted, axis=1)),
        to_numpy(xp.matmul(xp.permute_dims(deviation, (0, 2, 1)), weighted)),
        float(xp.sum(highest + log_total)),
        float(xp.sum(log_total) - xp.sum(share * density)),
    )


def run_em(
    source: RowSource,
    start: ModelT,
    *,
    tol: float,
    max_iter: int,
    previous: float = -np.inf,
    engine: str = "cpu",
) -> Fit[ModelT]:
    """
    Take EM steps until the lower bound rises by less than a tolerance.

    Parameters
    ----------
    source : RowSource
        The rows.
    start : Model
        The mixture to begin with.
    tol : float
        Tolerance of the lower bound.
    max_iter : int
        Steps at most.
    previous : float, default: -inf
        Lower bound of the start, where it was reached by earlier steps.
    engine : {"cpu", "gpu"}, default: "cpu"
        Where to evaluate the rows.

    Returns
    -------
    Fit

    Raises
    ------
    ParameterError
        If a value is NaN or infinite, or a component collapses.
    """
    model, bounds = start, []
    for step in range(1, max_iter + 1):
        moments = expectation(source, model.gaussians(), engine=engine)
        model = model.updated(moments)
        bounds.append(model.bound(moments))
        change, previous = bounds[-1] - previous, bounds[-1]
        _LOGGER.debug("EM step %d: lower bound %.6f, change %.2e", step, bounds[-1], change)
        if abs(change) < tol:
            return Fit(model, bounds, converged=True)
    return Fit(model, bounds, converged=False)
