"""Net counts of X-ray lines in the spectra of phases, their errors and detection limits."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import EnergyRangeError, ParameterError, ShapeMismatchError
from sigma_scale.features.net_lines import LineWindows, line_windows
from sigma_scale.spectra.axis import EnergyAxis
from sigma_scale.xray import DEFAULT_RESOLUTION_MN_KA_EV, line, line_energy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

__all__ = [
    "QUANTILE",
    "detection_limits",
    "energy_axis",
    "instrument_of",
    "line_coordinates",
    "net_lines",
    "resolution_of",
    "spectra_and_variance",
]

_UNEVEN = 0.1
"""By how much of a channel energies may miss even steps: they may be of single precision."""

QUANTILE = NormalDist().inv_cdf(0.95)
"""Currie's k, 1.645: one standard normal value in twenty lies above it."""


def net_lines(
    spectra: xr.DataArray,
    lines: Sequence[str],
    *,
    variance: xr.DataArray | None = None,
    window_width: float = 2.0,
    distance: tuple[float, float] = (2.0, 2.0),
    background_width: float = 1.0,
    resolution_mn_ka_ev: float | None = None,
) -> xr.Dataset:
    """
    Measure X-ray lines above a linear background.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (..., energy)
        Summed counts of one spectrum or of several; energies in keV.
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.
    variance : xarray.DataArray, shape (..., energy), optional
        Variance of each channel, for spectra that are not plain counts (means, weighted sums).
        None: the counts themselves, after Poisson's law.
    window_width : float, default: 2.0
        Full width of each line's window in units of its FWHM.
    distance : tuple of float, default: (2.0, 2.0)
        How far the left and right background window begin from the line, in FWHM.
    background_width : float, default: 1.0
        Width of each background window in FWHM.
    resolution_mn_ka_ev : float, optional
        FWHM of the Mn Ka peak in eV. None: from the spectra's attribute of that name, else 130.

    Returns
    -------
    xarray.Dataset, over (..., line), float64
        ``gross``, ``background`` and ``net`` counts; ``net_error``, the standard error;
        ``signal_to_noise``, net / net_error, 0 where nothing was counted; ``critical_level`` and
        ``detection_limit``, see :func:`detection_limits`.

    Raises
    ------
    UnknownLineError
        If a line is not in the table.
    EnergyRangeError
        If a line's window lies outside the measured energies.
    ShapeMismatchError
        If the variance has another shape than the spectra.
    ParameterError
        If the spectra are not ones of counts, or a line is given twice.

    Warns
    -----
    SigmaScaleWarning
        If no background can be measured beside a line; its net counts are NaN.

    Notes
    -----
    With G counts in the window of n channels and S in the m channels of both side windows, net =
    G - S n / m, eXSpy's ``get_lines_intensity`` with ``estimate_background_windows``, and
    error**2 = G + S (n / m)**2 after Poisson's law. A peak of Gaussian shape has 98 % of its
    counts in a window of two FWHM.
    """
    import xarray as xr

    counts, variances = spectra_and_variance(spectra, variance)
    resolution_mn_ka_ev = resolution_of(spectra, resolution_mn_ka_ev)
    found = line_windows(
        lines,
        energy_axis(spectra),
        resolution_mn_ka_ev=resolution_mn_ka_ev,
        window_width=window_width,
        distance=distance,
        background_width=background_width,
    )
    scale = np.array([item.scale for item in found])
    gross, beside = _sums(counts, found)
    gross_variance, beside_variance = _sums(variances, found)
    background = beside * scale
    net = gross - background
    error = np.sqrt(gross_variance + scale**2 * beside_variance)
    noise = np.divide(net, error, out=np.zeros_like(net), where=~(error <= 0))
    # Of plain counts it is 1; of weighted spectra it is what one count adds to the variance.
    counted, varied = gross + beside, gross_variance + beside_variance
    per_count = np.divide(varied, counted, out=np.ones_like(net), where=counted > 0)
    critical, limit = detection_limits(scale * beside_variance, scale, variance_per_count=per_count)
    dims = (*spectra.dims[:-1], "line")
    unit = {"units": spectra.attrs.get("units", "counts")}
    return xr.Dataset(
        {
            "gross": (dims, gross, unit),
            "background": (dims, background, unit),
            "net": (dims, net, unit),
            "net_error": (dims, error, unit),
            "signal_to_noise": (dims, noise),
            "critical_level": (dims, critical, unit),
            "detection_limit": (dims, limit, unit),
        },
        coords={**line_coordinates(lines), **_other_coordinates(spectra)},
        attrs={
            "recipe": {
                "function": "net_lines",
                "lines": list(lines),
                "window_width_fwhm": window_width,
                "background_distance_fwhm": list(distance),
                "background_width_fwhm": background_width,
                "resolution_mn_ka_ev": resolution_mn_ka_ev,
            },
            **instrument_of(spectra),
            **unit,
        },
    )


def detection_limits(
    background: NDArray[np.float64],
    scale: NDArray[np.float64],
    *,
    variance_per_count: NDArray[np.float64] | float = 1.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Calculate how many net counts tell a line from its background.

    Parameters
    ----------
    background : numpy.ndarray, shape (..., line), float64
        Variance of the counts in the line's window without the line: of plain counts, the
        background itself.
    scale : numpy.ndarray, shape (line,), float64
        Channels in the line's window per channel of the side windows.
    variance_per_count : float or numpy.ndarray, default: 1.0
        What each count of the line adds to the variance.

    Returns
    -------
    critical_level, detection_limit : numpy.ndarray, shape (..., line), float64
        Net counts above which a line is there, with 5 % of false alarms; and net counts that a
        line must have on average so that 95 % of its measurements exceed the critical level.

    Notes
    -----
    L_C = k s0 and L_D = k**2 + 2 k s0 with k = 1.645 and s0**2 = B (1 + n / m), the variance of
    the net counts where there is no line: L. A. Currie, Anal. Chem. 40 (1968) 586, and IUPAC,
    Pure Appl. Chem. 67 (1995) 1699. With side windows of as many channels as the line's, as by
    default, s0 = sqrt(2 B) and L_D = 2.71 + 3.29 sqrt(2 B): the rule of thumb 3 sqrt(2 B), with
    Currie's factors.
    """
    spread = np.sqrt(background * (1.0 + scale))
    return QUANTILE * spread, QUANTILE**2 * variance_per_count + 2.0 * QUANTILE * spread


def _sums(
    values: NDArray[np.float64], found: Sequence[LineWindows]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of the lines' windows, and of the windows beside them."""

    def total(part: range) -> NDArray[np.float64]:
        return np.asarray(values[..., part.start : part.stop].sum(axis=-1))

    inside = [total(item.window) for item in found]
    beside = [total(item.left) + total(item.right) for item in found]
    return np.stack(inside, axis=-1), np.stack(beside, axis=-1)


def spectra_and_variance(
    spectra: xr.DataArray, variance: xr.DataArray | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Check spectra and the variance of their channels.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (..., energy)
        Counts.
    variance : xarray.DataArray, shape (..., energy), or None
        None: the counts.

    Returns
    -------
    counts, variance : numpy.ndarray, shape (..., energy), float64

    Raises
    ------
    ParameterError
        If they have no energies, or values that are negative, NaN or infinite.
    ShapeMismatchError
        If they don't have the same shape.
    """
    dims = getattr(spectra, "dims", type(spectra).__name__)
    if not dims or dims[-1] != "energy" or "energy" not in spectra.coords:
        raise ParameterError(f"A spectrum has the dimension and coordinate energy, got {dims}.")
    if spectra.dtype.kind not in "fiub":
        raise ParameterError(f"The spectrum must be numbers, got {spectra.dtype}.")
    counts = np.asarray(spectra, np.float64)
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ParameterError("The spectrum has negative values, NaN or infinity: not counts.")
    if variance is None:
        return counts, counts
    values = np.asarray(variance, np.float64)
    if values.shape != counts.shape:
        raise ShapeMismatchError(
            f"The variance has the shape {values.shape}, the spectra {counts.shape}."
        )
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ParameterError("The variance has negative values, NaN or infinity.")
    return counts, values


def energy_axis(spectra: xr.DataArray) -> EnergyAxis:
    """
    Read the energy axis off spectra.

    Raises
    ------
    EnergyRangeError
        If there is only one channel, or none.
    ParameterError
        If the energies don't ascend in even steps.
    """
    energy = spectra.indexes["energy"].to_numpy()
    if len(energy) <= 1:
        raise EnergyRangeError("A spectrum of one channel shows no lines.")
    scale = float(energy[-1] - energy[0]) / (len(energy) - 1)
    even = energy[0] + scale * np.arange(len(energy))
    if scale > 0 and np.abs(energy - even).max() > _UNEVEN * scale:
        raise ParameterError(
            "The energies of a spectrum must ascend in even steps, in keV: windows and peaks are "
            "found by channel. Take a range of channels without gaps."
        )
    return EnergyAxis(len(energy), scale, float(energy[0]))


def resolution_of(spectra: xr.DataArray, given: float | None) -> float:
    """Return the given FWHM of Mn Ka in eV, else that in the spectra's attributes, else 130."""
    if given is not None:
        return given
    return float(spectra.attrs.get("resolution_mn_ka_ev", DEFAULT_RESOLUTION_MN_KA_EV))


def instrument_of(spectra: xr.DataArray) -> dict[str, str]:
    """Attribute ``instrument`` of spectra, for what is made of them; empty where there is none."""
    return {name: spectra.attrs[name] for name in ("instrument",) if name in spectra.attrs}


def line_coordinates(lines: Sequence[str]) -> dict[str, object]:
    """Coordinates of results over lines: names, elements and energies."""
    return {
        "line": list(lines),
        "element": ("line", [line(name).element for name in lines]),
        "energy_kev": ("line", [line_energy(name) for name in lines], {"units": "keV"}),
    }


def _other_coordinates(spectra: xr.DataArray) -> dict[str, xr.DataArray]:
    """Coordinates that don't run over the channels."""
    return {
        str(name): values
        for name, values in spectra.coords.items()
        if "energy" not in values.dims and name not in {"line", "element", "energy_kev"}
    }
