"""Lines that a spectrum can be calibrated by: strong ones that stand alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sigma_scale.xray.families import excited_families
from sigma_scale.xray.peaks import fwhm_kev

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sigma_scale.xray.table import XrayLine

__all__ = ["COMMON_ELEMENTS", "Anchor", "anchors_of"]

# fmt: off
COMMON_ELEMENTS = (
    "C", "N", "O", "F", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "K", "Ca", "Ti", "Cr", "Mn", "Fe",
    "Ni", "Cu", "Zn",
)
"""Elements to look for where nobody says what a sample contains."""
# fmt: on

_MINIMUM_WEIGHT = 0.1
_SAME_PEAK_FWHM = 0.5
"""Lines of a family closer than this make one peak, at their weighted mean."""
_CLEAR_FWHM = 1.5
"""Lines of a family further apart than this don't move each other's peaks."""
_MOST_BLENDED = 0.15


class Anchor(NamedTuple):
    """A line that stands alone."""

    line: str
    energy_kev: float
    """Where its peak lies: at the line, moved a little by weak lines in the same peak."""
    weight: float
    """Intensity relative to the strongest line of the same shell."""


def anchors_of(
    elements: Iterable[str],
    *,
    low_kev: float,
    high_kev: float,
    beam_energy_kev: float,
    resolution_mn_ka_ev: float,
    shells: str = "KLM",
) -> tuple[Anchor, ...]:
    """
    List the lines of elements whose peaks mark an energy.

    Parameters
    ----------
    elements : iterable of str
        Symbols.
    low_kev, high_kev : float
        Energies in keV between which the main line of a family must lie.
    beam_energy_kev : float
        Energy of the electrons in keV.
    resolution_mn_ka_ev : float
        FWHM of Mn Ka in eV.
    shells : str, default: "KLM"
        Families to look at.

    Returns
    -------
    tuple of Anchor
        By energy. Left out are weak lines and those blended with another of their own family.
    """
    anchors: dict[str, Anchor] = {}
    for element in elements:
        for family in excited_families(
            element, low_kev=low_kev, high_kev=high_kev, beam_energy_kev=beam_energy_kev
        ):
            if family.shell in shells:
                for line in family.lines:
                    anchor = _anchor(line, family.lines, resolution_mn_ka_ev)
                    if anchor is not None:
                        anchors[anchor.line] = anchor
    return tuple(sorted(anchors.values(), key=lambda anchor: (anchor.energy_kev, anchor.line)))


def _anchor(line: XrayLine, family: tuple[XrayLine, ...], resolution_ev: float) -> Anchor | None:
    if line.weight < _MINIMUM_WEIGHT:
        return None
    width = fwhm_kev(line.energy_kev, resolution_mn_ka_ev=resolution_ev)
    apart = {other: abs(other.energy_kev - line.energy_kev) / width for other in family}
    joined = [other for other, distance in apart.items() if distance <= _SAME_PEAK_FWHM]
    if any(other.weight > line.weight for other in joined):
        return None  # It is part of another line's peak.
    disturbing = sum(
        other.weight
        for other, distance in apart.items()
        if _SAME_PEAK_FWHM < distance < _CLEAR_FWHM
    )
    total = sum(other.weight for other in joined)
    if disturbing > _MOST_BLENDED * total:
        return None
    energy = sum(other.weight * other.energy_kev for other in joined) / total
    return Anchor(line.name, energy, line.weight)
