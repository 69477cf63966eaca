"""k-ratios: intensities per dose, relative to standards that were measured alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.phases.net_lines import net_lines
from sigma_scale.xray import line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

__all__ = ["Standard", "k_ratios"]

_STATEMENT = (
    "Castaing's first approximation: the k-ratio times the standard's content. Not corrected for "
    "atomic number, absorption and fluorescence (no ZAF or phi-rho-z), so it is a composition only "
    "where standard and phase are alike; a total far from 100 % says that they are not, or that "
    "elements are missing."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """
    A line's intensity in a material of known composition.

    Parameters
    ----------
    net : float
        Net counts of the line.
    net_error : float, default: 0.0
        Standard error of the net counts.
    live_time_s : float
        Live time in seconds.
    beam_current_na : float
        Beam current in nanoamperes.
    weight_percent : float, default: 100.0
        Content of the line's element.

    Raises
    ------
    ParameterError
        If a number is not positive, or the content exceeds 100 %.
    """

    net: float
    live_time_s: float
    beam_current_na: float
    net_error: float = 0.0
    weight_percent: float = 100.0

    def __post_init__(self) -> None:
        for name in ("net", "live_time_s", "beam_current_na", "weight_percent"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ParameterError(f"A standard needs a positive {name}, got {value}.")
        if not (math.isfinite(self.net_error) and self.net_error >= 0):
            raise ParameterError(
                f"The error of a standard's net counts can't be {self.net_error}; give 0 or more."
            )
        if self.weight_percent > 100.0:  # noqa: PLR2004
            raise ParameterError(
                f"A standard can't hold {self.weight_percent} % of an element; give 100 or less."
            )

    @property
    def per_dose(self) -> float:
        """Net counts per nanoampere-second."""
        return self.net / (self.live_time_s * self.beam_current_na)

    @classmethod
    def from_spectrum(
        cls,
        spectrum: xr.DataArray,
        line_name: str,
        *,
        lines: Sequence[str] | None = None,
        live_time_s: float | None = None,
        beam_current_na: float | None = None,
        weight_percent: float = 100.0,
        resolution_mn_ka_ev: float | None = None,
    ) -> Self:
        """
        Measure a line in the spectrum of a standard.

        Parameters
        ----------
        spectrum : xarray.DataArray, shape (energy,)
            Counts; energies in keV.
        line_name : str
            Line to measure, such as ``"Fe_Ka"``.
        lines : sequence of str, optional
            The lines measured in the sample, so that the background windows are the same here.
            None: this line alone.
        live_time_s, beam_current_na : float, optional
            Live time and beam current. None: from the spectrum's attributes of these names.
        weight_percent : float, default: 100.0
            Content of the line's element.
        resolution_mn_ka_ev : float, optional
            See :func:`~sigma_scale.phases.net_lines.net_lines`.

        Returns
        -------
        Standard

        Raises
        ------
        ParameterError
            If the live time or beam current is not known, or the line has no net counts.
        UnknownLineError, EnergyRangeError
            If the line is not in the table, or was not measured.
        """
        live = spectrum.attrs.get("live_time_s") if live_time_s is None else live_time_s
        current = (
            spectrum.attrs.get("beam_current_na") if beam_current_na is None else beam_current_na
        )
        for name, value in (("live_time_s", live), ("beam_current_na", current)):
            if value is None:
                raise ParameterError(f"The standard for {line_name} needs its {name}: give it.")
        together = [line_name] if lines is None else list(dict.fromkeys([*lines, line_name]))
        found = net_lines(spectrum, together, resolution_mn_ka_ev=resolution_mn_ka_ev)
        found = found.sel(line=line_name)
        return cls(
            net=float(found["net"]),
            net_error=float(found["net_error"]),
            live_time_s=float(live),  # type: ignore[arg-type]
            beam_current_na=float(current),  # type: ignore[arg-type]
            weight_percent=weight_percent,
        )


def k_ratios(
    intensities: xr.Dataset,
    standards: Mapping[str, Standard],
    *,
    live_time_s: float | xr.DataArray,
    beam_current_na: float,
) -> xr.Dataset:
    """
    Divide intensities per dose by those of standards.

    Parameters
    ----------
    intensities : xarray.Dataset, over (..., line)
        ``net`` counts and, where known, ``net_error``, measured as the standards were (same beam
        energy, detector, take-off angle and windows). Lazy or not.
    standards : mapping of str to Standard
        Standard of each line.
    live_time_s : float or xarray.DataArray, shape (...)
        Live time in seconds in which the counts were gathered: of a map that of one (binned)
        pixel, of a phase that of all its pixels together.
    beam_current_na : float
        Beam current in nanoamperes.

    Returns
    -------
    xarray.Dataset, over (..., line), float64
        ``k_ratio`` and, where errors are known, ``k_ratio_error``; ``weight_percent``, the k-ratio
        times the standard's content, and ``weight_percent_error``; ``total`` (...), the sum of
        the weight percent, which nothing normalises. Attribute ``statement``: what it is not.

    Raises
    ------
    ParameterError
        If standards are missing (the lines are named), two lines are of one element, intensities
        are not net counts, or the live time or current is not positive or no single number.
    ShapeMismatchError
        If there are other live times than spectra.

    Notes
    -----
    ``k = (N / (t i)) / (N_s / (t_s i_s))`` and ``C ~ k C_s``: R. Castaing's first approximation
    (thesis, Paris 1951; Goldstein et al., Scanning Electron Microscopy and X-Ray Microanalysis,
    2018, chapter 20). Relative errors of sample and standard add in squares.
    """
    import xarray as xr

    if "net" not in intensities or "line" not in intensities["net"].dims:
        raise ParameterError(
            "k-ratios need net counts: a dataset with a variable 'net' over 'line'."
        )
    net = intensities["net"]
    if net.attrs.get("units") == "share":
        raise ParameterError(
            "The intensities are shares of the total; k-ratios need counts. Measure the lines "
            "before normalising."
        )
    lines = [str(name) for name in net.indexes["line"]]
    missing = [name for name in lines if name not in standards]
    if missing:
        raise ParameterError(
            f"There are no standards for {', '.join(missing)}. Give them, or leave these lines out."
        )
    elements = [line(name).element for name in lines]
    twice = sorted({element for element in elements if elements.count(element) > 1})
    if twice:
        raise ParameterError(
            f"There are several lines of {', '.join(twice)}; choose one, or the total counts them "
            "more than once."
        )
    _check_dose(net, live_time_s, beam_current_na)
    own = [standards[name] for name in lines]
    over = {"line": lines}

    def per_line(values: list[float]) -> xr.DataArray:
        return xr.DataArray(np.array(values, np.float64), dims="line", coords=over)

    dose = live_time_s * beam_current_na
    factor = 1.0 / (per_line([item.per_dose for item in own]) * dose)
    content = per_line([item.weight_percent for item in own])
    ratio = (net * factor).transpose(*net.dims)
    parts = {"k_ratio": ratio, "weight_percent": (ratio * content).assign_attrs(units="wt%")}
    if "net_error" in intensities:
        relative = per_line([item.net_error / item.net for item in own])
        variance = (intensities["net_error"] * factor) ** 2 + (ratio * relative) ** 2
        parts["k_ratio_error"] = (variance**0.5).transpose(*net.dims)
        parts["weight_percent_error"] = (parts["k_ratio_error"] * content).assign_attrs(units="wt%")
    parts["total"] = parts["weight_percent"].sum("line", skipna=False).assign_attrs(units="wt%")
    recipe = {
        "function": "k_ratios",
        "standards": {name: repr(standards[name]) for name in lines},
        "beam_current_na": float(beam_current_na),
        "intensities": intensities.attrs.get("recipe"),
    }
    if not isinstance(live_time_s, xr.DataArray):
        recipe["live_time_s"] = float(live_time_s)
    result = xr.Dataset(parts, attrs={"recipe": recipe, "statement": _STATEMENT})
    return result.assign_coords(element=("line", elements))


def _check_dose(
    net: xr.DataArray, live_time_s: float | xr.DataArray, beam_current_na: float
) -> None:
    import xarray as xr

    for name, value in (("live_time_s", live_time_s), ("beam_current_na", beam_current_na)):
        numbers = np.asarray(value, np.float64)
        if numbers.ndim and not isinstance(value, xr.DataArray):
            raise ParameterError(
                f"{name} is one number, or the live time an xarray.DataArray over the dimensions "
                f"of the counts; got an array of the shape {numbers.shape}."
            )
        if not (np.isfinite(numbers) & (numbers > 0)).all():
            raise ParameterError(f"{name} must be positive and finite.")
    if isinstance(live_time_s, xr.DataArray):
        sizes = live_time_s.sizes
        if any(size != net.sizes.get(dim) for dim, size in sizes.items()):
            raise ShapeMismatchError(
                f"The live times are over {dict(sizes)}, the counts over {dict(net.sizes)}. Give "
                "one for each spectrum."
            )
