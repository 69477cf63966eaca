"""Minerals by their formula: mass fractions and mean atomic number."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sigma_scale.errors import ParameterError
from sigma_scale.xray import atomic_number, atomic_weight

__all__ = ["DEFAULT_MINERALS", "ZIRCON", "Mineral"]

_TERM = re.compile(r"([A-Z][a-z]?)(\d+(?:\.\d+)?)?")


@dataclass(frozen=True, slots=True)
class Mineral:
    """
    A phase of known composition.

    Parameters
    ----------
    name : str
        Name of the phase.
    formula : str
        Elements with their numbers of atoms, without brackets, such as ``"Mg1.8Fe0.2SiO4"``.

    Raises
    ------
    ParameterError
        If the formula cannot be read or the name is empty.
    UnknownLineError
        If an element is not in the X-ray table; raised when the composition is asked for.
    """

    name: str
    formula: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ParameterError(f"The mineral with formula {self.formula!r} needs a name.")
        atoms = self.atoms
        if not atoms or any(number <= 0 for number in atoms.values()):
            raise ParameterError(
                f"The formula {self.formula!r} of {self.name} cannot be read. Write symbols and "
                "positive numbers of atoms without brackets, such as 'CaMgSi2O6'."
            )

    @property
    def atoms(self) -> dict[str, float]:
        """Number of atoms of each element in the formula; empty if it cannot be read."""
        if not re.fullmatch(f"(?:{_TERM.pattern})+", self.formula):
            return {}
        atoms: dict[str, float] = {}
        for symbol, number in _TERM.findall(self.formula):
            atoms[symbol] = atoms.get(symbol, 0.0) + float(number or 1)
        return atoms

    @property
    def mass_fractions(self) -> dict[str, float]:
        """Mass fraction of each element; they sum to 1."""
        masses = {symbol: count * atomic_weight(symbol) for symbol, count in self.atoms.items()}
        total = sum(masses.values())
        return {symbol: mass / total for symbol, mass in masses.items()}

    @property
    def mean_atomic_number(self) -> float:
        """Mean atomic number weighted by mass, which backscattering follows."""
        return sum(
            fraction * atomic_number(symbol) for symbol, fraction in self.mass_fractions.items()
        )


DEFAULT_MINERALS = (
    Mineral("quartz", "SiO2"),
    Mineral("albite", "NaAlSi3O8"),
    Mineral("orthoclase", "KAlSi3O8"),
    Mineral("anorthite", "CaAl2Si2O8"),
    Mineral("olivine", "Mg1.8Fe0.2SiO4"),
    Mineral("diopside", "CaMgSi2O6"),
    Mineral("ilmenite", "FeTiO3"),
    Mineral("magnetite", "Fe3O4"),
    Mineral("calcite", "CaCO3"),
    Mineral("apatite", "Ca5P3O12F"),
)
"""Ten minerals of common rocks."""

ZIRCON = Mineral("zircon", "ZrSiO4")
"""The rare phase."""
