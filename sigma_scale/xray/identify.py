"""
Propose X-ray lines for a sum spectrum of which nobody said what it contains.

The spectrum is explained as continuum plus families of Gaussian peaks with known energies, widths
and relative weights. Elements are added one by one, each time the one that explains most of what
is left, and taken out again unless they are needed and make a peak of their own. What a strong
peak does to its surroundings (escape, pile-up, tail) is part of the model, so that it is not taken
for rare elements.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.xray.elements_fit import ElementsFit
from sigma_scale.xray.peaks import DEFAULT_RESOLUTION_MN_KA_EV
from sigma_scale.xray.table import atomic_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["suggest_lines"]

_LOWEST_KEV = 0.16  # below lie the detector's zero peak and its noise threshold
_USUAL_BEAM_KEV = 20.0
_MINIMUM_CHANNELS = 32
_UNIFORM_TOLERANCE = 1e-3


def suggest_lines(
    sum_spectrum: ArrayLike,
    energy_kev: ArrayLike,
    *,
    beam_energy_kev: float | None = None,
    resolution_mn_ka_ev: float = DEFAULT_RESOLUTION_MN_KA_EV,
    max_lines: int = 20,
    elements: Sequence[str] | None = None,
) -> list[str]:
    """
    Propose the X-ray lines that a sum spectrum shows, one per element.

    Parameters
    ----------
    sum_spectrum : array_like, shape (energy,)
        Counts summed over the map; raw counts, because their noise is taken to be Poisson.
    energy_kev : array_like, shape (energy,)
        Channel centres in keV, ascending and evenly spaced.
    beam_energy_kev : float, optional
        Energy of the electrons in keV. If unknown, 20 keV or the end of the axis is assumed,
        whichever is higher.
    resolution_mn_ka_ev : float, default: 130.0
        FWHM of the Mn Ka peak in eV.
    max_lines : int, default: 20
        Largest number of lines; the most significant ones are kept.
    elements : sequence of str, optional
        Elements to choose from. None: all that a solid sample may plausibly contain.

    Returns
    -------
    list of str
        Lines such as ``"Fe_Ka"``, ordered by atomic number: the hardest main line of each element
        that the beam excites well and the axis covers. Empty where there is nothing to see.

    Raises
    ------
    ShapeMismatchError
        If the two arrays are not one-dimensional and of one length.
    ParameterError
        If the axis is not ascending and even, counts are negative or not finite, or a parameter
        cannot work.

    Notes
    -----
    A proposal, to be checked by someone who knows the sample. Not proposed: H to Be, noble gases
    and elements without a long-lived isotope.
    """
    counts, energies = _checked_spectrum(sum_spectrum, energy_kev)
    if max_lines < 1:
        raise ParameterError(f"max_lines must be 1 or more; got {max_lines}.")
    if beam_energy_kev is not None and not (math.isfinite(beam_energy_kev) and beam_energy_kev > 0):
        raise ParameterError(
            f"beam_energy_kev must be a positive energy in keV or None; got {beam_energy_kev}."
        )
    beam = max(_USUAL_BEAM_KEV, float(energies[-1])) if beam_energy_kev is None else beam_energy_kev
    measured = (energies >= _LOWEST_KEV) & (energies <= beam)
    counts, energies = counts[measured], energies[measured]
    if counts.size < _MINIMUM_CHANNELS or counts.sum() == 0:
        return []
    fit = ElementsFit(
        beam_energy_kev=beam, resolution_mn_ka_ev=resolution_mn_ka_ev, elements=elements
    )
    found = fit.fit(counts, energies)
    strongest = sorted(found, key=lambda item: -item.significance)[:max_lines]
    return [item.line for item in sorted(strongest, key=lambda item: atomic_number(item.element))]


def _checked_spectrum(
    sum_spectrum: ArrayLike, energy_kev: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counts = np.asarray(sum_spectrum, dtype=np.float64)
    energies = np.asarray(energy_kev, dtype=np.float64)
    if counts.ndim != 1 or counts.shape != energies.shape:
        raise ShapeMismatchError(
            "The sum spectrum and its energy axis must be one-dimensional and of one length; "
            f"got shapes {counts.shape} and {energies.shape}."
        )
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise ParameterError("The sum spectrum holds negative or non-finite counts.")
    steps = np.diff(energies)
    if counts.size > 1 and not (
        np.isfinite(energies).all()
        and steps[0] > 0
        and np.allclose(steps, steps[0], rtol=_UNIFORM_TOLERANCE)
    ):
        raise ParameterError("The energy axis must ascend in even steps, in keV.")
    return counts, energies
