"""
A guess of the elements in a phase from the X-ray lines in its summed spectrum.

The background under a line is taken from a window on either side of it, as eXSpy's
``get_lines_intensity(background_windows="auto")`` does, and what is left is compared with its
counting noise. It is a guess: lines of different elements may overlap, and the share of the
counts is no concentration.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sigma_scale.errors import EnergyRangeError, ParameterError
from sigma_scale.spectra.axis import EnergyAxis
from sigma_scale.xray import (
    DEFAULT_RESOLUTION_MN_KA_EV,
    fwhm_kev,
    line,
    line_energy,
    suggest_lines,
    window_kev,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["background_windows", "element_summary", "guess_elements"]


def background_windows(
    lines: Sequence[str], *, resolution_mn_ka_ev: float = DEFAULT_RESOLUTION_MN_KA_EV
) -> NDArray[np.float64]:
    """
    Calculate two windows beside each X-ray line that hold background only.

    Parameters
    ----------
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.
    resolution_mn_ka_ev : float, default: 130.0
        FWHM of the Mn Ka peak in eV.

    Returns
    -------
    numpy.ndarray, shape (line, 4), float64
        Limits in keV of the left and of the right window.

    Raises
    ------
    UnknownLineError
        If a line is not in the table.

    Notes
    -----
    As eXSpy's ``estimate_background_windows``: one FWHM wide, two FWHM away from the line. Where
    the windows of neighbouring lines overlap, both lines take the left window of the lower and
    the right window of the upper one.
    """
    windows = np.empty((len(lines), 4))
    for row, name in enumerate(lines):
        energy = line_energy(name)
        width = fwhm_kev(energy, resolution_mn_ka_ev=resolution_mn_ka_ev)
        windows[row] = energy + width * np.array([-3.0, -2.0, 2.0, 3.0])
    order = np.argsort(windows[:, 0])
    for lower, upper in pairwise(order):
        if windows[lower, 2] > windows[upper, 0]:
            merged = np.concatenate([windows[lower, :2], windows[upper, 2:]])
            windows[lower] = merged
            windows[upper] = merged
    return windows


def guess_elements(
    spectrum: xr.DataArray,
    lines: Sequence[str],
    *,
    resolution_mn_ka_ev: float | None = None,
    window_width: float = 2.0,
) -> pd.DataFrame:
    """
    Measure X-ray lines above their background, with counting errors.

    Parameters
    ----------
    spectrum : xarray.DataArray, shape (energy,)
        Summed counts (not a mean: the errors come from the counts); energies in keV.
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.
    resolution_mn_ka_ev : float, optional
        FWHM of the Mn Ka peak in eV. None: from the spectrum's attribute of that name, else 130.
    window_width : float, default: 2.0
        Full width of each line's window in units of its FWHM.

    Returns
    -------
    pandas.DataFrame
        One row per line, in the order given. Columns: ``element``; ``energy_kev``; ``gross``,
        counts in the window; ``background``, those expected of it without the line; ``net``,
        their difference; ``sigma``, its standard deviation; ``significance``, net / sigma;
        ``share`` of the line in the sum of all positive nets, 0 to 1.

    Raises
    ------
    UnknownLineError
        If a line is not in the table.
    EnergyRangeError
        If a line's window lies outside the measured energies.
    ParameterError
        If the spectrum is not one of counts, or a line is given twice.

    Notes
    -----
    With G counts in the window of n channels and B in the m channels of both side windows,
    net = G - B n / m and sigma**2 = G + B (n / m)**2 after Poisson's law. A side window beyond
    the end of the energy axis is left out.
    """
    counts = _checked_counts(spectrum)
    if len(set(lines)) < len(lines):
        raise ParameterError(f"Each X-ray line can be given only once, got {', '.join(lines)}.")
    axis = _energy_axis(spectrum)
    resolution_mn_ka_ev = _resolution(spectrum, resolution_mn_ka_ev)
    sides = background_windows(lines, resolution_mn_ka_ev=resolution_mn_ka_ev)
    rows = []
    for name, limits in zip(lines, sides, strict=True):
        low, high = window_kev(
            name, resolution_mn_ka_ev=resolution_mn_ka_ev, window_width=window_width
        )
        window = axis.window_channels(low, high, name=name)
        beside = _side_channels(axis, limits)
        gross = counts[window.start : window.stop].sum()
        scale = len(window) / len(beside) if len(beside) else 0.0
        side_counts = counts[beside].sum()
        rows.append(
            {
                "element": name.split("_", maxsplit=1)[0],
                "energy_kev": line_energy(name),
                "gross": gross,
                "background": scale * side_counts,
                "net": gross - scale * side_counts,
                "sigma": np.sqrt(gross + scale**2 * side_counts),
            }
        )
    columns = ["element", "energy_kev", "gross", "background", "net", "sigma"]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index(list(lines), name="line"))
    net, sigma = table["net"].to_numpy(float), table["sigma"].to_numpy(float)
    table["significance"] = np.divide(net, sigma, out=np.zeros_like(net), where=sigma > 0)
    positive = np.maximum(net, 0.0)
    table["share"] = positive / max(positive.sum(), np.finfo(float).tiny)
    return table


def element_summary(
    spectra: xr.DataArray,
    lines: Sequence[str],
    *,
    min_significance: float = 3.0,
    min_share: float = 0.01,
    resolution_mn_ka_ev: float | None = None,
    beam_energy_kev: float | None = None,
) -> pd.DataFrame:
    """
    Name the elements that each phase seems to contain.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (phase, energy)
        Summed counts of each phase; energies in keV.
    lines : sequence of str
        X-ray lines to look for, such as ``"Fe_Ka"``.
    min_significance : float, default: 3.0
        Standard deviations that a line must rise above its background.
    min_share : float, default: 0.01
        Share that a line must have in the net counts of all lines, 0 to 1.
    resolution_mn_ka_ev : float, optional
        FWHM of the Mn Ka peak in eV. None: from the spectra's attribute of that name, else 130.
    beam_energy_kev : float, optional
        Energy of the electrons, which decides on the lines that elements can show.

    Returns
    -------
    pandas.DataFrame
        One row per phase. Columns: ``elements``, text such as ``"O Si Al Na"``, the element
        with the most counts first; ``main_line``, the line with the most counts, or an empty
        text; ``counts`` in the whole spectrum.

    Raises
    ------
    UnknownLineError
        If a line is not in the table.
    EnergyRangeError
        If a line's window lies outside the measured energies.
    ParameterError
        If the spectra are not ones of counts.

    Notes
    -----
    A line must rise above its background, and a fit of the peaks of all these elements
    (:func:`sigma_scale.xray.suggest_lines`) must need its element: the tail of a strong
    neighbouring peak does the first, but not the second.
    """
    if spectra.dims != ("phase", "energy"):
        raise ParameterError(f"Spectra have the dimensions (phase, energy), got {spectra.dims}.")
    rows = []
    for position in range(spectra.sizes["phase"]):
        spectrum = spectra.isel(phase=position)
        table = guess_elements(spectrum, lines, resolution_mn_ka_ev=resolution_mn_ka_ev)
        seen = table[
            (table["significance"] > min_significance) & (table["share"] >= min_share)
        ].sort_values("net", ascending=False, kind="stable")
        needed = _needed_elements(spectrum, lines, resolution_mn_ka_ev, beam_energy_kev)
        seen = seen[seen["element"].isin(needed)]
        shares = seen.groupby("element", sort=False)["share"].sum()
        ordered = shares.sort_values(ascending=False, kind="stable").index
        rows.append(
            {
                "elements": " ".join(ordered),
                "main_line": seen.index[0] if len(seen) else "",
                "counts": float(spectrum.sum()),
            }
        )
    phases = spectra.indexes["phase"] if "phase" in spectra.indexes else range(len(rows))
    return pd.DataFrame(
        rows, columns=["elements", "main_line", "counts"], index=pd.Index(phases, name="phase")
    )


def _needed_elements(
    spectrum: xr.DataArray,
    lines: Sequence[str],
    resolution_mn_ka_ev: float | None,
    beam_energy_kev: float | None,
) -> set[str]:
    """Elements, of those that the lines name, that a fit of their peaks can't do without."""
    found = suggest_lines(
        spectrum.to_numpy(),
        spectrum.indexes["energy"].to_numpy(),
        beam_energy_kev=beam_energy_kev,
        resolution_mn_ka_ev=_resolution(spectrum, resolution_mn_ka_ev),
        max_lines=len(lines),
        elements=sorted({line(name).element for name in lines}),
    )
    return {line(name).element for name in found}


def _resolution(spectrum: xr.DataArray, given: float | None) -> float:
    if given is not None:
        return given
    return float(spectrum.attrs.get("resolution_mn_ka_ev", DEFAULT_RESOLUTION_MN_KA_EV))


def _checked_counts(spectrum: xr.DataArray) -> NDArray[np.float64]:
    if spectrum.dims != ("energy",) or "energy" not in spectrum.coords:
        raise ParameterError(
            f"A spectrum has the dimension and coordinate energy, got {spectrum.dims}."
        )
    counts = np.asarray(spectrum, np.float64)
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ParameterError("The spectrum has negative values, NaN or infinity: not counts.")
    return counts


def _energy_axis(spectrum: xr.DataArray) -> EnergyAxis:
    energy = spectrum.indexes["energy"].to_numpy()
    if len(energy) == 1:
        raise EnergyRangeError("A spectrum of one channel shows no lines.")
    scale = float(energy[-1] - energy[0]) / (len(energy) - 1)
    return EnergyAxis(len(energy), scale, float(energy[0]))


def _side_channels(axis: EnergyAxis, limits: NDArray[np.float64]) -> NDArray[np.int64]:
    """Channels of the two side windows, as far as they lie on the axis."""
    channels = []
    for low, high in limits.reshape(2, 2).tolist():
        start, stop = axis.channel(low), axis.channel(high)
        stop = max(stop, start + 1)  # narrower than a channel: the one it lies in
        channels.append(np.arange(max(start, 0), min(stop, axis.size)))
    return np.concatenate(channels).astype(np.int64)
