"""
Compositions from line intensities by the ratio method of Cliff and Lorimer.

For thin samples in the TEM it is a quantification. For bulk samples in the SEM it is a relative
measure only; :data:`STATEMENTS` say so, and go with every result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.phases.k_factors import checked_k_factors
from sigma_scale.phases.percentages import one_chunk
from sigma_scale.xray import atomic_weight, line

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

__all__ = [
    "STATEMENTS",
    "cliff_lorimer",
]

Unit = Literal["weight", "atomic"]

_UNIT_NAMES = {"weight": "wt%", "atomic": "at%"}
_LEAST_INTENSITY = 0.1  # counts, eXSpy's
_LEAST_ELEMENTS = 2

STATEMENTS = {
    "TEM": (
        "Cliff-Lorimer ratios in the thin-film approximation, normalised to 100 % over the named "
        "elements. Not corrected for absorption or fluorescence in the sample."
    ),
    "SEM": (
        "A relative measure, no quantification: Cliff-Lorimer ratios, normalised to 100 % over the "
        "named elements, of a bulk sample. Not corrected for atomic number, absorption and "
        "fluorescence (no ZAF or phi-rho-z), and without standards. Use it to compare "
        "phases measured alike, not as their composition."
    ),
}
"""What a result is and is not, by the kind of microscope."""

_UNKNOWN_INSTRUMENT = f"Of a TEM: {STATEMENTS['TEM']} Of an SEM: {STATEMENTS['SEM']}"


def cliff_lorimer(
    intensities: xr.Dataset | xr.DataArray,
    k_factors: Mapping[str, float] | str | os.PathLike[str],
    *,
    unit: Unit = "weight",
    k_factor_errors: Mapping[str, float] | None = None,
    instrument: Literal["SEM", "TEM"] | None = None,
    min_intensity: float | None = None,
) -> xr.Dataset:
    """
    Calculate compositions from line intensities and k-factors.

    Parameters
    ----------
    intensities : xarray.Dataset or xarray.DataArray, over (..., line)
        Net counts of one line per element, of maps (lazy or not), clusters or phases. A dataset
        has ``net`` and may have ``net_error``, ``net_covariance`` and ``detection_limit``, as
        :func:`~sigma_scale.phases.net_lines.net_lines`,
        :func:`~sigma_scale.phases.peak_fit.fit_lines` and
        :func:`~sigma_scale.features.net_lines.net_line_intensity` give them.
    k_factors : mapping of str to float, or path-like
        k-factor of each line, relative to any one element; or a table that
        :func:`~sigma_scale.phases.k_factors.read_k_factors` reads. They depend on microscope,
        detector and beam energy, and on how intensities are measured.
    unit : {"weight", "atomic"}, default: "weight"
        Percent by weight or of the atoms.
    k_factor_errors : mapping of str to float, optional
        Standard errors of some or all k-factors.
    instrument : {"SEM", "TEM"}, optional
        Kind of microscope. None: from the attribute ``instrument`` of the intensities.
    min_intensity : float, optional
        Where not two lines exceed it, nothing is divided: the only one that does gets 100 %, and
        the rest 0. None: 0.1, as in eXSpy, or 0 for intensities that are shares.

    Returns
    -------
    xarray.Dataset, over (..., element), float64
        ``composition`` in percent; lazy where the intensities are. ``composition_error``, its
        standard error, where those of the intensities are known, else of the k-factors'.
        ``detection_limit``, where that of the intensities is known: in percent, what the line's
        limit stands for. Attribute ``statement``: what the result is not.

    Raises
    ------
    ParameterError
        If k-factors are missing (the lines are named) or not positive, there are fewer than two
        lines, two lines of an element, or a parameter can't work.
    SourceNotFoundError, FileFormatError
        If a table of k-factors can't be read.

    Notes
    -----
    ``C_i = k_i I_i / sum_j k_j I_j`` by weight (G. Cliff, G. W. Lorimer, J. Microsc. 103 (1975)
    203), with ``k_i / A_i`` in place of k_i for atoms; equal to eXSpy's
    ``quantification(method="CL", navigation_mask=None)``, also in that negative net counts give
    negative percentages, and that a pixel without counts has 0 % of everything. Errors follow
    from ``dC_i / dI_j = k_j (delta_ij - C_i) / sum``, to first order; they are NaN where nothing
    is divided.
    """
    import xarray as xr

    given = _as_dataset(intensities)
    if unit not in get_args(Unit):
        raise ParameterError(f"unit must be 'weight' or 'atomic', got {unit!r}.")
    attrs = {**given.attrs, **given["net"].attrs}
    lines = [str(name) for name in given["net"].indexes["line"]]
    elements = _one_line_each(lines)
    factors, spreads = checked_k_factors(lines, k_factors, k_factor_errors)
    per_atom = np.ones(len(lines))
    if unit == "atomic":
        per_atom = 1.0 / np.array([atomic_weight(element) for element in elements])
    if min_intensity is None:
        min_intensity = 0.0 if attrs.get("units") == "share" else _LEAST_INTENSITY
    if not min_intensity >= 0:
        raise ParameterError(f"min_intensity must be 0 or more, got {min_intensity}.")
    used: dict[str, Any] = {"factors": factors * per_atom, "least": min_intensity}
    parts = {"composition": _over_lines(_composition, given["net"], **used)}
    with_factors = used | {"spreads": spreads * per_atom}
    if "net_covariance" in given:
        parts["composition_error"] = _over_lines(
            _error_of_covariance, given["net"], covariance=given["net_covariance"], **with_factors
        )
    elif "net_error" in given:
        parts["composition_error"] = _over_lines(
            _error, given["net"], given["net_error"], **with_factors
        )
    elif k_factor_errors is not None:
        none = xr.zeros_like(given["net"], dtype=np.float64)
        parts["composition_error"] = _over_lines(_error, given["net"], none, **with_factors)
    if "detection_limit" in given:
        parts["detection_limit"] = _over_lines(
            _limit, given["net"], given["detection_limit"], **used
        )
    instrument = attrs.get("instrument") if instrument is None else instrument
    result = xr.Dataset(
        {name: part.assign_attrs(units=_UNIT_NAMES[unit]) for name, part in parts.items()}
    )
    result = result.drop_vars(["element", "energy_kev"], errors="ignore").rename(line="element")
    recipe = {
        "function": "cliff_lorimer",
        "k_factors": dict(zip(lines, factors.tolist(), strict=True)),
        "unit": unit,
        "min_intensity": min_intensity,
        "intensities": attrs.get("recipe"),
    }
    return result.assign_coords(element=elements, line=("element", lines)).assign_attrs(
        recipe=recipe,
        units=_UNIT_NAMES[unit],
        statement=STATEMENTS.get(str(instrument), _UNKNOWN_INSTRUMENT),
    )


def _as_dataset(intensities: xr.Dataset | xr.DataArray) -> xr.Dataset:
    import xarray as xr

    given = intensities
    if isinstance(given, xr.DataArray):
        given = given.to_dataset(name="net")
    if not isinstance(given, xr.Dataset):
        raise ParameterError(
            "Intensities are an xarray.Dataset or DataArray over 'line', got "
            f"{type(given).__name__}."
        )
    if "net" not in given or "line" not in given["net"].dims or "line" not in given.coords:
        raise ParameterError(
            "Intensities are a variable 'net' with the dimension 'line', which names the lines; "
            f"these have {', '.join(map(str, given)) or 'nothing'} with "
            f"{', '.join(map(str, given.dims))}."
        )
    return given


def _one_line_each(lines: Sequence[str]) -> list[str]:
    elements = [line(name).element for name in lines]
    if len(lines) < _LEAST_ELEMENTS:
        raise ParameterError(
            f"Ratios need the lines of at least two elements, got {', '.join(lines) or 'none'}."
        )
    for element in elements:
        own = [name for name, other in zip(lines, elements, strict=True) if other == element]
        if len(own) > 1:
            raise ParameterError(
                f"{' and '.join(own)} are lines of one element, which would be counted more than "
                "once. Choose one: intensities.sel(line=[...])."
            )
    return elements


def _over_lines(
    function: Callable[..., NDArray[np.float64]],
    *arrays: xr.DataArray,
    covariance: xr.DataArray | None = None,
    **arguments: Any,
) -> xr.DataArray:
    """Apply a function of the last axis, line, block by block where arrays are lazy."""
    import xarray as xr

    inputs = [one_chunk(array, "line") for array in arrays]
    dims = [["line"]] * len(inputs)
    if covariance is not None:
        inputs.append(one_chunk(one_chunk(covariance, "line"), "line_2"))
        dims.append(["line", "line_2"])
    result: xr.DataArray = xr.apply_ufunc(
        function,
        *inputs,
        kwargs=arguments,
        input_core_dims=dims,
        output_core_dims=[["line"]],
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return result.transpose(*arrays[0].dims)


def _fractions(
    values: NDArray[np.float64], factors: NDArray[np.float64], least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Fractions, what they were divided by, and where there is something to divide."""
    amounts = np.asarray(values, np.float64) * factors
    total = amounts.sum(axis=-1, keepdims=True)
    seen = values > least
    number = seen.sum(axis=-1, keepdims=True)
    divided = ((number >= _LEAST_ELEMENTS) & (total != 0)) | np.isnan(total)
    alone = np.where(number == 1, seen, 0.0)
    return np.divide(amounts, total, out=alone, where=divided), total, divided


def _composition(
    values: NDArray[Any], *, factors: NDArray[np.float64], least: float
) -> NDArray[np.float64]:
    return 100.0 * _fractions(values, factors, least)[0]


def _error(
    values: NDArray[Any],
    errors: NDArray[Any],
    *,
    factors: NDArray[np.float64],
    spreads: NDArray[np.float64],
    least: float,
) -> NDArray[np.float64]:
    fractions, total, divided = _fractions(values, factors, least)
    own = (factors * errors) ** 2 + (spreads * values) ** 2
    variance = own * (1.0 - 2.0 * fractions) + fractions**2 * own.sum(axis=-1, keepdims=True)
    return _over_total(np.sqrt(np.maximum(variance, 0.0)), total, divided)


def _error_of_covariance(
    values: NDArray[Any],
    covariance: NDArray[Any],
    *,
    factors: NDArray[np.float64],
    spreads: NDArray[np.float64],
    least: float,
) -> NDArray[np.float64]:
    fractions, total, divided = _fractions(values, factors, least)
    own = covariance * factors * factors[:, None]
    own = own + np.eye(len(factors)) * ((spreads * values) ** 2)[..., None, :]
    slopes = np.eye(len(factors)) - fractions[..., :, None]
    variance = np.einsum("...ij,...jk,...ik->...i", slopes, own, slopes)
    return _over_total(np.sqrt(np.maximum(variance, 0.0)), total, divided)


def _limit(
    values: NDArray[Any], limits: NDArray[Any], *, factors: NDArray[np.float64], least: float
) -> NDArray[np.float64]:
    _, total, divided = _fractions(values, factors, least)
    return _over_total(limits * factors, total, divided & (total > 0))


def _over_total(
    values: NDArray[np.float64], total: NDArray[np.float64], divided: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Percent of the total; NaN where nothing is divided."""
    share = np.divide(values, np.abs(total), out=np.full_like(values, np.nan), where=divided)
    return 100.0 * share
