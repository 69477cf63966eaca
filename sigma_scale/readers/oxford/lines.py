"""Which element and X-ray line a map of an .h5oina file is of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sigma_scale.errors import UnknownLineError
from sigma_scale.readers.hdf5.files import dataset_at, opened
from sigma_scale.readers.hdf5.values import attribute
from sigma_scale.readers.oxford.header import FORMAT
from sigma_scale.xray import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sigma_scale.readers.oxford.structure import Detector

__all__ = ["MapName", "elements_and_lines", "map_name"]

_SERIES = " series"


@dataclass(frozen=True)
class MapName:
    """
    What a map shows.

    Parameters
    ----------
    name : str
        ``"Fe_Ka"`` or, for a composition, ``"Fe"``; the file's own name where neither fits, as
        for the sum of a series of lines.
    element : str or None
        Symbol of the element, if it is known.
    line : str or None
        X-ray line in the notation of the table, the strongest one of a series.
    """

    name: str
    element: str | None = None
    line: str | None = None


def map_name(own: str, number: float | None, line: str | None) -> MapName:
    """
    Name a map from its dataset's name and attributes.

    Parameters
    ----------
    own : str
        Name of the dataset, such as ``"Fe Ka1"``, ``"Fe K series"`` or ``"Fe"``.
    number : float or None
        Attribute ``Atomic Number``.
    line : str or None
        Attribute ``X-ray Line``, such as ``"Ka1"``.
    """
    match = re.fullmatch(r"([A-Z][a-z]?)(?:[ _](.+))?", own.strip())
    element = _symbol(number)
    if element is None and match is not None and match[1] in table.symbols():
        element = match[1]
    if element is None:
        return MapName(own)
    line = line or (match[2] if match is not None else None)
    if not line:
        return MapName(element if match is not None and match[1] == element else own, element)
    known = _known_line(element, line)
    return MapName(known if known and not line.endswith(_SERIES) else own, element, known)


def _symbol(number: float | None) -> str | None:
    if number is None:
        return None
    return next((name for name in table.symbols() if table.atomic_number(name) == number), None)


def _known_line(element: str, line: str) -> str | None:
    """Line of the table: ``Ka1`` and the strongest line of ``K series`` are ``Ka`` there."""
    short = line.strip()
    shell = short.removesuffix(_SERIES)
    for candidate in (short, short.removesuffix("1"), f"{shell}a"):
        name = f"{element}_{candidate}"
        try:
            return table.line(name).name
        except UnknownLineError:
            continue
    return None


def names_of(path: Path, detector: Detector, kind: str) -> dict[str, MapName]:
    """Names of the maps of a group by their datasets' names."""
    names = {}
    with opened(path, FORMAT) as file:
        for own in detector.maps[kind]:
            dataset = dataset_at(file, f"{detector.place}/Data/{kind}/{own}")
            number, line = attribute(dataset, "Atomic Number"), attribute(dataset, "X-ray Line")
            names[own] = map_name(
                own,
                None if number is None or isinstance(number, str) else float(number[0]),
                line if isinstance(line, str) else None,
            )
    return names


def elements_and_lines(
    path: Path, detectors: Sequence[Detector]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Elements and X-ray lines that a file has maps of, by atomic number."""
    names = [
        name
        for detector in detectors
        for kind in detector.maps
        for name in names_of(path, detector, kind).values()
    ]
    return in_order(names)


def in_order(names: Iterable[MapName]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Elements and lines, each once, by atomic number."""
    names = list(names)
    elements = {name.element for name in names if name.element is not None}
    lines = {name.line for name in names if name.line is not None}
    return (
        tuple(sorted(elements, key=table.atomic_number)),
        tuple(sorted(lines, key=lambda line: (table.atomic_number(line.split("_")[0]), line))),
    )
