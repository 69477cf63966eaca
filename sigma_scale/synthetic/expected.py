"""Expected spectra of minerals in an energy-dispersive detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.xray import atomic_number, atomic_weight
from sigma_scale.xray.families import excited_families, family_shape, gaussian_peaks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sigma_scale.synthetic.minerals import Mineral
    from sigma_scale.xray.families import Family

__all__ = ["analytical_lines", "expected_spectra"]

_ABSORPTION_KEV = 0.5
_LOWEST_KEV = 0.1
_KEY_OVERVOLTAGE = 1.5
_ZERO_PEAK_SHARE = 0.25
_COUNTS_PER_Z = 0.2  # how much of a phase's counts follows its mean atomic number
# Z**4 at which half of the vacancies are filled with an X-ray: Goldstein et al., Scanning Electron
# Microscopy and X-ray Microanalysis, for K; of the right order for L and M
_YIELD_CONSTANT = {"K": 1.12e6, "L": 1.0e8, "M": 1.4e9}


def expected_spectra(
    minerals: Sequence[Mineral],
    energy_kev: NDArray[np.float64],
    *,
    counts_per_pixel: float,
    reference: int,
    beam_energy_kev: float,
    resolution_mn_ka_ev: float,
    continuum_share: float,
    zero_peak: bool,
) -> NDArray[np.float64]:
    """
    Calculate the expected counts of a pixel of each mineral.

    Parameters
    ----------
    minerals : sequence of Mineral
        The phases.
    energy_kev : numpy.ndarray, shape (energy,), float64
        Channel centres in keV, evenly spaced.
    counts_per_pixel : float
        Mean total of the first ``reference`` minerals, zero peak included.
    reference : int
        Number of minerals over which that mean is taken.
    beam_energy_kev : float
        Energy of the electrons in keV.
    resolution_mn_ka_ev : float
        FWHM of Mn Ka in eV.
    continuum_share : float
        Share of continuum in the counts without the zero peak.
    zero_peak : bool
        Give a quarter of the counts to a peak at 0 keV, as detectors with a strobe do.

    Returns
    -------
    numpy.ndarray, shape (phase, energy), float64
        Expected counts per channel.
    """
    mean_z = np.array([mineral.mean_atomic_number for mineral in minerals])
    brightness = 1.0 - _COUNTS_PER_Z + _COUNTS_PER_Z * mean_z / mean_z[:reference].mean()
    totals = counts_per_pixel * brightness / brightness[:reference].mean()
    continuum = _normalised(_continuum(energy_kev, beam_energy_kev))
    zero = _normalised(
        gaussian_peaks(energy_kev, np.zeros(1), np.ones(1), resolution_mn_ka_ev=resolution_mn_ka_ev)
    )
    spectra = np.empty((len(minerals), energy_kev.size))
    for row, mineral in enumerate(minerals):
        peaks = np.zeros(energy_kev.size)
        for family, intensity in _line_intensities(mineral, energy_kev, beam_energy_kev):
            peaks += intensity * family_shape(
                family, energy_kev, resolution_mn_ka_ev=resolution_mn_ka_ev
            )
        share = continuum_share if peaks.any() else 1.0
        shape = share * continuum + (1.0 - share) * _normalised(peaks)
        if zero_peak:
            shape = (1.0 - _ZERO_PEAK_SHARE) * shape + _ZERO_PEAK_SHARE * zero
        spectra[row] = totals[row] * _normalised(shape)
    return spectra


def analytical_lines(
    minerals: Sequence[Mineral], energy_kev: NDArray[np.float64], beam_energy_kev: float
) -> tuple[str, ...]:
    """
    List the best line of each element in the minerals, by atomic number.

    Parameters
    ----------
    minerals : sequence of Mineral
        The phases.
    energy_kev : numpy.ndarray, shape (energy,), float64
        Channel centres in keV.
    beam_energy_kev : float
        Energy of the electrons in keV.

    Returns
    -------
    tuple of str
        The hardest main line that is well excited and on the axis; elements without one are left
        out.
    """
    elements = {symbol for mineral in minerals for symbol in mineral.atoms}
    lines = []
    for symbol in sorted(elements, key=atomic_number):
        families = _families(symbol, energy_kev, beam_energy_kev)
        excited = [item for item in families if item.overvoltage >= _KEY_OVERVOLTAGE]
        if excited:
            lines.append(excited[0].main.name)
    return tuple(lines)


def _families(
    element: str, energy_kev: NDArray[np.float64], beam_energy_kev: float
) -> tuple[Family, ...]:
    return excited_families(
        element,
        low_kev=max(_LOWEST_KEV, float(energy_kev[0])),
        high_kev=float(energy_kev[-1]),
        beam_energy_kev=beam_energy_kev,
    )


def _line_intensities(
    mineral: Mineral, energy_kev: NDArray[np.float64], beam_energy_kev: float
) -> list[tuple[Family, float]]:
    """
    Calculate the relative counts of each family.

    ``I = C / A * yield * (U - 1)**1.67 * efficiency`` with mass fraction C, atomic weight A and
    overvoltage U (Goldstein et al., chapter 4).
    """
    intensities = []
    for element, fraction in mineral.mass_fractions.items():
        z4 = float(atomic_number(element)) ** 4
        for family in _families(element, energy_kev, beam_energy_kev):
            fluorescence = z4 / (z4 + _YIELD_CONSTANT[family.shell])
            generated = fluorescence * (family.overvoltage - 1.0) ** 1.67
            detected = _efficiency(np.array([family.main.energy_kev]))[0]
            intensities.append((family, fraction / atomic_weight(element) * generated * detected))
    return intensities


def _continuum(energy_kev: NDArray[np.float64], beam_energy_kev: float) -> NDArray[np.float64]:
    """Bremsstrahlung after Kramers, ``(E0 - E) / E``, absorbed at low energies."""
    positive = np.maximum(energy_kev, 1e-3)
    generated = np.clip(beam_energy_kev - positive, 0.0, None) / positive
    return np.where(energy_kev > 0, generated * _efficiency(positive), 0.0)


def _efficiency(energy_kev: NDArray[np.float64]) -> NDArray[np.float64]:
    """Roll off at low energies as absorption in sample and window does: 9 % at C, 86 % at Si."""
    return np.asarray(np.exp(-((_ABSORPTION_KEV / energy_kev) ** 1.5)))


def _normalised(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    total = shape.sum()
    return shape / total if total > 0 else shape
