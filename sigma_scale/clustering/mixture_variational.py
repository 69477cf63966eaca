"""
Variational mixtures: a distribution over weights, means and precisions instead of one value each.

The posterior of a mixture of Gaussians in the mean-field approximation is a product of
distributions of the prior's kind, Gauss-Wishart for each component and Dirichlet, or a truncated
stick-breaking process, for the weights [1]_ [2]_. Its parameters follow from the same sums over
the rows as a likelihood fit. The conventions are scikit-learn's: precisions are divided by their
degrees of freedom, and the covariances of an M step hold ``reg_covar``.

References
----------
.. [1] C. M. Bishop: Pattern Recognition and Machine Learning, 2006, section 10.2; the numbers of
   equations below are from there.
.. [2] D. M. Blei, M. I. Jordan: Variational inference for Dirichlet process mixtures. Bayesian
   Analysis 1 (2006) 121-144.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.mixture_moments import Gaussians, log_determinants, precision_factors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.clustering.mixture_moments import Moments

    Floats = NDArray[np.float64]

__all__ = ["Posterior", "Prior", "expected_log_weights", "stick_weights"]

DIRICHLET_PROCESS = "dirichlet_process"


@dataclass(frozen=True, eq=False)
class Prior:
    """
    What is assumed of a mixture before any row is seen.

    Parameters
    ----------
    weight_type : {"dirichlet_process", "dirichlet_distribution"}
    weight_concentration : float
        Large: many components of like weight; small: few that matter.
    mean : array, shape (d,)
    mean_precision : float
        Rows that the prior mean counts as.
    degrees_of_freedom : float
        Rows that the prior covariance counts as; more than d - 1.
    covariance : array
        Shape (d, d) for "full" and "tied", (d,) for "diag", () for "spherical".
    covariance_type : {"full", "tied", "diag", "spherical"}
    reg_covar : float
        Added to each variance.
    """

    weight_type: str
    weight_concentration: float
    mean: Floats
    mean_precision: float
    degrees_of_freedom: float
    covariance: Any
    covariance_type: str
    reg_covar: float


@dataclass(frozen=True, eq=False)
class Posterior:
    """
    What is known of a mixture after an M step.

    Parameters
    ----------
    prior : Prior
    weight_concentration : array, shape (m,), or two of them
        Of the Dirichlet distribution, or of the beta distributions of the sticks.
    mean_precision : array, shape (m,)
    means : array, shape (m, d)
    degrees_of_freedom : array, shape (m,), or float for "tied"
    covariances, precisions_cholesky : array
        In the shapes of scikit-learn's attributes.
    """

    prior: Prior
    weight_concentration: Any
    mean_precision: Floats
    means: Floats
    degrees_of_freedom: Any
    covariances: Floats
    precisions_cholesky: Floats

    @classmethod
    def from_moments(cls, prior: Prior, moments: Moments) -> Posterior:
        """
        M step (10.58, 10.60 to 10.63).

        Parameters
        ----------
        prior : Prior
        moments : Moments
            Sums over the rows.

        Returns
        -------
        Posterior

        Raises
        ------
        ParameterError
            If a component collapses.
        """
        kind = prior.covariance_type
        counts, centres, spreads = moments.estimate(kind, prior.reg_covar)
        n_components = len(counts)
        precision = prior.mean_precision + counts
        means = prior.mean_precision * prior.mean + counts[:, np.newaxis] * centres
        means /= precision[:, np.newaxis]
        away = centres - prior.mean
        # How much the distance of a component's rows from the prior mean adds to its spread.
        pull = counts * prior.mean_precision / precision
        freedom: Any = prior.degrees_of_freedom + counts
        if kind == "full":
            covariances = prior.covariance + counts[:, np.newaxis, np.newaxis] * spreads
            covariances += np.einsum("k,ki,kj->kij", pull, away, away)
            covariances /= freedom[:, np.newaxis, np.newaxis]
        elif kind == "tied":
            freedom = prior.degrees_of_freedom + counts.sum() / n_components
            covariances = prior.covariance + spreads * (counts.sum() / n_components)
            covariances += np.einsum("k,ki,kj->ij", pull, away, away) / n_components
            covariances /= freedom
        elif kind == "diag":
            covariances = prior.covariance + counts[:, np.newaxis] * spreads
            covariances += pull[:, np.newaxis] * away**2
            covariances /= freedom[:, np.newaxis]
        else:
            covariances = prior.covariance + counts * spreads + pull * (away**2).mean(axis=1)
            covariances /= freedom
        concentration: Any = prior.weight_concentration + counts
        if prior.weight_type == DIRICHLET_PROCESS:
            later = np.append(np.cumsum(counts[::-1])[::-1][1:], 0.0)
            concentration = (1.0 + counts, prior.weight_concentration + later)
        return cls(
            prior,
            concentration,
            precision,
            means,
            freedom,
            covariances,
            precision_factors(covariances, kind),
        )

    def gaussians(self) -> Gaussians:
        """Densities for the E step: expectations of logarithms (10.64 to 10.67)."""
        terms = expected_log_weights(
            self.weight_concentration,
            self.mean_precision,
            self.degrees_of_freedom,
            self.means.shape[1],
        )
        return Gaussians.of(self.means, self.precisions_cholesky, terms, self.prior.covariance_type)

    def updated(self, moments: Moments) -> Posterior:
        """M step."""
        return self.from_moments(self.prior, moments)

    def bound(self, moments: Moments) -> float:
        """
        Lower bound of the evidence after an M step (10.70), without constants.

        The terms that an M step cancels are left out, so that the entropy of the responsibilities
        and the normalisations of the posterior's distributions remain.
        """
        from scipy.special import betaln, gammaln

        n_components, n_features = self.means.shape
        freedom = np.asarray(self.degrees_of_freedom)
        log_dets = log_determinants(
            self.precisions_cholesky, self.prior.covariance_type, n_features
        )
        log_dets = log_dets - 0.5 * n_features * np.log(freedom)
        halves = 0.5 * (freedom - np.arange(n_features).reshape(-1, *(1,) * freedom.ndim))
        log_wishart = -(
            freedom * (log_dets + 0.5 * n_features * np.log(2.0)) + gammaln(halves).sum(axis=0)
        )
        total = log_wishart.sum() * (n_components if freedom.ndim == 0 else 1)
        if self.prior.weight_type == DIRICHLET_PROCESS:
            log_weights = -betaln(*self.weight_concentration).sum()
        else:
            concentration = self.weight_concentration
            log_weights = gammaln(concentration.sum()) - gammaln(concentration).sum()
        half_logs = 0.5 * n_features * np.log(self.mean_precision).sum()
        return float(moments.entropy - total - log_weights - half_logs)


def expected_log_weights(
    weight_concentration: Any, mean_precision: Floats, degrees_of_freedom: Any, n_features: int
) -> Floats:
    """
    What takes the place of the logarithms of the weights in a variational mixture.

    Parameters
    ----------
    weight_concentration : array, shape (m,), or two of them
        Of the Dirichlet distribution, or of the beta distributions of the sticks.
    mean_precision : array, shape (m,)
    degrees_of_freedom : array, shape (m,), or float
    n_features : int

    Returns
    -------
    numpy.ndarray, shape (m,), float64

    Notes
    -----
    E[ln weight] + (E[ln det precision] - d / mean_precision) / 2, but for the determinant of the
    mean precision (Bishop, equations 10.64 to 10.66).
    """
    from scipy.special import digamma

    freedom = np.asarray(degrees_of_freedom, np.float64)
    steps = np.arange(n_features).reshape(-1, *(1,) * freedom.ndim)
    log_lambda = n_features * np.log(2.0) + digamma(0.5 * (freedom - steps)).sum(axis=0)
    log_lambda = log_lambda - n_features * np.log(freedom)
    terms = 0.5 * (log_lambda - n_features / np.asarray(mean_precision))
    if isinstance(weight_concentration, tuple):
        taken, left = (np.asarray(part) for part in weight_concentration)
        both = digamma(taken + left)
        terms = terms + digamma(taken) - both
        terms[1:] += np.cumsum(digamma(left) - both)[:-1]
    else:
        concentration = np.asarray(weight_concentration)
        terms = terms + digamma(concentration) - digamma(concentration.sum())
    return np.asarray(terms)


def stick_weights(weight_concentration: Any) -> Floats:
    """
    Expected weights of the components, which add up to one.

    Parameters
    ----------
    weight_concentration : array, shape (m,), or two of them
        Of the Dirichlet distribution, or of the beta distributions of the sticks.

    Returns
    -------
    numpy.ndarray, shape (m,), float64
    """
    if not isinstance(weight_concentration, tuple):
        return np.asarray(weight_concentration / weight_concentration.sum())
    taken, left = weight_concentration
    remaining = np.append(1.0, np.cumprod(left / (taken + left))[:-1])
    weights = taken / (taken + left) * remaining
    return np.asarray(weights / weights.sum())
