"""Components of a fitted mixture, as the few numbers that probabilities are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Components"]

_BATCH_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class Components:
    """
    Gaussians of a mixture.

    With them the probabilities of any pixel are calculated when they are asked for: an array of
    pixels by components is never kept.

    Parameters
    ----------
    means : array, shape (component, d), float64
        Centres in the latent space.
    factors : array, shape (component, d, d), float64
        Upper triangular factors ``C`` of the precisions ``C @ C.T``.
    log_weights : array, shape (component,), float64
        Logarithm of the weighted density at the centre, but for a constant.
    """

    means: NDArray[np.float64]
    factors: NDArray[np.float64]
    log_weights: NDArray[np.float64]

    @classmethod
    def of(cls, model: Any) -> Components:
        """
        Take the components of a fitted mixture.

        Parameters
        ----------
        model : sklearn.mixture.GaussianMixture or BayesianGaussianMixture
            Fitted.

        Returns
        -------
        Components

        Notes
        -----
        For the variational mixture the expectations of the logarithms are taken over the
        posterior [1]_, as scikit-learn does for its probabilities.

        References
        ----------
        .. [1] C. Bishop: Pattern Recognition and Machine Learning, 2006, section 10.2.
        """
        from sigma_scale.clustering.mixture_moments import Gaussians
        from sigma_scale.clustering.mixture_variational import expected_log_weights

        means = np.asarray(model.means_, np.float64)
        if hasattr(model, "weight_concentration_"):
            log_weights = expected_log_weights(
                model.weight_concentration_,
                model.mean_precision_,
                model.degrees_of_freedom_,
                means.shape[1],
            )
        else:
            with np.errstate(divide="ignore"):  # a component may have died out
                log_weights = np.log(model.weights_)
        gaussians = Gaussians.of(
            means, model.precisions_cholesky_, log_weights, model.covariance_type
        )
        return cls(gaussians.means, gaussians.factors, gaussians.log_weights)

    def __len__(self) -> int:
        return len(self.means)

    @property
    def covariances(self) -> NDArray[np.float64]:
        """Covariance of each Gaussian, shape (component, d, d)."""
        spread = np.linalg.inv(self.factors).transpose(0, 2, 1)
        return np.asarray(spread @ spread.transpose(0, 2, 1))

    def most_likely(self, rows: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """
        Find the most likely component of each row, and the row's log-likelihood.

        Parameters
        ----------
        rows : array, shape (n, d)
            Latent coordinates without NaN.

        Returns
        -------
        labels : numpy.ndarray, shape (n,), int32
        log_likelihoods : numpy.ndarray, shape (n,), float64
        """
        from sigma_scale.clustering.mixture_kernels import most_likely

        labels = np.empty(len(rows), np.int32)
        likelihoods = np.empty(len(rows), np.float64)
        for part in _parts(len(rows)):
            batch = np.ascontiguousarray(rows[part], dtype=np.float64)
            probabilities = np.empty(len(batch), np.float32)
            most_likely(
                batch,
                self.means,
                self.factors,
                self.log_weights,
                labels[part],
                probabilities,
                likelihoods[part],
            )
        return labels, likelihoods

    def responsibilities(self, rows: NDArray[Any]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """
        Calculate the probability of each component, batch by batch.

        Parameters
        ----------
        rows : array, shape (n, d)
            Latent coordinates.

        Yields
        ------
        slice, numpy.ndarray of shape (rows of the batch, component)
            Which rows, and their probabilities; zeros for rows with NaN.
        """
        for part in _parts(len(rows)):
            batch = np.asarray(rows[part], dtype=np.float64)
            density = np.empty((len(batch), len(self)))
            for k, (mean, factor) in enumerate(zip(self.means, self.factors, strict=True)):
                # Summed term by term: a matrix product may round differently on other cores.
                squares = np.zeros(len(batch))
                deviation = batch - mean
                for column in range(batch.shape[1]):
                    projected = np.zeros(len(batch))
                    for i in range(column + 1):
                        projected += deviation[:, i] * factor[i, column]
                    squares += projected * projected
                density[:, k] = self.log_weights[k] - 0.5 * squares
            density -= density.max(axis=1, keepdims=True)
            np.exp(density, out=density)
            density /= density.sum(axis=1, keepdims=True)
            density[np.isnan(batch).any(axis=1)] = 0.0
            yield part, density


def _parts(n_rows: int) -> Iterator[slice]:
    for first in range(0, n_rows, _BATCH_ROWS):
        yield slice(first, min(first + _BATCH_ROWS, n_rows))
