"""Widths of X-ray peaks in an energy-dispersive detector, and the windows around them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, overload

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.xray.table import line_energy

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "DEFAULT_RESOLUTION_MN_KA_EV",
    "FWHM_PER_SIGMA",
    "MINIMUM_FWHM_KEV",
    "fwhm_kev",
    "window_kev",
]

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian over its standard deviation."""

DEFAULT_RESOLUTION_MN_KA_EV = 130.0
"""FWHM of the Mn Ka peak of a common silicon drift detector, in eV."""

MINIMUM_FWHM_KEV = 0.010
"""
Floor of the peak width, in keV.

The formula's radicand turns negative near zero energy where the resolution is better than about
121 eV. Ten eV is one common channel and a fraction of any real detector's electronic noise, so the
floor changes no width that a detector can have.
"""

_MN_KA_KEV = 5.8987  # eXSpy's energy of Mn Ka
_SLOPE_EV2_PER_KEV = 2500.0  # 2.5 eV^2 per eV: (2.355)^2 * Fano factor * energy per electron pair


@overload
def fwhm_kev(energy_kev: float, *, resolution_mn_ka_ev: float = ...) -> float: ...
@overload
def fwhm_kev(
    energy_kev: NDArray[np.floating], *, resolution_mn_ka_ev: float = ...
) -> NDArray[np.float64]: ...
def fwhm_kev(
    energy_kev: float | NDArray[np.floating],
    *,
    resolution_mn_ka_ev: float = DEFAULT_RESOLUTION_MN_KA_EV,
) -> float | NDArray[np.float64]:
    """
    Calculate the full width at half maximum of an X-ray peak.

    Parameters
    ----------
    energy_kev : float or numpy.ndarray
        Energy of the peak in keV.
    resolution_mn_ka_ev : float, default: 130.0
        FWHM of the Mn Ka peak in eV.

    Returns
    -------
    float or numpy.ndarray of float64, same shape
        FWHM in keV, never below :data:`MINIMUM_FWHM_KEV`.

    Raises
    ------
    ParameterError
        If the resolution is not a positive, finite number.

    Notes
    -----
    ``FWHM(E) = sqrt(2.5 * (E - E_MnKa) * 1000 + R**2) / 1000`` after Fiori and Newbury [1]_, with
    E in keV and R in eV.

    References
    ----------
    .. [1] C. E. Fiori and D. E. Newbury, SEM/1978/I, SEM Inc., AMF O'Hare, Illinois, p. 401.
    """
    if not (math.isfinite(resolution_mn_ka_ev) and resolution_mn_ka_ev > 0):
        raise ParameterError(
            "resolution_mn_ka_ev must be the FWHM of Mn Ka in eV, a positive number "
            f"(about 120 to 150); got {resolution_mn_ka_ev}."
        )
    energies = np.asarray(energy_kev, dtype=np.float64)
    radicand = _SLOPE_EV2_PER_KEV * (energies - _MN_KA_KEV) + resolution_mn_ka_ev**2
    width = np.sqrt(np.maximum(radicand, (1000.0 * MINIMUM_FWHM_KEV) ** 2)) / 1000.0
    return float(width) if width.ndim == 0 else width


def window_kev(
    line_name: str,
    *,
    resolution_mn_ka_ev: float = DEFAULT_RESOLUTION_MN_KA_EV,
    window_width: float = 2.0,
) -> tuple[float, float]:
    """
    Calculate the energy window around an X-ray line.

    Parameters
    ----------
    line_name : str
        Line such as ``"Fe_Ka"``.
    resolution_mn_ka_ev : float, default: 130.0
        FWHM of the Mn Ka peak in eV.
    window_width : float, default: 2.0
        Full width of the window in units of the line's FWHM.

    Returns
    -------
    low, high : float
        Limits in keV, centred on the line's energy.

    Raises
    ------
    UnknownLineError
        If the line is not in the table.
    ParameterError
        If the width or the resolution is not a positive, finite number.

    Notes
    -----
    The same window as eXSpy's ``EDSSpectrum.estimate_integration_windows``.
    """
    if not (math.isfinite(window_width) and window_width > 0):
        raise ParameterError(
            "window_width must be a positive number of FWHMs (2.0 is usual); "
            f"got {window_width} for line {line_name}."
        )
    energy = line_energy(line_name)
    half = window_width * fwhm_kev(energy, resolution_mn_ka_ev=resolution_mn_ka_ev) / 2.0
    return energy - half, energy + half
