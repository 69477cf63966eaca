"""
The ``.par`` text that AZtec writes beside an exported map.

Its lines are ``key: value`` (``=`` and tabs are understood as well), units stand behind the value
or in brackets behind the key. AZtec calls the number of pixels *resolution* and the length of a
side *map width*; files with the two the other way round (pixels as the map's width, micrometres
per pixel as resolution) are told apart by their units, and by the map's size where it is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sigma_scale.readers.beside import Calibration, length_um, number, read_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AztecPar", "is_par", "read_par"]

_UNIT = r"[A-Za-zµμÅ]+"
_LINE = re.compile(r"^\s*(?P<key>[^:=\t]+?)\s*[:=\t]\s*(?P<value>.*?)\s*$")
_KEY_UNIT = re.compile(rf"^(?P<key>.*?)\s*[(\[](?P<unit>{_UNIT})[)\]]$")
_VALUE = re.compile(rf"^(?P<number>[-+]?[\d.,]+(?:[eE][-+]?\d+)?)\s*[(\[]?(?P<unit>{_UNIT})?")
_RANGE = re.compile(r"^\s*([-+]?[\d.,]+)\s*(?:k?eV)?\s*(?:-|–|to|\.\.|;)\s*([-+]?[\d.,]+)")
_PIXEL_UNITS = ("pixel", "pixels", "px", "pix", "points", "cells")

_NOMINAL_EV = (2.5, 5.0, 10.0, 20.0, 40.0)
_NOMINAL_TOLERANCE = 0.03
"""Of the width: a range of "20 keV" over 2,048 channels means 10 eV each, 2 % more than 20 keV."""

_LARGEST_RANGE_KEV = 200.0

_KNOWN_KEYS = {
    "energy range",
    "map height",
    "map width",
    "number of channels",
    "resolution (height)",
    "resolution (width)",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit in lower case, or an empty string."""

    value: float
    unit: str

    @property
    def count(self) -> int | None:
        """Number of pixels that it may mean."""
        whole = self.value >= 1 and self.value == int(self.value)
        return int(self.value) if whole and self.unit in ("", *_PIXEL_UNITS) else None

    @property
    def length_um(self) -> float | None:
        """Length in micrometres that it may mean; a number without a unit is in micrometres."""
        return length_um(self.value, self.unit or "um")


@dataclass(frozen=True, slots=True)
class AztecPar:
    """
    Entries of a ``.par`` file.

    Parameters
    ----------
    entries : dict of str to str
        Values by key in lower case, without what is in brackets unless that is ``width`` or
        ``height``.
    units : dict of str to str
        Units that stood behind the keys.
    """

    entries: dict[str, str]
    units: dict[str, str]

    def quantity(self, *keys: str) -> Quantity | None:
        """First of some keys that has a number."""
        for key in keys:
            found = _VALUE.match(self.entries.get(key, ""))
            value = number(found["number"]) if found else None
            if found is not None and value is not None:
                return Quantity(value, (found["unit"] or self.units.get(key, "")).lower())
        return None

    @property
    def n_channels(self) -> int | None:
        """Number of channels."""
        found = self.quantity("number of channels", "channels")
        if found is None:
            return None
        kilo = 1024 if found.unit == "k" else 1
        return int(found.value * kilo) if 1 <= found.value * kilo < 2**20 else None

    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths in pixels that the file may mean, the likeliest first."""
        pairs = (self._resolution(), self._extent())
        found = [
            (height.count, width.count)
            for height, width in pairs
            if height is not None and width is not None
        ]
        return [(rows, columns) for rows, columns in found if rows and columns]

    def calibration(self, size: tuple[int, int], n_channels: int) -> Calibration:
        """
        Give what the file says of a map's axes.

        Parameters
        ----------
        size : tuple of int
            Rows and columns of the map.
        n_channels : int
            Its channels.
        """
        heights, widths = zip(self._extent(), self._resolution(), strict=True)
        width_ev, offset_ev = self._energies(self.n_channels or n_channels)
        return Calibration(
            channel_width_ev=width_ev,
            offset_ev=offset_ev,
            n_channels=self.n_channels,
            pixel_height_um=_pixel_um(*heights, size[0]),
            pixel_width_um=_pixel_um(*widths, size[1]),
            metadata=self._metadata(),
        )

    def _resolution(self) -> tuple[Quantity | None, Quantity | None]:
        return (
            self.quantity("resolution (height)", "resolution height"),
            self.quantity("resolution (width)", "resolution width"),
        )

    def _extent(self) -> tuple[Quantity | None, Quantity | None]:
        return self.quantity("map height"), self.quantity("map width")

    def _energies(self, n_channels: int) -> tuple[float | None, float | None]:
        """Channel width and offset in eV."""
        text = self.entries.get("energy range", "")
        in_ev = re.search(r"\d\s*eV\b", text) or self.units.get("energy range", "").lower() == "ev"
        factor = 1.0 if in_ev else 1e3
        limits = _RANGE.match(text)
        low, high = (number(part) for part in limits.groups()) if limits else (None, number(text))
        if high is None or not 0 < (high - (low or 0.0)) * factor < _LARGEST_RANGE_KEV * 1e3:
            return None, None
        width = _nominal((high - (low or 0.0)) * factor / n_channels)
        # "0 - 20 keV" names the nominal range as "20 keV" does: AZtec's axes begin below zero.
        return width, low * factor if low else None

    def _metadata(self) -> dict[str, Any]:
        voltage = self.quantity("accelerating voltage", "beam voltage", "beam energy")
        kilo = 1e-3 if voltage is not None and voltage.unit in ("v", "ev") else 1.0
        found = {
            "beam_energy_kev": None if voltage is None else voltage.value * kilo,
            "live_time_s": _seconds(self.quantity("live time", "acquisition live time")),
            "real_time_s": _seconds(self.quantity("real time", "acquisition time")),
            "elevation_deg": _value(self.quantity("detector elevation", "elevation")),
            "azimuth_deg": _value(self.quantity("detector azimuth", "azimuth")),
            "stage_tilt_deg": _value(self.quantity("stage tilt", "specimen tilt", "tilt")),
        }
        title = self.entries.get("title") or self.entries.get("label")
        known: dict[str, Any] = {key: value for key, value in found.items() if value is not None}
        return {**known, "title": title} if title else known


def is_par(path: Path) -> bool:
    """
    Whether a file tells anything of a map's axes; other programs use the ending, too.

    Raises
    ------
    FileFormatError
        If it can't be read.
    """
    return not _KNOWN_KEYS.isdisjoint(read_par(path).entries)


def read_par(path: Path) -> AztecPar:
    """
    Read a ``.par`` file.

    Raises
    ------
    FileFormatError
        If it can't be read.
    """
    entries: dict[str, str] = {}
    units: dict[str, str] = {}
    for line in read_text(path).splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        key = " ".join(found["key"].lower().split())
        bracket = _KEY_UNIT.match(key)
        if bracket is not None and bracket["unit"] not in ("width", "height"):
            key = bracket["key"]
            units.setdefault(key, bracket["unit"])
        entries.setdefault(key, found["value"])
    return AztecPar(entries, units)


def _pixel_um(extent: Quantity | None, resolution: Quantity | None, size: int) -> float | None:
    """Micrometres per pixel from a side's length and its number of pixels, whichever is which."""
    if resolution is None or resolution.count == size:
        # A bare number may be pixels as well: without one that is surely a length, none is known.
        if extent is None or (extent.count is not None and _ambiguous(extent, resolution, size)):
            return None
        length = extent.length_um
        return None if length is None else length / size
    per_pixel = resolution.count is None or (extent is not None and extent.count == size)
    return resolution.length_um if per_pixel else None


def _ambiguous(extent: Quantity, resolution: Quantity | None, size: int) -> bool:
    return resolution is None or extent.count == size


def _nominal(width_ev: float) -> float:
    for nominal in _NOMINAL_EV:
        if abs(width_ev - nominal) <= _NOMINAL_TOLERANCE * nominal:
            return nominal
    return width_ev


def _value(quantity: Quantity | None) -> float | None:
    return None if quantity is None else quantity.value


def _seconds(quantity: Quantity | None) -> float | None:
    factors = {"": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
    if quantity is None or quantity.unit not in factors:
        return None
    return quantity.value * factors[quantity.unit]
