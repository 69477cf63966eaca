"""Compositions of the phases by k-factors, for the main job."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pandas as pd

from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.phases import cliff_lorimer, fit_lines, net_lines
from sigma_scale.xray import line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

__all__ = ["choose_quantified", "composition_table"]

_LEAST_ELEMENTS = 2
_MEASURES = {
    "TEM": "Cliff-Lorimer, thin film",
    "SEM": "relative measure, no quantification",
}


def choose_quantified(lines: Sequence[str], k_factors: Mapping[str, float]) -> list[str]:
    """
    Choose the lines that k-factors make percentages of: one per element.

    Parameters
    ----------
    lines : sequence of str
        X-ray lines of the features.
    k_factors : mapping of str to float
        k-factors of some lines.

    Returns
    -------
    list of str
        Of each element the first line that has a k-factor.

    Raises
    ------
    ParameterError
        If fewer than two elements have k-factors; the lines without one are named.

    Warns
    -----
    SigmaScaleWarning
        If an element has none; its lines are named.
    """
    chosen: dict[str, str] = {}
    for name in lines:
        if name in k_factors:
            chosen.setdefault(line(name).element, name)
    missing = [name for name in lines if line(name).element not in chosen]
    named = ", ".join(missing)
    if len(chosen) < _LEAST_ELEMENTS:
        raise ParameterError(
            "A composition needs the k-factors of at least two elements among the lines. There "
            f"are none for {named or 'others'}; the table has {', '.join(k_factors) or 'none'}."
        )
    if missing:
        warnings.warn(
            f"There are no k-factors for {named}: these elements are left out of the composition, "
            "whose 100 % are those of the others.",
            SigmaScaleWarning,
            stacklevel=2,
        )
    return list(chosen.values())


def composition_table(
    counts: xr.DataArray,
    lines: Sequence[str],
    quantified: Sequence[str],
    k_factors: Mapping[str, float],
) -> pd.DataFrame:
    """
    Calculate the composition of each phase.

    Parameters
    ----------
    counts : xarray.DataArray, shape (phase, energy)
        Summed counts of each phase, with the attributes that
        :func:`~sigma_scale.phases.phase_spectra` gives them.
    lines : sequence of str
        X-ray lines of the features: the peaks of all of them are told apart.
    quantified : sequence of str
        Those that percentages are made of, from :func:`choose_quantified`.
    k_factors : mapping of str to float
        Their k-factors.

    Returns
    -------
    pandas.DataFrame
        One row per phase and element: ``line``, ``k_factor``, ``net`` and ``net_error`` in counts;
        ``weight_percent``, ``atomic_percent``, each with ``_error`` and ``_limit``, its detection
        limit; ``detected``, whether the line exceeds its limit; ``measure``, what it is.
        ``attrs["statement"]`` says what it is not.

    Raises
    ------
    ParameterError, EnergyRangeError
        If lines can't be measured.

    Warns
    -----
    SigmaScaleWarning
        If the peaks can't be told apart by a fit, and are measured in windows that they share.
    """
    chosen = list(quantified)
    try:
        found = fit_lines(counts, list(lines))
    except ParameterError as error:
        warnings.warn(
            f"Lines are measured in windows, where neighbouring ones share counts. {error}",
            SigmaScaleWarning,
            stacklevel=2,
        )
        found = net_lines(counts, list(lines))
    found = found.sel(line=chosen)
    if "net_covariance" in found:
        found = found.sel(line_2=chosen)
    parts = {
        f"{unit}_percent": cliff_lorimer(found, k_factors, unit=unit)
        for unit in ("weight", "atomic")
    }
    rows = []
    for i, phase in enumerate(found["phase"].to_numpy().tolist()):
        for j, name in enumerate(chosen):
            one = found[["net", "net_error", "detection_limit"]].isel(phase=i, line=j)
            net, limit = float(one["net"]), float(one["detection_limit"])
            row = {"phase": phase, "element": line(name).element, "line": name}
            row |= {"k_factor": float(k_factors[name]), "net": net}
            row["net_error"] = float(one["net_error"])
            for unit, part in parts.items():
                values = part.isel(phase=i, element=j)
                row[unit] = float(values["composition"])
                row[f"{unit}_error"] = float(values["composition_error"])
                row[f"{unit}_limit"] = float(values["detection_limit"])
            rows.append(row | {"detected": net > limit})
    instrument = str(found.attrs.get("instrument"))
    table = pd.DataFrame(rows).set_index(["phase", "element"])
    table["measure"] = _MEASURES.get(instrument, "")
    table.attrs["statement"] = parts["weight_percent"].attrs["statement"]
    return table
