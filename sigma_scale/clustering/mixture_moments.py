"""What densities are calculated with, the sums that a pass over the rows gives, their meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "Gaussians",
    "Moments",
    "log_determinants",
    "precision_factors",
    "precisions_of",
]


@dataclass(frozen=True, eq=False)
class Gaussians:
    """
    Weighted Gaussians, in the form in which densities are calculated.

    Parameters
    ----------
    means : array, shape (m, d), float64
        Centres.
    factors : array, shape (m, d, d), float64
        Upper triangular factors ``C`` of the precisions ``C @ C.T``.
    log_weights : array, shape (m,), float64
        Logarithm of the weighted density at the centre.
    only_diagonal : bool, default: False
        Whether the covariances are diagonal.
    """

    means: Floats
    factors: Floats
    log_weights: Floats
    only_diagonal: bool = False

    @classmethod
    def of(
        cls, means: Floats, precisions_cholesky: Floats, log_weights: Floats, covariance_type: str
    ) -> Gaussians:
        """
        Bring a mixture's parameters into this form.

        Parameters
        ----------
        means : array, shape (m, d)
            Centres.
        precisions_cholesky : array
            Factors of the precisions, in the shape of scikit-learn's attribute.
        log_weights : array, shape (m,)
            What takes the place of the logarithms of the weights.
        covariance_type : {"full", "tied", "diag", "spherical"}
            Which shape that is.

        Returns
        -------
        Gaussians
        """
        n_components, n_features = means.shape
        factors = np.asarray(precisions_cholesky, np.float64)
        if covariance_type == "tied":
            factors = np.broadcast_to(factors, (n_components, n_features, n_features))
        elif covariance_type == "diag":
            factors = factors[:, :, np.newaxis] * np.eye(n_features)
        elif covariance_type == "spherical":
            factors = factors[:, np.newaxis, np.newaxis] * np.eye(n_features)
        factors = np.ascontiguousarray(factors)
        terms = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        terms += log_weights - 0.5 * n_features * np.log(2 * np.pi)
        return cls(
            np.ascontiguousarray(means, dtype=np.float64),
            factors,
            terms,
            covariance_type in {"diag", "spherical"},
        )


@dataclass(eq=False)
class Moments:
    """
    Sums over rows, with a point of each component's own as their origin.

    The origins lie near the new means, so that nothing large is subtracted from something
    large: the covariances of clusters far from zero keep their digits.

    Parameters
    ----------
    shifts : array, shape (m, d), float64
        The origins.
    weights : array, shape (m,), float64
        Sum of the responsibilities r.
    first : array, shape (m, d), float64
        Sum of r (x - shift).
    second : array, shape (m, d, d), float64
        Sum of r (x - shift) (x - shift)^T; the upper triangle counts.
    log_likelihood, entropy : float
        Of the rows under the mixture that the responsibilities are from.
    """

    shifts: Floats
    weights: Floats
    first: Floats
    second: Floats
    log_likelihood: float = 0.0
    entropy: float = 0.0

    @classmethod
    def zero(cls, shifts: Floats) -> Moments:
        """Make the sums over no rows."""
        n_components, n_features = shifts.shape
        return cls(
            shifts,
            np.zeros(n_components),
            np.zeros((n_components, n_features)),
            np.zeros((n_components, n_features, n_features)),
        )

    def add(self, other: Moments) -> None:
        """Add the sums over other rows, which have the same origins."""
        self.weights += other.weights
        self.first += other.first
        self.second += other.second
        self.log_likelihood += other.log_likelihood
        self.entropy += other.entropy

    def estimate(self, covariance_type: str, reg_covar: float) -> tuple[Floats, Floats, Floats]:
        """
        Estimate the Gaussians that fit the weighted rows best.

        Parameters
        ----------
        covariance_type : {"full", "tied", "diag", "spherical"}
            Shape of the Gaussians.
        reg_covar : float
            Added to each variance.

        Returns
        -------
        counts : array, shape (m,)
            Weighted number of rows of each component; more than 0.
        means : array, shape (m, d)
        covariances : array
            In the shape of scikit-learn's attribute.

        Notes
        -----
        The weighted means and covariances of Dempster, Laird and Rubin [1]_. As in scikit-learn
        the counts are ten times the smallest step from 1 larger than the sums.

        References
        ----------
        .. [1] A. P. Dempster, N. M. Laird, D. B. Rubin: Maximum likelihood from incomplete data
           via the EM algorithm. Journal of the Royal Statistical Society B 39 (1977) 1-38.
        """
        n_features = self.shifts.shape[1]
        counts = self.weights + 10 * np.finfo(np.float64).eps
        means = (self.first + self.weights[:, np.newaxis] * self.shifts) / counts[:, np.newaxis]
        moved = means - self.shifts
        cross = self.first[:, :, np.newaxis] * moved[:, np.newaxis]
        upper = np.triu(np.ones((n_features, n_features), bool))
        about = np.where(upper, self.second, 0.0)
        about = about + np.triu(about, 1).transpose(0, 2, 1)
        about -= cross + cross.transpose(0, 2, 1)
        about += (self.weights[:, np.newaxis] * moved)[:, :, np.newaxis] * moved[:, np.newaxis]
        diagonal = np.diagonal(about, axis1=1, axis2=2)
        if covariance_type == "full":
            covariances = about / counts[:, np.newaxis, np.newaxis] + reg_covar * np.eye(n_features)
        elif covariance_type == "tied":
            covariances = about.sum(axis=0) / counts.sum() + reg_covar * np.eye(n_features)
        else:
            covariances = diagonal / counts[:, np.newaxis] + reg_covar
            if covariance_type == "spherical":
                covariances = covariances.mean(axis=1)
        return counts, means, covariances


def precision_factors(covariances: Floats, covariance_type: str) -> Floats:
    """
    Factorise the inverses of covariances.

    Parameters
    ----------
    covariances : array
        In the shape of scikit-learn's attribute ``covariances_``.
    covariance_type : {"full", "tied", "diag", "spherical"}
        Which shape that is.

    Returns
    -------
    array
        ``C`` of the precision ``C @ C.T``, upper triangular; or one over the standard deviations.

    Raises
    ------
    ParameterError
        If a covariance is not positive definite: a component has collapsed.
    """
    if covariance_type in {"diag", "spherical"}:
        if (covariances <= 0).any():
            raise _collapsed()
        return np.asarray(1.0 / np.sqrt(covariances))
    try:
        lower = np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError as error:
        raise _collapsed() from error
    # All at once: calls of LAPACK one by one take milliseconds each where its threads have to wait.
    return np.triu(np.swapaxes(np.linalg.inv(lower), -1, -2))


def _collapsed() -> ParameterError:
    return ParameterError(
        "The Gaussian mixture cannot be fitted: a component has collapsed onto too few different "
        "pixels. Ask for fewer components, raise reg_covar, or scale the coordinates."
    )


def log_determinants(
    precisions_cholesky: Floats, covariance_type: str, n_features: int
) -> NDArray[np.float64]:
    """
    Logarithm of the determinant of each factor of a precision.

    Returns
    -------
    array, shape (m,), or () where all components share one
    """
    if covariance_type in {"full", "tied"}:
        diagonal = np.diagonal(precisions_cholesky, axis1=-2, axis2=-1)
        return np.asarray(np.log(diagonal).sum(axis=-1))
    if covariance_type == "diag":
        return np.asarray(np.log(precisions_cholesky).sum(axis=1))
    return np.asarray(n_features * np.log(precisions_cholesky))


def precisions_of(precisions_cholesky: Floats, covariance_type: str) -> Floats:
    """Precisions from their factors, in the shape of scikit-learn's attribute."""
    if covariance_type in {"full", "tied"}:
        return np.asarray(precisions_cholesky @ np.swapaxes(precisions_cholesky, -1, -2))
    return np.asarray(precisions_cholesky**2)
