"""
X-ray lines of the elements: names, energies and relative weights.

The numbers are those of eXSpy's element table, so that line energies agree with HyperSpy and
eXSpy to the last digit. The table is read on first use, because importing eXSpy takes seconds.
"""

from __future__ import annotations

import difflib
import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias, cast

from sigma_scale.errors import ParameterError, UnknownLineError

__all__ = [
    "Shell",
    "XrayLine",
    "atomic_number",
    "atomic_weight",
    "line",
    "line_energy",
    "lines_near",
    "lines_of",
    "symbols",
]

Shell: TypeAlias = Literal["K", "L", "M"]
"""The shell whose vacancy gives a line."""


@dataclass(frozen=True, slots=True)
class XrayLine:
    """
    One characteristic X-ray line.

    Attributes
    ----------
    name : str
        Element and line in eXSpy's notation, such as ``"Fe_Ka"``.
    element : str
        Symbol of the element.
    shell : {"K", "L", "M"}
        Shell whose vacancy gives the line.
    energy_kev : float
        Energy in keV.
    weight : float
        Intensity relative to the strongest line of the same shell (that one has 1).
    """

    name: str
    element: str
    shell: Shell
    energy_kev: float
    weight: float


@dataclass(frozen=True, slots=True)
class _Element:
    atomic_number: int
    atomic_weight: float
    lines: tuple[XrayLine, ...]


@lru_cache(maxsize=1)
def _table() -> dict[str, _Element]:
    """Read eXSpy's table once, ordered by atomic number."""
    with warnings.catch_warnings():
        # eXSpy 0.3 imports names that HyperSpy 2.5 has moved: nothing a user could act on
        warnings.filterwarnings("ignore", message="Importing `Lazy")
        from exspy.material import elements

    table = {}
    for symbol, entry in elements.as_dictionary().items():
        if not isinstance(entry, dict):  # the tree's own docstring is listed with the elements
            continue
        properties = entry["General_properties"]
        lines = [
            XrayLine(
                name=f"{symbol}_{key}",
                element=symbol,
                shell=cast("Shell", key[0]),
                energy_kev=float(values["energy (keV)"]),
                weight=float(values["weight"]),
            )
            for key, values in entry.get("Atomic_properties", {}).get("Xray_lines", {}).items()
        ]
        lines.sort(key=lambda item: (item.shell, -item.weight, item.energy_kev, item.name))
        table[symbol] = _Element(
            int(properties["Z"]), float(properties["atomic_weight"]), tuple(lines)
        )
    return dict(sorted(table.items(), key=lambda pair: pair[1].atomic_number))


@lru_cache(maxsize=1)
def _lines() -> dict[str, XrayLine]:
    return {item.name: item for element in _table().values() for item in element.lines}


def _suggestion(wrong: str, known: list[str]) -> str:
    """Name up to three entries that look like a misspelt one, wrong case included."""
    by_folded: dict[str, list[str]] = {}
    for name in known:
        by_folded.setdefault(name.casefold(), []).append(name)
    folded = wrong.casefold().replace("-", "_").replace(" ", "_")
    near = difflib.get_close_matches(folded, by_folded, n=3, cutoff=0.6)
    names = [name for key in near for name in by_folded[key]][:3]
    return f" Did you mean {' or '.join(names)}?" if names else ""


def _element(symbol: str) -> _Element:
    table = _table()
    if symbol not in table:
        hint = _suggestion(str(symbol), list(table))
        raise UnknownLineError(
            f"{symbol!r} is not an element of the X-ray table.{hint} "
            "Elements are written by their symbol, such as 'Fe'."
        )
    return table[symbol]


def symbols() -> tuple[str, ...]:
    """
    List the elements of the table.

    Returns
    -------
    tuple of str
        Symbols ordered by atomic number. Elements without X-ray lines (H, He) are among them.
    """
    return tuple(_table())


def atomic_number(symbol: str) -> int:
    """
    Look up the atomic number of an element.

    Parameters
    ----------
    symbol : str
        Symbol such as ``"Fe"``.

    Returns
    -------
    int
        Number of protons.

    Raises
    ------
    UnknownLineError
        If the element is not in the table.
    """
    return _element(symbol).atomic_number


def atomic_weight(symbol: str) -> float:
    """
    Look up the standard atomic weight of an element.

    Parameters
    ----------
    symbol : str
        Symbol such as ``"Fe"``.

    Returns
    -------
    float
        Atomic weight in g/mol.

    Raises
    ------
    UnknownLineError
        If the element is not in the table.
    """
    return _element(symbol).atomic_weight


def line(name: str) -> XrayLine:
    """
    Look up one X-ray line.

    Parameters
    ----------
    name : str
        Element and line such as ``"Fe_Ka"``.

    Returns
    -------
    XrayLine
        Its element, shell, energy and weight.

    Raises
    ------
    UnknownLineError
        If the line is not in the table; the message names lines that look like it.
    """
    lines = _lines()
    if name in lines:
        return lines[name]
    symbol = str(name).partition("_")[0]
    if symbol in _table():
        own = ", ".join(item.name for item in lines_of(symbol)) or "none"
        hint = f"{_suggestion(str(name), list(lines))} Lines of {symbol}: {own}."
    else:
        hint = f"{_suggestion(str(name), list(lines))} Lines are written like 'Fe_Ka'."
    raise UnknownLineError(f"{name!r} is not an X-ray line of the table.{hint}")


def line_energy(name: str) -> float:
    """
    Look up the energy of an X-ray line.

    Parameters
    ----------
    name : str
        Element and line such as ``"Fe_Ka"``.

    Returns
    -------
    float
        Energy in keV.

    Raises
    ------
    UnknownLineError
        If the line is not in the table.
    """
    return line(name).energy_kev


def lines_of(element: str) -> tuple[XrayLine, ...]:
    """
    List the X-ray lines of one element.

    Parameters
    ----------
    element : str
        Symbol such as ``"Fe"``.

    Returns
    -------
    tuple of XrayLine
        Lines in the order K, L, M, the strongest of each shell first.

    Raises
    ------
    UnknownLineError
        If the element is not in the table.
    """
    return _element(element).lines


def lines_near(energy_kev: float, *, tolerance_kev: float) -> tuple[XrayLine, ...]:
    """
    List the X-ray lines of all elements near an energy.

    Parameters
    ----------
    energy_kev : float
        Energy to look around, in keV.
    tolerance_kev : float
        Largest distance from it, in keV; lines exactly that far are listed.

    Returns
    -------
    tuple of XrayLine
        The nearest first.

    Raises
    ------
    ParameterError
        If the tolerance is negative or a number is not finite.
    """
    if not (math.isfinite(energy_kev) and math.isfinite(tolerance_kev) and tolerance_kev >= 0):
        raise ParameterError(
            f"lines_near needs a finite energy and a tolerance of 0 or more, in keV; "
            f"got energy_kev={energy_kev}, tolerance_kev={tolerance_kev}."
        )
    near = [
        (abs(item.energy_kev - energy_kev), item.name, item)
        for item in _lines().values()
        if abs(item.energy_kev - energy_kev) <= tolerance_kev
    ]
    return tuple(item for _, _, item in sorted(near, key=lambda entry: entry[:2]))
