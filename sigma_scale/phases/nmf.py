"""End-member spectra of phases by non-negative matrix factorisation."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from numpy.random import RandomState
    from numpy.typing import NDArray

__all__ = ["Factors", "Loss", "factorise", "nmf_arguments", "nmf_matrix", "phase_names", "unmix"]

Loss = Literal["frobenius", "kullback-leibler"]

_MAX_ITER = 2000  # scikit-learn's 200 are often too few for spectra
_SMALLEST_START = 1e-6
"""Of the largest value: multiplicative updates never leave a zero."""


class Factors(NamedTuple):
    """A factorisation of a matrix."""

    weights: NDArray[np.float64]
    """Shape (phase, component)."""
    components: NDArray[np.float64]
    """Shape (component, channel)."""
    loss: float
    """What scikit-learn reports: ``||V - WH||``, or for Kullback-Leibler ``sqrt(2 D)``."""
    n_iter: int
    """Iterations that were needed, or the limit."""


def unmix(
    spectra: xr.DataArray,
    n_components: int,
    *,
    normalised: bool = True,
    random_state: int | RandomState | None = None,
    method_args: Mapping[str, Any] | None = None,
    loss: Loss = "frobenius",
    initial: xr.DataArray | pd.DataFrame | Sequence[int | str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Write the spectra of phases as sums of a few non-negative end-member spectra.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (phase, energy)
        Mean or summed spectrum of each phase, not negative. To unmix some of the phases only,
        select them before: ``spectra.sel(phase=[0, 3])``.
    n_components : int
        Number of end-members, at most that of the phases.
    normalised : bool, default: True
        Divide each spectrum by its maximum first, so that bright phases count no more than
        others. A spectrum without counts stays zero.
    random_state : int, RandomState or None, default: None
        Seed.
    method_args : mapping, optional
        Further parameters of :class:`sklearn.decomposition.NMF`, such as ``{"init": "nndsvd"}``.
    loss : {"frobenius", "kullback-leibler"}, default: "frobenius"
        What is made small: the sum of squares, or the Kullback-Leibler divergence, which is right
        for counts: give summed counts and ``normalised=False``.
    initial : array, shape (component, energy), table or labels, optional
        Where to begin: end-member spectra on the same channels (as an array, or as the table of
        components of an earlier call), or the labels of phases whose spectra to take. Their number
        is ``n_components``. Scale matters not.

    Returns
    -------
    weights : pandas.DataFrame, float64
        How much of each end-member a phase contains: rows ``cluster_0``, ``cluster_1``, ...
        (after the labels in the coordinate ``phase``), columns ``w_0``, ``w_1``, ....
    components : pandas.DataFrame, float64
        End-members: one row per channel, with its energy in keV, columns ``cpnt_0``, ....

    Raises
    ------
    ParameterError
        If there are fewer spectra than components, a value is negative, NaN or infinite,
        scikit-learn's NMF has no parameter of a name given or refuses its value, or the initial
        guess names a phase that there is not or is given along with ``init``.
    ShapeMismatchError
        If the initial guess has another number of components or channels.
    EmptyMapError
        If there are no counts at all.

    Notes
    -----
    With ``V`` the (normalised) spectra, ``weights @ components.T`` approximates ``V`` [1]_. For
    Poisson counts the divergence is the negative log-likelihood but for a constant [2]_.

    From an initial guess ``H`` the first weights are those of non-negative least squares [3]_.
    Zeros in both are raised to a millionth of the largest value, as a channel that is zero could
    not grow otherwise.

    References
    ----------
    .. [1] D. Lee, H. Seung: Learning the parts of objects by non-negative matrix factorization.
       Nature 401 (1999) 788-791.
    .. [2] C. Févotte, A. T. Cemgil: Nonnegative matrix factorizations as probabilistic inference
       in composite models. Proc. EUSIPCO (2009) 1913-1917.
    .. [3] C. Lawson, R. Hanson: Solving Least Squares Problems. SIAM (1995), chapter 23.
    """
    values = nmf_matrix(spectra, n_components, normalised=normalised)
    arguments = nmf_arguments(loss, method_args)
    start = None if initial is None else _initial(spectra, values, initial, n_components)
    if start is not None and arguments.get("init", "custom") not in {"custom", None}:
        raise ParameterError(
            f"An initial guess is given, and init={arguments['init']!r} as well. Choose one."
        )
    found = factorise(values, n_components, {"random_state": random_state} | arguments, start)
    return (
        pd.DataFrame(
            found.weights,
            index=pd.Index(phase_names(spectra), name="cluster"),
            columns=[f"w_{j}" for j in range(n_components)],
        ),
        pd.DataFrame(
            found.components.T,
            index=pd.Index(spectra.indexes["energy"].to_numpy(), name="energy_kev"),
            columns=[f"cpnt_{j}" for j in range(n_components)],
        ),
    )


def nmf_arguments(loss: Loss, method_args: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Arguments of scikit-learn's NMF for a loss and what a user adds.

    Raises
    ------
    ParameterError
        If there is no such loss or parameter, or the two contradict each other.
    """
    from sklearn.decomposition import NMF

    of_loss: dict[str, dict[str, Any]] = {
        "frobenius": {},
        "kullback-leibler": {"solver": "mu", "beta_loss": "kullback-leibler"},
    }
    if loss not in of_loss:
        raise ParameterError(f"There is no loss {loss!r}; there are: {', '.join(of_loss)}.")
    given = dict(method_args or {})
    known = [name for name in inspect.signature(NMF).parameters if name != "n_components"]
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        raise ParameterError(
            f"NMF has no parameter {', '.join(unknown)}; it has: {', '.join(known)}."
        )
    for name, value in of_loss[loss].items():
        if given.get(name, value) != value:
            raise ParameterError(
                f"The loss {loss!r} needs {name}={value!r}, but method_args says {given[name]!r}."
            )
    return {"max_iter": _MAX_ITER} | of_loss[loss] | given


def factorise(
    values: NDArray[np.float64],
    n_components: int,
    arguments: Mapping[str, Any],
    start: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> Factors:
    """
    Run scikit-learn's NMF.

    Parameters
    ----------
    values : array, shape (phase, channel)
        What to factorise.
    n_components : int
        Number of components.
    arguments : mapping
        Parameters of NMF.
    start : tuple of array, optional
        Weights and components to begin with.

    Raises
    ------
    ParameterError
        If NMF refuses its parameters.
    """
    from sklearn.decomposition import NMF

    custom = {} if start is None else {"W": start[0], "H": start[1]}
    chosen = dict(arguments) | ({"init": "custom"} if custom else {})
    model = NMF(n_components=n_components, **chosen)
    try:
        weights = model.fit_transform(values, **custom)
    except (ValueError, TypeError) as error:
        raise ParameterError(f"NMF cannot be run: {error}") from error
    loss, n_iter = float(model.reconstruction_err_), int(model.n_iter_)
    return Factors(weights, model.components_, loss, n_iter)


def nmf_matrix(
    spectra: xr.DataArray, n_components: int, *, normalised: bool
) -> NDArray[np.float64]:
    """
    Spectra as a matrix that NMF can take, divided by their maxima if wanted.

    Raises
    ------
    ParameterError
        If the dimensions are others, there are fewer spectra than components, or a value is
        negative, NaN or infinite.
    EmptyMapError
        If there are no counts.
    """
    dims = getattr(spectra, "dims", type(spectra).__name__)
    if dims != ("phase", "energy") or "energy" not in spectra.coords:
        raise ParameterError(
            "Spectra have the dimensions (phase, energy) and the coordinate energy in keV, got "
            f"{dims}."
        )
    if not isinstance(n_components, int | np.integer):
        raise ParameterError(f"n_components must be a whole number, got {n_components!r}.")
    values = np.asarray(spectra, np.float64)
    if not 1 <= n_components <= len(values):
        raise ParameterError(
            f"n_components must lie between 1 and the number of spectra, {len(values)}; "
            f"got {n_components}."
        )
    spoilt = ~(np.isfinite(values) & (values >= 0)).all(axis=1)
    if spoilt.any():
        names = ", ".join(np.array(phase_names(spectra))[spoilt])
        raise ParameterError(
            f"The spectra of {names} have negative values, NaN or infinity; NMF needs counts or "
            "normalised counts without a background subtracted."
        )
    if not values.any():
        raise EmptyMapError("The spectra have no counts: there is nothing to unmix.")
    return _over_maxima(values) if normalised else values


def _over_maxima(values: NDArray[np.float64]) -> NDArray[np.float64]:
    maxima = values.max(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(
        values, maxima, out=np.zeros_like(values), where=maxima > 0
    )
    return shares


def phase_names(spectra: xr.DataArray) -> list[str]:
    """Names of phases: those of the coordinate, or ``cluster_i`` for numbers."""
    return [label if isinstance(label, str) else f"cluster_{label}" for label in _labels(spectra)]


def _labels(spectra: xr.DataArray) -> list[Any]:
    if "phase" in spectra.coords:
        labels: list[Any] = spectra.coords["phase"].to_numpy().tolist()
        return labels
    return list(range(len(spectra)))


def _initial(
    spectra: xr.DataArray,
    values: NDArray[np.float64],
    initial: xr.DataArray | pd.DataFrame | Sequence[int | str],
    n_components: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and components to begin with."""
    from scipy.optimize import nnls

    components = _initial_components(spectra, values, initial)
    if components.shape != (n_components, values.shape[1]):
        raise ShapeMismatchError(
            f"The initial guess has the shape {components.shape} (components, channels); wanted "
            f"are {(n_components, values.shape[1])}."
        )
    fit = np.isfinite(components) & (components >= 0)
    if not (fit.all() and components.any(axis=1).all()):
        raise ParameterError(
            "The initial guess has negative values, NaN or infinity, or a spectrum without counts."
        )
    components = _over_maxima(components)
    weights = np.array([nnls(components.T, row)[0] for row in values])
    return _raised(weights), _raised(components)


def _initial_components(
    spectra: xr.DataArray,
    values: NDArray[np.float64],
    initial: xr.DataArray | pd.DataFrame | Sequence[int | str],
) -> NDArray[np.float64]:
    if isinstance(initial, pd.DataFrame):
        return initial.to_numpy(np.float64).T
    if hasattr(initial, "dims") or np.ndim(initial) > 1:
        return np.atleast_2d(np.asarray(initial, np.float64))
    labels = _labels(spectra)
    unknown = [str(label) for label in initial if label not in labels]
    if unknown:
        raise ParameterError(
            f"There is no phase {', '.join(unknown)} to begin with; there are: "
            f"{', '.join(map(str, labels))}."
        )
    return values[[labels.index(label) for label in initial]]


def _raised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    floor = _SMALLEST_START * max(float(values.max(initial=0.0)), _SMALLEST_START)
    raised: NDArray[np.float64] = np.maximum(values, floor)
    return raised
