"""End-member spectra of phases by non-negative matrix factorisation."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sigma_scale.errors import EmptyMapError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.random import RandomState
    from numpy.typing import NDArray

__all__ = ["unmix"]

_MAX_ITER = 2000  # scikit-learn's 200 are often too few for spectra


def unmix(
    spectra: xr.DataArray,
    n_components: int,
    *,
    normalised: bool = True,
    random_state: int | RandomState | None = None,
    method_args: Mapping[str, Any] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Write the spectra of phases as sums of a few non-negative end-member spectra.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (phase, energy)
        Mean or summed spectrum of each phase, not negative.
    n_components : int
        Number of end-members, at most that of the phases.
    normalised : bool, default: True
        Divide each spectrum by its maximum first, so that bright phases count no more than
        others. A spectrum without counts stays zero.
    random_state : int, RandomState or None, default: None
        Seed.
    method_args : mapping, optional
        Further parameters of :class:`sklearn.decomposition.NMF`, such as ``{"init": "nndsvd"}``.

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
        If there are fewer spectra than components, a value is negative, NaN or infinite, or
        scikit-learn's NMF has no parameter of a name given or refuses its value.
    EmptyMapError
        If there are no counts at all.

    Notes
    -----
    With ``V`` the (normalised) spectra, ``weights @ components.T`` approximates ``V`` [1]_.

    References
    ----------
    .. [1] D. Lee, H. Seung: Learning the parts of objects by non-negative matrix factorization.
       Nature 401 (1999) 788-791.
    """
    from sklearn.decomposition import NMF

    if spectra.dims != ("phase", "energy"):
        raise ParameterError(f"Spectra have the dimensions (phase, energy), got {spectra.dims}.")
    values = _checked(spectra, n_components)
    if normalised:
        maxima = values.max(axis=1, keepdims=True)
        values = np.divide(values, maxima, out=np.zeros_like(values), where=maxima > 0)
    arguments = {"max_iter": _MAX_ITER} | dict(method_args or {})
    known = [name for name in inspect.signature(NMF).parameters if name != "n_components"]
    unknown = [str(name) for name in arguments if name not in known]
    if unknown:
        raise ParameterError(
            f"NMF has no parameter {', '.join(unknown)}; it has: {', '.join(known)}."
        )
    model = NMF(n_components=n_components, **({"random_state": random_state} | arguments))
    try:
        weights = model.fit_transform(values)
    except ValueError as error:
        raise ParameterError(f"NMF cannot be run: {error}") from error
    return (
        pd.DataFrame(
            weights,
            index=pd.Index(_phase_names(spectra), name="cluster"),
            columns=[f"w_{j}" for j in range(n_components)],
        ),
        pd.DataFrame(
            model.components_.T,
            index=pd.Index(spectra.indexes["energy"].to_numpy(), name="energy_kev"),
            columns=[f"cpnt_{j}" for j in range(n_components)],
        ),
    )


def _checked(spectra: xr.DataArray, n_components: int) -> NDArray[np.float64]:
    values = np.asarray(spectra, np.float64)
    if not 1 <= n_components <= len(values):
        raise ParameterError(
            f"n_components must lie between 1 and the number of spectra, {len(values)}; "
            f"got {n_components}."
        )
    spoilt = ~(np.isfinite(values) & (values >= 0)).all(axis=1)
    if spoilt.any():
        names = ", ".join(np.array(_phase_names(spectra))[spoilt])
        raise ParameterError(
            f"The spectra of {names} have negative values, NaN or infinity; NMF needs counts or "
            "normalised counts without a background subtracted."
        )
    if not values.any():
        raise EmptyMapError("The spectra have no counts: there is nothing to unmix.")
    return values


def _phase_names(spectra: xr.DataArray) -> list[str]:
    labels = (
        spectra.coords["phase"].to_numpy().tolist()
        if "phase" in spectra.coords
        else range(len(spectra))
    )
    return [label if isinstance(label, str) else f"cluster_{label}" for label in labels]
