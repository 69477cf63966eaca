"""
A guess of the elements in a phase from the X-ray lines in its summed spectrum.

The background under a line is taken from a window on either side of it, as eXSpy's
``get_lines_intensity(background_windows="auto")`` does, and what is left is compared with its
counting noise. It is a guess: lines of different elements may overlap, and the share of the
counts is no concentration.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.features.net_lines import background_windows
from sigma_scale.phases.net_lines import net_lines, resolution_of
from sigma_scale.xray import atomic_number, fwhm_kev, line, lines_near, suggest_lines
from sigma_scale.xray.families import candidate_elements

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

__all__ = [
    "background_windows",
    "element_evidence",
    "element_summary",
    "guess_elements",
    "summary_of",
]

_logger = logging.getLogger(__name__)
_LEAST_WEIGHT = 0.1  # of a line in its family, to be named as an overlap
_EVIDENCE = (
    "element",
    "energy_kev",
    "net",
    "error",
    "signal_to_noise",
    "detection_limit",
    "share",
    "fitted",
    "fitted_error",
    "overlaps",
    "decision",
)


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
    if spectrum.dims != ("energy",):
        raise ParameterError(
            f"A spectrum has the dimension and coordinate energy, got {spectrum.dims}."
        )
    found = net_lines(
        spectrum, lines, window_width=window_width, resolution_mn_ka_ev=resolution_mn_ka_ev
    )
    table = pd.DataFrame(
        {
            "element": found["element"].to_numpy(),
            "energy_kev": found["energy_kev"].to_numpy(),
            "gross": found["gross"].to_numpy(),
            "background": found["background"].to_numpy(),
            "net": found["net"].to_numpy(),
            "sigma": found["net_error"].to_numpy(),
            "significance": found["signal_to_noise"].to_numpy(),
        },
        index=pd.Index(list(lines), name="line"),
    )
    positive = np.maximum(table["net"].to_numpy(), 0.0)
    table["share"] = positive / max(np.nansum(positive), np.finfo(float).tiny)
    return table


def element_evidence(
    spectra: xr.DataArray,
    lines: Sequence[str] | None = None,
    *,
    min_significance: float = 3.0,
    min_share: float = 0.01,
    resolution_mn_ka_ev: float | None = None,
    beam_energy_kev: float | None = None,
) -> pd.DataFrame:
    """
    Decide for each phase and X-ray line whether its element is there, and show why.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (phase, energy)
        Summed counts of each phase; energies in keV.
    lines : sequence of str, optional
        X-ray lines to look for. None: those that :func:`sigma_scale.xray.suggest_lines` finds
        in any phase, of all elements that a solid may plausibly contain.
    min_significance : float, default: 3.0
        Standard errors that a line must rise above its background.
    min_share : float, default: 0.01
        Share that a line must have in the net counts of all lines, 0 to 1.
    resolution_mn_ka_ev : float, optional
        FWHM of the Mn Ka peak in eV. None: from the spectra's attribute of that name, else 130.
    beam_energy_kev : float, optional
        Energy of the electrons. None: from the attribute of that name, else unknown.

    Returns
    -------
    pandas.DataFrame
        One row per phase and line. Columns: ``element``; ``energy_kev``; ``net``, counts above
        the background windows; ``error``, their standard error; ``signal_to_noise``;
        ``detection_limit``, Currie's in counts; ``fitted`` and ``fitted_error``, the line's area
        with overlaps resolved (NaN where it can't be fitted); ``share`` in the positive areas
        (nets where there are none) of the phase; ``overlaps``, lines of other elements within a
        FWHM that were considered, the nearest first; ``decision``: ``"present"``, ``"trace"`` (of
        too small a share), ``"uncertain"`` (it is significant, but the peaks of the other elements
        explain the spectrum nearly as well), ``"overlapped"`` (it stands out, which a line of an
        element that is there, a FWHM away or less, or the fit explains) or ``"not detected"``.

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
    The decision is taken on the significance of the fitted area, or of the net counts where there
    is no fit: between strong neighbours, as Na Ka and Mg Ka beside Al Ka, the background windows
    hold their peaks, and net counts are far too low. What is significant must also be needed by
    :func:`sigma_scale.xray.suggest_lines`, which models what strong peaks do to their
    surroundings. The detection limit says what a line would have needed to be seen reliably, so it
    tells how much a ``"not detected"`` means.
    """
    _check_phases(spectra)
    beam = spectra.attrs.get("beam_energy_kev") if beam_energy_kev is None else beam_energy_kev
    resolution = resolution_of(spectra, resolution_mn_ka_ev)
    if lines is None:
        lines = _suggested(spectra, resolution, beam)
        plausible = set(candidate_elements())
    else:
        plausible = {line(name).element for name in lines}
    tables = []
    for position in range(spectra.sizes["phase"] if lines else 0):
        spectrum = spectra.isel(phase=position)
        table = guess_elements(spectrum, lines, resolution_mn_ka_ev=resolution)
        table = table.rename(columns={"sigma": "error", "significance": "signal_to_noise"})
        found = net_lines(spectrum, lines, resolution_mn_ka_ev=resolution)
        table.insert(5, "detection_limit", found["detection_limit"].to_numpy())
        table["fitted"], table["fitted_error"] = _fitted(spectrum, lines, resolution, beam)
        table["overlaps"] = [" ".join(_overlaps(name, plausible, resolution)) for name in lines]
        area, significance = _best(table)
        table["share"] = np.maximum(area, 0.0)
        table["share"] /= max(float(table["share"].sum()), np.finfo(float).tiny)
        there = _needed_elements(spectrum, lines, resolution, beam)
        needed = table["element"].isin(there)
        near = [any(line(o).element in there for o in text.split()) for text in table["overlaps"]]
        weak = ~(significance > min_significance)
        table["decision"] = np.select(
            [
                weak & (table["signal_to_noise"] > min_significance),
                weak,
                ~needed & np.array(near),
                ~needed,
                table["share"] < min_share,
            ],
            ["overlapped", "not detected", "overlapped", "uncertain", "trace"],
            default="present",
        )
        tables.append(table.drop(columns=["gross", "background"]))
    columns = list(_EVIDENCE)
    phases = spectra.indexes["phase"] if "phase" in spectra.indexes else range(len(spectra))
    if not tables:
        empty = pd.MultiIndex.from_arrays([[], []], names=["phase", "line"])
        return pd.DataFrame(columns=columns, index=empty)
    return pd.concat(tables, keys=list(phases), names=["phase", "line"])[columns]


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
    Those that :func:`element_evidence` finds present.
    """
    _check_phases(spectra)
    evidence = element_evidence(
        spectra,
        lines,
        min_significance=min_significance,
        min_share=min_share,
        resolution_mn_ka_ev=resolution_mn_ka_ev,
        beam_energy_kev=beam_energy_kev,
    )
    return summary_of(evidence, spectra)


def summary_of(evidence: pd.DataFrame, spectra: xr.DataArray) -> pd.DataFrame:
    """
    Name the elements that evidence shows to be present.

    Parameters
    ----------
    evidence : pandas.DataFrame
        From :func:`element_evidence`.
    spectra : xarray.DataArray, shape (phase, energy)
        The spectra that it was found in.

    Returns
    -------
    pandas.DataFrame
        As :func:`element_summary` gives it.
    """
    counts = np.asarray(spectra.sum("energy"), np.float64)
    phases = spectra.indexes["phase"] if "phase" in spectra.indexes else range(len(counts))
    present = evidence[evidence["decision"] == "present"]
    present = present.sort_values("share", ascending=False, kind="stable")
    rows = []
    for phase, total in zip(phases, counts.tolist(), strict=True):
        seen = present[present.index.get_level_values("phase") == phase]
        shares = seen.groupby("element", sort=False)["share"].sum()
        ordered = shares.sort_values(ascending=False, kind="stable").index
        main = seen.index.get_level_values("line")
        rows.append((" ".join(ordered), main[0] if len(seen) else "", total))
    return pd.DataFrame(
        rows, columns=["elements", "main_line", "counts"], index=pd.Index(phases, name="phase")
    )


def _best(table: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts of each line and their significance: of the fit, or of the windows without one."""
    fitted, error = table["fitted"].to_numpy(), table["fitted_error"].to_numpy()
    there = np.isfinite(fitted) & (error > 0)
    area = np.where(there, fitted, table["net"].to_numpy())
    noise = np.divide(fitted, error, out=table["signal_to_noise"].to_numpy(copy=True), where=there)
    return area, noise


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
        resolution_mn_ka_ev=resolution_of(spectrum, resolution_mn_ka_ev),
        max_lines=len(lines),
        elements=sorted({line(name).element for name in lines}),
    )
    return {line(name).element for name in found}


def _check_phases(spectra: xr.DataArray) -> None:
    if spectra.dims != ("phase", "energy"):
        raise ParameterError(f"Spectra have the dimensions (phase, energy), got {spectra.dims}.")


def _suggested(spectra: xr.DataArray, resolution: float, beam: float | None) -> list[str]:
    """Lines that any phase shows, one per element, by atomic number."""
    found: dict[str, str] = {}
    for row in spectra.to_numpy():
        for name in suggest_lines(
            row,
            spectra.indexes["energy"].to_numpy(),
            beam_energy_kev=beam,
            resolution_mn_ka_ev=resolution,
        ):
            found.setdefault(line(name).element, name)
    return [found[element] for element in sorted(found, key=atomic_number)]


def _fitted(
    spectrum: xr.DataArray, lines: Sequence[str], resolution: float, beam: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas of the lines with overlaps resolved; NaN where a fit makes no sense."""
    from sigma_scale.phases.peak_fit import fit_lines

    try:
        with warnings.catch_warnings():
            # An unsettled fit of a nearly empty spectrum still shows its wide errors.
            warnings.simplefilter("ignore", SigmaScaleWarning)
            fit = fit_lines(spectrum, lines, resolution_mn_ka_ev=resolution, beam_energy_kev=beam)
    except ParameterError as error:
        _logger.info("No fitted areas as evidence: %s", error)
        return np.full(len(lines), np.nan), np.full(len(lines), np.nan)
    return fit["net"].to_numpy(), fit["net_error"].to_numpy()


def _overlaps(name: str, plausible: set[str], resolution: float) -> list[str]:
    """Lines of other plausible elements that are no further than a FWHM from a line."""
    own = line(name)
    reach = fwhm_kev(own.energy_kev, resolution_mn_ka_ev=resolution)
    return [
        other.name
        for other in lines_near(own.energy_kev, tolerance_kev=reach)
        if other.element != own.element
        and other.element in plausible
        and other.weight >= _LEAST_WEIGHT
    ]
