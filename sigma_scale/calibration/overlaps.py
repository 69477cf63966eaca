"""
Where the peak of a line really lies: next to other peaks and on a sloping continuum.

A weak peak on the flank of a strong one has its maximum some eV nearer to it. So the spectrum is
fitted by continuum and line families at their true energies, and peaks are looked for in that model
just as in the measured spectrum: both are then moved alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.calibration.peaks import find_peaks
from sigma_scale.xray.continuum import snip_continuum
from sigma_scale.xray.families import excited_families, family_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sigma_scale.calibration.anchors import Anchor
    from sigma_scale.spectra import EnergyAxis

__all__ = ["apparent_anchors"]

_LARGEST_MOVE_KEV = 0.025


def apparent_anchors(
    anchors: Sequence[Anchor],
    spectrum: NDArray[np.float64],
    axis: EnergyAxis,
    elements: Sequence[str],
    *,
    beam_energy_kev: float,
    resolution_mn_ka_ev: float,
) -> tuple[Anchor, ...]:
    """
    Move lines to where their peaks lie among those of the other lines.

    Parameters
    ----------
    anchors : sequence of Anchor
        Lines to look at.
    spectrum : numpy.ndarray, shape (channel,), float64
        Counts summed over the map.
    axis : EnergyAxis
        Energies of the channels, right to some eV.
    elements : sequence of str
        Elements that the spectrum may show.
    beam_energy_kev : float
        Energy of the electrons in keV.
    resolution_mn_ka_ev : float
        FWHM of Mn Ka in eV.

    Returns
    -------
    tuple of Anchor
        By energy; lines that make no clear peak of their own stay where they are.
    """
    from scipy.optimize import nnls

    energies = axis.values
    columns = [
        family_shape(family, energies, resolution_mn_ka_ev=resolution_mn_ka_ev)
        for element in elements
        for family in excited_families(
            element, low_kev=axis.low, high_kev=axis.high, beam_energy_kev=beam_energy_kev
        )
    ]
    continuum = snip_continuum(spectrum, axis.scale_kev)
    weight = 1.0 / np.sqrt(np.maximum(spectrum, 1.0))
    shapes = np.stack([*columns, continuum], axis=1)
    visible = energies > 0.0
    amounts, _ = nnls(shapes[visible] * weight[visible, None], spectrum[visible] * weight[visible])
    model = find_peaks(shapes @ amounts, axis, resolution_mn_ka_ev=resolution_mn_ka_ev)
    places = np.array([peak.energy_kev for peak in model])
    return tuple(_moved(anchor, places) for anchor in anchors)


def _moved(anchor: Anchor, places: NDArray[np.float64]) -> Anchor:
    off = np.abs(places - anchor.energy_kev)
    if off.size == 0 or off.min() > _LARGEST_MOVE_KEV:
        return anchor
    return anchor._replace(energy_kev=float(places[off.argmin()]))
