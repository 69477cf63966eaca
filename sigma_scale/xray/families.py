"""Which X-ray lines an element can show under a beam, and the shapes of their peaks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.xray.peaks import FWHM_PER_SIGMA, fwhm_kev
from sigma_scale.xray.table import Shell, XrayLine, atomic_number, lines_of, symbols

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Family", "candidate_elements", "excited_families", "family_shape", "gaussian_peaks"]

_SHELLS: tuple[Shell, ...] = ("K", "L", "M")
_MINIMUM_OVERVOLTAGE = 1.2  # closer to the edge a family is too weak to see
_FIRST_M = 72  # Hf

# Gases that no solid keeps, and elements without a stable isotope other than Th and U.
# fmt: off
_IMPLAUSIBLE = frozenset({
    "H", "He", "Li", "Be", "Ne", "Ar", "Kr", "Xe", "Rn", "Tc", "Pm", "Po", "At", "Fr", "Ra", "Ac",
    "Pa", "Np", "Pu", "Am", "Cm", "Bk", "Cf",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Family:
    """
    The lines of one shell of one element that lie on the measured axis.

    Attributes
    ----------
    element : str
        Symbol of the element.
    shell : {"K", "L", "M"}
        Shell whose vacancy gives the lines.
    main : XrayLine
        The strongest line.
    lines : tuple of XrayLine
        All lines, the strongest first.
    overvoltage : float
        Beam energy over the energy of the family's hardest line, which lies close below the edge.
    """

    element: str
    shell: Shell
    main: XrayLine
    lines: tuple[XrayLine, ...]
    overvoltage: float


def candidate_elements() -> tuple[str, ...]:
    """List the elements that a solid sample may plausibly contain, by atomic number."""
    return tuple(symbol for symbol in symbols() if symbol not in _IMPLAUSIBLE)


def excited_families(
    element: str, *, low_kev: float, high_kev: float, beam_energy_kev: float
) -> tuple[Family, ...]:
    """
    List the line families that a beam excites in an element and a detector can see.

    Parameters
    ----------
    element : str
        Symbol of the element.
    low_kev, high_kev : float
        Measured energies in keV; the main line must lie between them.
    beam_energy_kev : float
        Energy of the electrons in keV.

    Returns
    -------
    tuple of Family
        In the order K, L, M. M families are those of elements from Hf on: the M lines of lighter
        elements are weak, crowded and never the ones to analyse.
    """
    families = []
    for shell in _SHELLS:
        lines = tuple(item for item in lines_of(element) if item.shell == shell)
        if not lines or not low_kev <= lines[0].energy_kev <= high_kev:
            continue
        if shell == "M" and atomic_number(element) < _FIRST_M:
            continue
        overvoltage = beam_energy_kev / max(item.energy_kev for item in lines)
        if overvoltage >= _MINIMUM_OVERVOLTAGE:
            families.append(Family(element, shell, lines[0], lines, overvoltage))
    return tuple(families)


def family_shape(
    family: Family, energy_kev: NDArray[np.float64], *, resolution_mn_ka_ev: float
) -> NDArray[np.float64]:
    """
    Calculate the peaks of one family for one count in all its lines together.

    Parameters
    ----------
    family : Family
        Lines and their relative weights.
    energy_kev : numpy.ndarray, shape (channel,), float64
        Channel centres in keV, evenly spaced.
    resolution_mn_ka_ev : float
        FWHM of Mn Ka in eV.

    Returns
    -------
    numpy.ndarray, shape (channel,), float64
        Expected counts per channel.
    """
    centres = np.array([item.energy_kev for item in family.lines])
    weights = np.array([item.weight for item in family.lines])
    return gaussian_peaks(
        energy_kev, centres, weights / weights.sum(), resolution_mn_ka_ev=resolution_mn_ka_ev
    )


def gaussian_peaks(
    energy_kev: NDArray[np.float64],
    centres_kev: NDArray[np.float64],
    areas: NDArray[np.float64],
    *,
    resolution_mn_ka_ev: float,
) -> NDArray[np.float64]:
    """
    Sum Gaussian peaks of the detector's width.

    Parameters
    ----------
    energy_kev : numpy.ndarray, shape (channel,), float64
        Channel centres in keV, evenly spaced.
    centres_kev, areas : numpy.ndarray, shape (peak,), float64
        Energies in keV and areas in counts.
    resolution_mn_ka_ev : float
        FWHM of Mn Ka in eV.

    Returns
    -------
    numpy.ndarray, shape (channel,), float64
        Counts per channel; a peak inside the axis sums to its area.
    """
    step = energy_kev[1] - energy_kev[0]
    sigma = fwhm_kev(centres_kev, resolution_mn_ka_ev=resolution_mn_ka_ev) / FWHM_PER_SIGMA
    distance = (energy_kev[:, None] - centres_kev[None, :]) / sigma
    heights = areas * step / (sigma * math.sqrt(2.0 * math.pi))
    return np.asarray(np.exp(-0.5 * distance**2) @ heights)
