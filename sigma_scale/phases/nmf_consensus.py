"""Which end-members NMF finds again and again, whatever it begins with."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.phases.nmf import Factors, Loss, factorise, nmf_arguments, nmf_matrix, phase_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["consensus_unmix", "relative_error", "seeded_factors", "stability"]


def consensus_unmix(
    spectra: xr.DataArray,
    n_components: int,
    *,
    n_runs: int = 20,
    normalised: bool = True,
    random_state: int = 0,
    loss: Loss = "frobenius",
    method_args: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """
    Unmix spectra from many random starts, and say how far the results agree.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (phase, energy)
        Mean or summed spectrum of each phase, not negative.
    n_components : int
        Number of end-members, at most that of the phases.
    n_runs : int, default: 20
        Number of starts, at least 2.
    normalised, loss, method_args
        See :func:`~sigma_scale.phases.nmf.unmix`. Starts are random, so ``init`` is ``"random"`` or
        one of scikit-learn's that draw numbers.
    random_state : int, default: 0
        Seed of the first run; each further one adds 1.

    Returns
    -------
    xarray.Dataset
        ``components`` (component, energy): mean over the runs of the end-members, each divided by
        its sum, and ``components_std``, its standard deviation. ``weights`` (phase, component) and
        ``weights_std``: the same of the weights, scaled so that the product stays. ``stability``
        (component): 1 where all runs find the same spectrum, 0 where they have nothing in common.
        ``reconstruction_error`` (run): ``||V - WH|| / ||V||``. ``loss`` (run): what was made
        small. ``converged`` (run), bool.

    Raises
    ------
    ParameterError, EmptyMapError
        See :func:`~sigma_scale.phases.nmf.unmix`; also if there are fewer than two runs, or the
        start is not random.

    Notes
    -----
    The components of each run are paired with those of the run of least loss, such that the sum
    of the cosines between paired spectra is largest [1]_. Stability is the mean over the other
    runs of a component's cosine with its partner in the best one. Components are those of the best
    run, in descending order of their share in the intensity of all spectra.

    References
    ----------
    .. [1] H. W. Kuhn: The Hungarian method for the assignment problem. Naval Research Logistics
       Quarterly 2 (1955) 83-97.
    """
    import xarray as xr

    values = nmf_matrix(spectra, n_components, normalised=normalised)
    arguments = nmf_arguments(loss, method_args)
    runs = seeded_factors(values, n_components, arguments, n_runs, random_state)
    matched, cosines = _matched(runs)
    components = np.stack([run.components for run in matched])
    weights = np.stack([run.weights for run in matched])
    losses = np.array([run.loss for run in runs])
    spectrum_dims, weight_dims = ("component", "energy"), ("phase", "component")
    return xr.Dataset(
        {
            "components": (spectrum_dims, components.mean(axis=0)),
            "components_std": (spectrum_dims, components.std(axis=0)),
            "weights": (weight_dims, weights.mean(axis=0)),
            "weights_std": (weight_dims, weights.std(axis=0)),
            "stability": (("component",), _stability(cosines, losses)),
            "reconstruction_error": (("run",), [relative_error(values, run) for run in runs]),
            "loss": (("run",), losses),
            "converged": (("run",), [run.n_iter < arguments["max_iter"] for run in runs]),
        },
        coords={
            "phase": phase_names(spectra),
            "component": [f"cpnt_{j}" for j in range(n_components)],
            "energy": spectra.coords["energy"],
        },
        attrs={
            "recipe": {
                "function": "consensus_unmix",
                "n_runs": n_runs,
                "random_state": random_state,
                "normalised": normalised,
                "loss": loss,
                "method_args": {name: str(value) for name, value in (method_args or {}).items()},
            }
        },
    )


def seeded_factors(
    values: NDArray[np.float64],
    n_components: int,
    arguments: Mapping[str, Any],
    n_runs: int,
    random_state: int,
) -> list[Factors]:
    """
    Factorise a matrix from random starts.

    Raises
    ------
    ParameterError
        If there are fewer than two runs, or the start is not random.
    """
    from sklearn.exceptions import ConvergenceWarning

    if n_runs < 2:  # noqa: PLR2004
        raise ParameterError(f"n_runs must be at least 2, to compare them; got {n_runs}.")
    start = arguments.get("init") or "random"
    if start not in {"random", "nndsvdar"} or "random_state" in arguments:
        raise ParameterError(
            "Runs differ by their seeds: leave random_state out of method_args, and let init be "
            f"'random' or 'nndsvdar', not {start!r}."
        )
    with warnings.catch_warnings():
        # Which runs ended too early is part of the result.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [
            factorise(
                values,
                n_components,
                dict(arguments) | {"init": start, "random_state": random_state + run},
            )
            for run in range(n_runs)
        ]


def relative_error(values: NDArray[np.float64], factors: Factors) -> float:
    """Give what a factorisation misses of a matrix, ``||V - WH|| / ||V||``."""
    rest = values - factors.weights @ factors.components
    return float(np.linalg.norm(rest) / np.linalg.norm(values))


def stability(runs: list[Factors]) -> NDArray[np.float64]:
    """Mean cosine of each component of the best run with its partners in the others."""
    _, cosines = _matched(runs)
    return _stability(cosines, np.array([run.loss for run in runs]))


def _stability(cosines: NDArray[np.float64], losses: NDArray[np.float64]) -> NDArray[np.float64]:
    others = np.arange(len(losses)) != losses.argmin()
    found: NDArray[np.float64] = cosines[others].mean(axis=0)
    return found


def _matched(runs: list[Factors]) -> tuple[list[Factors], NDArray[np.float64]]:
    """Runs of unit components in the order of the best run's, and the cosines with these."""
    from scipy.optimize import linear_sum_assignment

    scaled = [_scaled(run) for run in runs]
    best = min(scaled, key=lambda run: run.loss)
    best = _reordered(best, np.argsort(-best.weights.sum(axis=0), kind="stable"))
    matched, cosines = [], np.empty((len(runs), len(best.components)))
    for number, run in enumerate(scaled):
        alike = _directions(best.components) @ _directions(run.components).T
        rows, partners = linear_sum_assignment(alike, maximize=True)
        matched.append(_reordered(run, partners))
        cosines[number] = alike[rows, partners]
    return matched, cosines


def _scaled(run: Factors) -> Factors:
    """Components of sum 1; the product stays."""
    sums = run.components.sum(axis=1)
    safe = np.where(sums > 0, sums, 1.0)
    return run._replace(weights=run.weights * sums, components=run.components / safe[:, None])


def _reordered(run: Factors, order: NDArray[np.intp]) -> Factors:
    return run._replace(weights=run.weights[:, order], components=run.components[order])


def _directions(components: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(components, axis=1, keepdims=True)
    return components / np.where(lengths > 0, lengths, 1.0)
