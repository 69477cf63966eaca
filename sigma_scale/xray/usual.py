"""The lines by which elements are usually measured."""

from __future__ import annotations

from sigma_scale.xray.families import excited_families

__all__ = ["usual_lines"]

_WELL_EXCITED = 1.5
"""Overvoltage from which a family is strong enough to be the one to take."""
_ASSUMED_BEAM_KEV = 20.0
_LOWEST_KEV = 0.1
"""No detector shows softer lines than that of beryllium."""


def usual_lines(
    element: str, *, low_kev: float, high_kev: float, beam_energy_kev: float | None = None
) -> tuple[str, ...]:
    """
    List the main lines of an element that a detector can see, the one to take first.

    Parameters
    ----------
    element : str
        Symbol of the element.
    low_kev, high_kev : float
        Measured energies in keV.
    beam_energy_kev : float, optional
        Energy of the electrons in keV. None: 20 keV or `high_kev`, whichever is higher.

    Returns
    -------
    tuple of str
        The strongest line of each shell that lies on the axis and is excited, at most one of
        K, L and M. The first is the hardest that the beam excites well (an overvoltage of 1.5 or
        more); the others follow in the order K, L, M. Empty where there is none.

    Raises
    ------
    UnknownLineError
        If there is no such element.
    """
    beam = max(_ASSUMED_BEAM_KEV, high_kev) if beam_energy_kev is None else beam_energy_kev
    families = excited_families(
        element, low_kev=max(low_kev, _LOWEST_KEV), high_kev=high_kev, beam_energy_kev=beam
    )
    well = [family for family in families if family.overvoltage >= _WELL_EXCITED]
    first = (well or list(families[::-1]))[:1]
    return tuple(family.main.name for family in [*first, *(f for f in families if f not in first)])
